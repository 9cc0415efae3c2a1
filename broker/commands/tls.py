"""The command ``sifzone tls``: a CA and certificates for trying out the gateway, and what zone.toml says of them."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from broker.commands.common import console
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import ZoneId, parse_zone_id
from broker.tls import (
    RENEW_BEFORE,
    client_certificate,
    expires,
    fingerprint,
    hosts_of,
    is_for,
    issue_client,
    issue_server,
    make_authority,
    read_certificate,
)

app = typer.Typer(
    help="Certificates for trying out the gateway.",
    epilog="Examples:  sifzone tls init --zone my-zone   ·   sifzone tls init --host zone.example.org --agent merlin",
    no_args_is_help=True,
)

_FOLDER: Final = "state/tls"
_GATEWAY: Final = "gateway.pem"
_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_MADE: Final = "Wrote"
_RENEWED: Final = "Renewed"
_KEPT: Final = "Was there already, left as it is"
_RENEW: Final = "issue it again with --renew"


@app.callback()
def tls() -> None:
    """Certificates for trying out the gateway."""  # with a callback, a single command keeps its name


@app.command(epilog="Examples:  sifzone tls init --agent merlin   ·   sifzone tls init --host zone.example.org --renew")
def init(
    zone: Annotated[
        Path, typer.Option("--zone", "-z", envvar="SIFZONE_ZONE", help="The zone's folder, with zone.toml in it.")
    ] = Path(),
    host: Annotated[
        list[str] | None,
        typer.Option(help=f"DNS name or IP address of the gateway, repeatable; without: {', '.join(_HOSTS)}."),
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="Id of an agent that needs a certificate; repeatable.")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Issue the gateway's and the named agents' certificates again.")
    ] = False,
) -> None:
    """Make a CA, the gateway's certificate and one for each agent named, below state/tls, and say what to do next.

    What is there already is left as it is. With --renew, certificates get new dates and fingerprints but keep their
    keys, and the gateway's keeps its hosts unless others are named.
    """
    zone_id = _read_id(zone / "zone.toml")
    folder = zone / _FOLDER
    clients = {name: client_certificate(folder, name) for name in agent or ()}
    made = make_authority(folder, zone_id)
    outdated = made and not renew and any(path.exists() for path in (folder / _GATEWAY, *clients.values()))
    done = _MADE if made else _KEPT
    _tell(folder / "ca.pem", f"the CA of zone {zone_id}", done, "remove it and its key for a new CA")
    _init_gateway(folder, host or (), renew=renew)
    for name, path in clients.items():
        done = _done(path, renew=renew)
        issue_client(folder, name, force=renew)
        _tell(path, f"the certificate of agent {name}", done, _RENEW)
        _say(f"  fingerprint sha256:{fingerprint(read_certificate(path))}")
    if outdated:
        _say("What was there already, another CA signed: issue it again with --renew, and name all its agents.")
    _say("\nPut into zone.toml:\n")
    for line in _settings(clients):
        _say(line)
    _say("")
    if clients:
        _say(f"Hand each agent its certificate, its key (ID-key.pem beside it) and {folder / 'ca.pem'}.")
    _say("This CA is for trying out: its key lies beside it, and nothing it signed can be revoked.")
    _say("For real data, use certificates of your authority's own CA.")


def _init_gateway(folder: Path, hosts: Sequence[str], *, renew: bool) -> None:
    path = folder / _GATEWAY
    done = _done(path, renew=renew)
    before = () if done == _MADE else hosts_of(read_certificate(path))
    path = issue_server(folder, hosts or before or _HOSTS, force=renew)
    pem = read_certificate(path)
    _tell(path, f"the gateway's certificate, for {', '.join(hosts_of(pem))}", done, _RENEW)
    absent = [one for one in hosts if not is_for(pem, one)]
    if absent:
        _say(f"  It is not for {', '.join(absent)}: {_RENEW}.")


def _done(path: Path, *, renew: bool) -> str:
    if not path.exists():
        return _MADE
    return _RENEWED if renew else _KEPT


def _tell(path: Path, what: str, done: str, remedy: str) -> None:
    until = expires(read_certificate(path))
    _say(f"{done}: {path}, {what}, until {until:%Y-%m-%d}")
    if until - datetime.now(UTC) < RENEW_BEFORE:
        _say(f"  That is soon, or over: {remedy}.")


def _settings(clients: Mapping[str, Path]) -> Iterable[str]:
    """Return the lines of zone.toml that use the certificates, the agents' as the CA signed them."""
    yield from ("[gateway]", f'certificate = "{_FOLDER}/gateway.pem"', f'key = "{_FOLDER}/gateway-key.pem"')
    for agent, path in clients.items():
        shown = fingerprint(read_certificate(path))
        table = f'"{agent}"' if "." in agent else agent  # a dot would make two keys of it
        yield from (f"[agents.{table}.gateway]", 'credential = "certificate"', f'ca = "{_FOLDER}/ca.pem"')
        yield f'subject = "{agent}"          # or: fingerprint = "{shown}"'


def _read_id(path: Path) -> ZoneId:
    """Return the zone's id; the rest of zone.toml may still be without what it needs."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("id")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.parent} has no zone.toml: name the folder of a zone") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, str):
        raise ConfigurationError(f'{path}: id is missing: write id = "my-zone" at its top')
    try:
        return parse_zone_id(found)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _say(text: str) -> None:
    console.print(text, soft_wrap=True)
