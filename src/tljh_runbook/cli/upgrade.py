"""The commands that check, upgrade and prove."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from tljh_runbook import show, terminal
from tljh_runbook.cli import run as runs
from tljh_runbook.cli.options import fail, on_hub
from tljh_runbook.cli.run import detachable
from tljh_runbook.errors import GuaranteeBroken
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.settings.settings_groups import MOST_MINUTES
from tljh_runbook.hub.upgrade import upgrade, verification
from tljh_runbook.hub.upgrade.check import checks

SECURITY = click.option(
    "--security", is_flag=True, help="Install only what fixes a known vulnerability."
)


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
            {
                "check": each.name,
                "ok": not each.error,
                "found": each.found,
                "warning": each.warning,
                "commands": each.commands,
            }
            for each in findings
        ]
        terminal.data(rows)
    else:
        show.findings(findings)
    for finding in findings:
        if finding.error:
            sys.exit(finding.error.code)


@click.command()
@SECURITY
@detachable
@on_hub()
def rehearse(source: Source, *, security: bool, detach: bool, run: str, as_json: bool) -> None:
    """Prepare the upgrade beside the live hub, try it on copies, and say what would change.

    The live hub, its users and their servers do not notice: it is safe at noon on a working day.
    Nothing is left of it but what it says.

    \b
    Examples:
      tljh-runbook rehearse
      tljh-runbook rehearse --security
    """
    work = upgrade.rehearse_fix if security else upgrade.rehearse
    runs.carry_out(source, "rehearse", work, run, detach=detach, as_json=as_json)


@click.command(name="upgrade")
@click.option(
    "--when-quiet",
    type=click.IntRange(0, MOST_MINUTES),
    metavar="MINUTES",
    help="Wait so long until nobody computes, instead of the setting; 0: do not wait.",
)
@click.option(
    "--confirm-within",
    type=click.IntRange(0, MOST_MINUTES),
    metavar="MINUTES",
    help="Roll it back automatically unless it is confirmed in that time, instead of the setting.",
)
@SECURITY
@detachable
@on_hub()
def upgrade_(  # noqa: PLR0913 - each is an option that a person types
    source: Source,
    *,
    when_quiet: int | None,
    confirm_within: int | None,
    security: bool,
    detach: bool,
    run: str,
    as_json: bool,
) -> None:
    """Upgrade TLJH and its plugins as the settings ask, and verify that the guarantees held.

    It goes on when this terminal is closed. It needs a snapshot of the last hour, and does nothing
    at all when everything is as asked. When a guarantee is broken, or the hub does not become
    healthy, the upgrade is rolled back automatically.

    With --security it leaves TLJH and the plugins as they are, and installs only what fixes a known
    vulnerability.

    \b
    Examples:
      tljh-runbook upgrade
      tljh-runbook upgrade --security
      tljh-runbook upgrade --detach
      tljh-runbook upgrade --when-quiet 120 --confirm-within 30
    """
    source = _asked(source, quiet_within=when_quiet, confirm_within=confirm_within)
    work = upgrade.fix if security else upgrade.work
    runs.carry_out(source, "upgrade", work, run, detach=detach, as_json=as_json)


@click.command()
@on_hub()
def prove(source: Source, *, as_json: bool) -> None:
    """Measure the guarantees now, and compare with what was measured before the last upgrade.

    \b
    Example:
      tljh-runbook prove --hub /opt/tljh
    """
    report = verification.prove(source)
    if as_json:
        terminal.data(report.to_json() if report else None)
    elif report:
        show.report(report.to_json())
    else:
        terminal.line("The last upgrade changed nothing, so there is nothing to prove.")
    try:
        verification.require_kept(report.verdicts if report else [])
    except GuaranteeBroken as error:
        fail(error, as_json=False)  # the report on standard output says it as data


def _asked(source: Source, **typed: int | None) -> Source:
    """Return the hub with the settings of its upgrade that were typed."""
    given: dict[str, Any] = {key: value for key, value in typed.items() if value is not None}
    asked = replace(source.settings.upgrade, **given)
    return replace(source, settings=replace(source.settings, upgrade=asked))


COMMANDS = (check, rehearse, upgrade_, prove)
