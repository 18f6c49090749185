"""The commands that show known vulnerabilities, and fetch a newer list of them."""

from __future__ import annotations

import click

from tljh_runbook import terminal
from tljh_runbook.cli.options import on_hub
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade.check import security_check
from tljh_runbook.hub.versions.security import assessment, refresh
from tljh_runbook.hub.versions.security.assessment import VULNERABLE, Assessment, Vulnerable


@click.group(invoke_without_command=True)
@on_hub()
def security(source: Source, *, as_json: bool) -> None:
    """Show the known vulnerabilities of the packages in the hub's environment.

    It compares the installed versions with a list of advisories that ships with this tool. It asks
    nobody, and changes nothing.

    \b
    Example:
      tljh-runbook security
    """
    found = assessment.of(source.hub)
    if as_json:
        terminal.data(found.to_json())
    else:
        _show(found)


@security.command(name="refresh")
@on_hub()
def refresh_(source: Source, *, as_json: bool) -> None:
    """Fetch a newer list of advisories, from where the settings say.

    A list that cannot be used, or is no newer, changes nothing.

    \b
    Example:
      tljh-runbook security refresh
    """
    found = refresh.refresh(source.hub, source.settings.security.advisories)
    if as_json:
        terminal.data({"as_of": found.as_of.isoformat(), "advisories": len(found.known)})
    else:
        terminal.line(f"The list of advisories in use is of {found.as_of}.")


def _show(found: Assessment) -> None:
    rows = [row for each in found.vulnerable for row in _rows(each)]
    if rows:
        terminal.table(["package", "severity", "advisory", "what"], rows)
    for each in found.vulnerable:
        terminal.line(f"{each.name} {each.version}: {_remedy(each)}")
    terminal.line(f"security: {found.words}")
    terminal.line(
        f"{found.covered} of {found.packages} packages are on the list of advisories, which is of "
        f"{found.as_of}."
    )
    if found.old or found.state == VULNERABLE:
        terminal.warning(security_check.warning(found))


def _rows(each: Vulnerable) -> list[list[str]]:
    return [
        [each.name, known.severity.lower(), known.id, known.summary] for known in each.advisories
    ]


def _remedy(each: Vulnerable) -> str:
    if each.fix:
        return f"fixed in {each.fix}"
    if each.beyond:
        return f"fixed in {each.beyond}, which is not allowed by {', '.join(each.against)}"
    return "no version without a known vulnerability is known"


COMMANDS = (security,)
