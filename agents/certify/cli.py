"""The commands ``sifzone certify AGENT.toml`` and ``sifzone certify verify FILE``; what they do is the package's."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from agents.explained import explained
from agents.private_zone import MANAGEMENT_VARIABLE, RABBITMQ_VARIABLE, given_server
from broker.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from agents.certify.outcomes import Stage

_RUN: Final = "run"
_MARKS: Final = {"pass": ("pass", "green"), "fail": ("FAIL", "red"), "not applicable": ("n/a", "yellow")}
_PIPED_WIDTH: Final = 200


class _RunUnlessNamed(TyperGroup):
    """Takes what is no command's name for the file of an agent to be certified."""

    # Any: typer brings a click of its own, or uses the one that is installed, depending on its version.
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the words name; ``run`` where the first of them names none."""
        return super().resolve_command(ctx, [_RUN, *args] if args and args[0] not in self.commands else args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let options of ``run`` come before the file."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunUnlessNamed,
    help="Certify an agent: sifzone certify AGENT.toml tries all of it in a private zone and signs what was found.",
    epilog="Examples: sifzone certify mis.toml · sifzone certify mis.toml --quick --out certificate · "
    "sifzone certify verify certificate/certificate.json",
    no_args_is_help=True,
)


@app.command(
    _RUN,
    epilog="Examples: sifzone certify mis.toml · sifzone certify mis.toml --quick · "
    "sifzone certify mis.toml --out certificate --key signing.key",
)
def run(
    file: Annotated[Path, typer.Argument(metavar="AGENT.toml", help="The agent's file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the certificate; certificate-ID when left out.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Ed25519 key to sign with, a PEM file that is there; when left out one is made."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few codes of each list only.")] = False,
    rabbitmq: Annotated[
        str, typer.Option(envvar=RABBITMQ_VARIABLE, help="A RabbitMQ for tests, instead of one that is started.")
    ] = "",
    management: Annotated[str, typer.Option(envvar=MANAGEMENT_VARIABLE, help="Its management API.")] = "",
) -> None:
    """Certify an agent; its own state, files, target and zone are not touched.

    It is given made-up records and damaged files in a private zone, is killed and started again. Exit code 0: all
    checks that apply have passed. 1: one has not. 2: its file or an option is wrong, or there can be no private zone.
    """
    with explained():
        # Imported here: every command of sifzone imports this module.
        from agents.certify import report
        from agents.certify.prepared import prepare
        from agents.certify.running import certify, titles
        from agents.settings import read_settings

        server = given_server(rabbitmq, management)
        signing = _signing_key(key)
        begun = datetime.now(UTC)
        prepared = prepare(read_settings(file), quick=quick)
        folder = out or Path(f"certificate-{prepared.settings.id}")
        report.prepare_folder(folder)
        what = report.of_what(prepared)
        stages = []
        with _shown(titles(prepared)) as (told, done):
            for stage in certify(prepared, quick=quick, server=server, told=told):
                stages.append(stage)
                done(stage)
        if report.of_what(prepared) != what:
            raise ConfigurationError(f"{file}: it, or a mapping, was changed while it was certified: run this again")
        values = report.certificate(prepared, stages, begun, datetime.now(UTC), signing, quick=quick)
        report.write(folder, values, signing)
    _tell(values, folder)
    if not values["passed"]:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: sifzone certify verify certificate/certificate.json · "
    "sifzone certify verify certificate.json --key maker.pem"
)
def verify(
    file: Annotated[Path, typer.Argument(help="certificate.json, with certificate.sig beside it.")],
    key: Annotated[
        str, typer.Option("--key", help="Public key that must have signed it: a PEM file, or its 44 characters.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Verify that a certificate is as it was signed. Exit code 0: it is. 1: it is not. 2: the key is none.

    Whether the agent has passed is another matter, which the certificate says.
    """
    with explained():
        from agents.certify import signing

        found = signing.verify(file, key)
    values = found.values
    if as_json:
        said = {"verified": True, "key_known": found.known, "fingerprint": found.fingerprint}
        typer.echo(json.dumps(said | {"agent": values.get("agent"), "passed": values.get("passed")}, indent=2))
        return
    typer.echo(f"{file}: as it was signed, with key {found.fingerprint}")
    if not found.known:
        typer.echo(
            "That shows only that nothing was changed since. Whose key it is, it cannot say, for anybody can make one: "
            "compare it with what its maker gave you, or name theirs: --key"
        )
    passed = "passed" if values.get("passed") is True else "NOT passed"
    quick = ", in a quick certification" if values.get("quick") else ""
    typer.echo(f"Agent {_plain(values.get('agent'))}, {_plain(values.get('ended'))}: {passed}{quick}")


def _signing_key(named: Path | None) -> Any:
    """Return the key to sign with; makes one, and says where, when none is named and there is none yet."""
    from agents.certify.signing import load_key, make_key, usual_key

    path = named or usual_key()
    if named is not None or path.exists():
        return load_key(path)
    made = make_key(path)
    typer.echo(f"Made a key to sign with: {path} (only you can read it; keep a copy)", err=True)
    return made


@contextmanager
def _shown(titles: list[str]) -> Iterator[tuple[Callable[[str], None], Callable[["Stage"], None]]]:
    """Give what is told of each thing to come and of each stage done: a bar on a terminal, else a line each."""
    console = Console(stderr=True, markup=False, width=None if sys.stderr.isatty() else _PIPED_WIDTH)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("Begins", total=len(titles))

        def told(title: str) -> None:
            position = titles.index(title) if title in titles else 0
            bars.update(task, description=title, completed=position)

        def done(stage: "Stage") -> None:
            counts = {outcome: sum(check.outcome == outcome for check in stage.checks) for outcome in _MARKS}
            words = ", ".join(f"{number} {_MARKS[outcome][0]}" for outcome, number in counts.items() if number)
            console.print(
                f"{stage.title}: {words} ({stage.seconds:.1f} s)", style=None if not counts["fail"] else "red"
            )
            for check in stage.checks:
                if check.outcome == "fail":
                    console.print(f"  FAIL {check.name}: {check.detail}", style="red")

        yield told, done


def _tell(values: dict[str, Any], folder: Path) -> None:
    """Print what was found, and where it is written."""
    checks = [check for stage in values["stages"] for check in stage["checks"]]
    counts = {outcome: sum(check["outcome"] == outcome for check in checks) for outcome in _MARKS}
    typer.echo(
        f"Agent {values['agent']}: {'PASSED' if values['passed'] else 'NOT PASSED'}: {counts['pass']} checks passed, "
        f"{counts['fail']} failed, {counts['not applicable']} not applicable"
    )
    if not values["passed"] and not counts["fail"]:
        typer.echo("  Nothing has failed, but nothing could be tried in a zone, either.")
    for check in checks:
        if check["outcome"] == "not applicable":
            typer.echo(f"  does not apply: {check['name']}: {check['detail']}")
    typer.echo(f"Written to {folder}: certificate.json, certificate.sig, and certificate.html to look at")
    typer.echo(f"Verify it: sifzone certify verify {folder / 'certificate.json'}")


def _plain(value: object) -> str:
    """Return a value of somebody else's certificate for the screen."""
    return "".join(character if character.isprintable() else "?" for character in str(value)[:80])


__all__ = ["app"]
