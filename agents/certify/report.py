"""Writes down what a certification has found: certificate.json, its signature, and a page for people."""

import hashlib
import json
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.certify.outcomes import Stage
from agents.certify.prepared import Prepared, mapping_document, site_library
from agents.certify.running import IN_A_ZONE
from agents.certify.signing import FORMAT, PAGE, SIGNATURE, fingerprint, public_text, sign
from agents.connectors import GROUP
from agents.writing import write_text
from broker.protocol.errors import ConfigurationError
from mappings import InwardMapping, open_document
from mappings.document import Document
from schemas.editions import NEWEST

CERTIFICATE: Final = "certificate.json"
_PRIVATE: Final = 0o600
_SCHEMA_FILES: Final = (".xsd", ".toml")


def certificate(
    prepared: Prepared,
    stages: Sequence[Stage],
    begun: datetime,
    ended: datetime,
    key: Ed25519PrivateKey,
    *,
    quick: bool,
) -> dict[str, Any]:
    """Return what the certificate says. It is passed when nothing has failed and something was tried in a zone.

    Nothing in it is personal, and no path, address or option of the agent's file. Shape: ``format``, ``agent``,
    ``passed``, ``quick``, ``begun``, ``ended``, ``versions``, ``sources``, ``target``, ``stages`` (each with
    ``checks``), ``public_key``, ``page_sha256`` (of the page for people).
    """
    checks = [check for stage in stages for check in stage.checks]
    tried = any(check.outcome == "pass" for stage in stages if stage.id in IN_A_ZONE for check in stage.checks)
    values: dict[str, Any] = {
        "format": FORMAT,
        "agent": str(prepared.settings.id),
        "passed": tried and all(check.outcome != "fail" for check in checks),
        "quick": quick,
        "begun": begun.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "versions": {
            "sifzone": _version("sifzone"),
            "python": platform.python_version(),
            "data_model": str(NEWEST),
            "schemas_sha256": _schemas_digest(),
        },
        "sources": _sources(prepared),
        "target": _target(prepared),
        "stages": [stage.plain() for stage in stages],
        "public_key": public_text(key),
    }
    return values | {"page_sha256": hashlib.sha256(page(values).encode()).hexdigest()}


def of_what(prepared: Prepared) -> str:
    """Return a digest of the agent's file and its mappings as they are now: they may change while it is certified.

    Raises:
        ConfigurationError: One of them is no longer there.
    """
    try:
        parts = json.dumps([_sources(prepared), _target(prepared)])
        return _files_digest([str(prepared.settings.file)], parts)
    except OSError as error:
        raise ConfigurationError(
            f"{prepared.settings.file}: it, or a mapping, cannot be read: {error.strerror}"
        ) from error


def prepare_folder(folder: Path) -> None:
    """Make the folder for a certificate, before anything takes its time.

    Raises:
        ConfigurationError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be written ({error.strerror}): name another with --out") from error


def write(folder: Path, values: Mapping[str, Any], key: Ed25519PrivateKey) -> None:
    """Write certificate, signature and page into a folder, each whole or not at all.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    prepare_folder(folder)
    write_text(folder / CERTIFICATE, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / SIGNATURE, sign(values, key))
    write_text(folder / PAGE, page(values))


def page(values: Mapping[str, Any]) -> str:
    """Return the certificate as one HTML page that works offline, runs no script and loads nothing."""
    # Imported here: every command of sifzone imports this module, and few write a page.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("agents.certify") / "certificate.html").read_text("utf-8"))
    # The style sheet is ours and has nothing of an agent in it.
    style = Markup((files("agents.workbench") / "doc.css").read_text("utf-8"))  # noqa: S704
    return template.render(c=values, fingerprint=fingerprint(str(values["public_key"])), style=style)


def _sources(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {
            **_connector(source.part.settings.connector),
            "mappings": [
                {
                    "name": mapping.name,
                    "object": mapping.object_type,
                    "sha256": _mapping_digest(mapping, mapping_document(source, mapping)),
                }
                for mapping in source.part.mappings
            ],
        }
        for source in prepared.sources
    ]


def _target(prepared: Prepared) -> dict[str, Any] | None:
    target = prepared.settings.target
    if target is None:
        return None
    digests = [{"name": name, "sha256": _files_digest([_opened(prepared, name).file])} for name in target.mapping]
    return {**_connector(target.connector), "mappings": digests}


def _connector(name: str) -> dict[str, str]:
    """Return a connector with the package that it is from."""
    entry = next(iter(entry_points(group=GROUP, name=name)), None)
    package = entry.dist.name if entry is not None and entry.dist is not None else ""
    return {"connector": name, "package": package, "version": _version(package) if package else ""}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _opened(prepared: Prepared, name: str) -> Document:
    settings = prepared.settings
    where: str | Path = settings.folder / name if name.endswith(".toml") else name
    return open_document(where, site_library(settings))


def _mapping_digest(mapping: InwardMapping, document: Document) -> str:
    """Return a digest that changes with the mapping's file, its bases, its keys and its code tables."""
    used = {document.file, *(line.file for line in mapping.lines if line.file)}
    tables = {line.codes.name: sorted(line.codes.codes.items()) for line in mapping.lines if line.codes is not None}
    read = [[line.kind, line.target, line.sources, line.convert, line.const, line.default] for line in mapping.lines]
    return _files_digest(used, json.dumps([read, sorted(tables.items())], ensure_ascii=False))


def _files_digest(names: Sequence[str] | set[str], more: str = "") -> str:
    digest = hashlib.sha256(more.encode())
    for name in sorted(names):
        digest.update(Path(name).read_bytes())
    return digest.hexdigest()


def _schemas_digest() -> str:
    digest = hashlib.sha256()
    for part in _schema_files(files("schemas")):
        digest.update(part.name.encode() + part.read_bytes())
    return digest.hexdigest()


def _schema_files(folder: Traversable) -> Iterator[Traversable]:
    for part in sorted(folder.iterdir(), key=lambda each: each.name):
        if part.is_dir():
            yield from _schema_files(part)
        elif part.name.endswith(_SCHEMA_FILES):
            yield part


__all__ = ["CERTIFICATE", "certificate", "of_what", "page", "prepare_folder", "write"]
