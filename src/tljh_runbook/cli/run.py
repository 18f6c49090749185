"""What the commands of runs have in common: apart from the terminal, or on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import click

from tljh_runbook import program, show, terminal
from tljh_runbook.cli.options import INTERRUPTED
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import worker
from tljh_runbook.hub.runs.journal import NAMES, Event, Journal
from tljh_runbook.hub.schedule import notice, run_notice
from tljh_runbook.hub.upgrade.finish import cut_off, recovery

DETACH = click.option(
    "--detach", is_flag=True, help="Start it and return; `progress` shows how it goes."
)
WORKER = click.option("--worker", "run", default="", hidden=True)


def detachable(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option to run apart from the terminal, and what its process is told."""
    return DETACH(WORKER(command))


class Teller:
    """Tells what is being done: the terminal, and the journal once there is one."""

    def __init__(self, log: Journal | None = None) -> None:
        self.log = log

    def phase(self, text: str) -> None:
        """Tell what begins."""
        terminal.progress(text)
        if self.log:
            self.log.phase(text)

    def line(self, text: str) -> None:
        """Tell how far it is."""
        terminal.progress(text)
        if self.log:
            self.log.progress(text)


def carry_out(  # noqa: PLR0913 - each is what a person has typed
    source: Source,
    task: str,
    work: Callable[[Source, Journal], None],
    run: str,
    *,
    detach: bool,
    as_json: bool,
) -> None:
    """Do ``work`` apart from this terminal, and show it; or be the process that does it."""
    if run:
        sys.exit(work_apart(source, task, work, run))
    if detach:
        begin(source, task, as_json=as_json)
        return
    with going_on(task):
        start(source, task)
    follow(source, task, as_json=as_json)


def work_apart(source: Source, task: str, work: Callable[[Source, Journal], None], run: str) -> int:
    """Do ``work`` as the process of a run, tell whom the settings name; return the exit code."""
    code = worker.run(source.hub, task, partial(work, source), run)
    told = run_notice.message(source, task)
    if told:
        lines = [terminal.clean(terminal.typed(line)) for line in told.lines]
        wrong = notice.mail(source.settings.scheduled.mail_to, lines, told.attached)
        if wrong:
            terminal.warning(wrong)
    return code


def start(source: Source, task: str) -> None:
    """Start what was typed apart from this terminal; return when it has started."""
    worker.start(
        source,
        task,
        program.command(),
        sys.argv[1:],
        after=recovery.after(source, task),
        explain=cut_off.explain,
    )


def begin(source: Source, task: str, *, as_json: bool) -> None:
    """Start what was typed apart from this terminal, and say so."""
    with going_on(task):
        start(source, task)
    if as_json:
        terminal.data({"begun": True})
    else:
        terminal.line(
            f"The {NAMES[task]} has started. See how it goes: tljh-runbook progress {task}"
        )


def follow(source: Source, task: str, *, as_json: bool) -> None:
    """Show a run until its end, and how it ended; leave with its exit code."""
    with going_on(task):
        show_event = _quiet if as_json else show.event
        resumed = partial(recovery.is_resumed, source, task)
        end = worker.follow(source.hub, task, show_event, resumed, explain=cut_off.explain)
    if as_json:
        terminal.data(end)
    else:
        show.ended(task, end["report"])
    if end["error"]:
        terminal.error(end["error"]["message"], end["error"]["hint"])
        sys.exit(end["code"])


@contextmanager
def going_on(task: str) -> Iterator[None]:
    """Say after Ctrl-C that the run goes on, and leave."""
    try:
        yield
    except KeyboardInterrupt:
        known = (
            f"The {NAMES[task]} goes on if it has started. See how: tljh-runbook progress {task}"
        )
        click.echo(f"\n{terminal.typed(known)}", err=True)
        sys.exit(INTERRUPTED)


def _quiet(event: Event) -> None:
    """Show nothing of an event."""
