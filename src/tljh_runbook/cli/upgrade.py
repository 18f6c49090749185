"""The commands that check, upgrade and prove."""

from __future__ import annotations

import sys
from typing import Any

import click

from tljh_runbook import program, show, terminal
from tljh_runbook.cli.options import INTERRUPTED, fail, on_hub
from tljh_runbook.errors import PromiseBroken
from tljh_runbook.hub import checks, upgrade, worker
from tljh_runbook.hub.source import Source


@click.command()
@on_hub()
def check(source: Source, *, as_json: bool) -> None:
    """Say every reason not to start an upgrade, each with its remedy. Changes nothing.

    \b
    Example:
      tljh-runbook check --hub /opt/tljh
    """
    findings = checks.run(source)
    if as_json:
        rows = [
            {"check": each.name, "ok": not each.error, "found": each.found, "warning": each.warning}
            for each in findings
        ]
        terminal.data(rows)
    else:
        show.findings(findings)
    for finding in findings:
        if finding.error:
            sys.exit(finding.error.code)


@click.command(name="upgrade")
@click.option("--detach", is_flag=True, help="Start it and return; status shows how it goes.")
@click.option("--worker", "working", is_flag=True, hidden=True)
@on_hub()
def upgrade_(source: Source, *, detach: bool, working: bool, as_json: bool) -> None:
    """Upgrade TLJH and its plugins as the settings ask, and prove that the promises held.

    It goes on by itself, whatever becomes of this terminal. It needs a snapshot of the last hour,
    and does nothing at all when everything is as asked.

    \b
    Examples:
      tljh-runbook upgrade
      tljh-runbook upgrade --detach
    """
    if working:
        sys.exit(worker.run(source))
    try:
        worker.start(source.hub, [*program.command(), *sys.argv[1:], "--worker"])
        end = None if detach else worker.follow(source.hub, show.event if not as_json else _quiet)
    except KeyboardInterrupt:
        told = terminal.typed("An upgrade that has begun goes on. See how: tljh-runbook status")
        click.echo(f"\n{told}", err=True)
        sys.exit(INTERRUPTED)
    if end:
        _ended(end, as_json=as_json)
    elif as_json:
        terminal.data({"begun": True})
    else:
        terminal.line("The upgrade has begun. See how it goes: tljh-runbook status")


@click.command()
@on_hub()
def prove(source: Source, *, as_json: bool) -> None:
    """Measure the promises now, and compare with what was measured before the last upgrade.

    \b
    Example:
      tljh-runbook prove --hub /opt/tljh
    """
    report = upgrade.prove(source)
    if as_json:
        terminal.data(report.to_json() if report else None)
    elif report:
        show.report(report.to_json())
    else:
        terminal.line("The last upgrade changed nothing, so there is nothing to prove.")
    try:
        upgrade.require_kept(report.verdicts if report else [])
    except PromiseBroken as error:
        fail(error, as_json=False)  # the report on standard output says it as data


def _quiet(event: dict[str, Any]) -> None:
    """Show nothing of an event."""


def _ended(end: dict[str, Any], *, as_json: bool) -> None:
    """Show how an upgrade ended; leave with its exit code."""
    if as_json:
        terminal.data(end)
    else:
        show.report(end["report"])
    if end["error"]:
        terminal.error(end["error"]["message"], end["error"]["hint"])
        sys.exit(end["code"])


COMMANDS = (check, upgrade_, prove)
