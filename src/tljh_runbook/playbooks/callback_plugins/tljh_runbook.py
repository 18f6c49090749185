"""Shows a playbook as an operator wants to see it: what each server is doing, while it does it.

ansible-playbook ends with the exit code of the hub's own error, so that a script that calls it
can tell one failure from another.
"""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

from tljh_runbook import hints
from tljh_runbook.guide.road import failures, outcome
from tljh_runbook.guide.road.failures import Failure, Server
from tljh_runbook.guide.road.log import Log
from tljh_runbook.guide.road.screen import Screen

DOCUMENTATION = """
    name: tljh_runbook
    type: stdout
    short_description: shows the progress of tljh-runbook
    description: Shows what is done in one line each, and the events of a run as they come.
"""
SLOW = 10  # seconds, from which on a task that changed nothing is shown, too
RUN = "run"  # the role that carries out what is asked; it tells by itself what is to be seen
SHOWN = "shown"  # the tag of its tasks whose output is for the operator
LAST = "last"  # the tag of its task that asks how the last run ended


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The stdout callback of our playbooks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "tljh_runbook"

    def __init__(self) -> None:
        super().__init__()
        self._screen = Screen()
        self._log: Log
        self._plays: list[str] = []
        self._meant: list[str] = []
        self._since: dict[tuple[str, str], float] = {}
        self._events: dict[tuple[str, str], int] = {}
        self._runs: dict[str, bool] = {}
        self._failures: dict[str, Failure] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # Our ansible.cfg lies at the top of the checkout: without it, this would not be called.
        checkout = Path(constants.CONFIG_FILE or "ansible.cfg").parent
        self._log = Log(checkout, Path(playbook._file_name).stem)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        name = play.get_name()
        if name not in self._plays:  # with `serial` it begins once for each server
            self._plays.append(name)
            self._screen.line(f"Playbook: {name}")
        self._log.write(f"PLAY {name}")
        inventory = play.get_variable_manager()._inventory
        hosts = inventory.get_hosts(play.hosts, ignore_restrictions=True)  # not this batch alone
        meant = [host.get_name() for host in hosts]
        self._meant += [each for each in meant if each not in self._meant]

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        name = host.get_name()
        self._since[name, task._uuid] = time.monotonic()
        if _role(task) != RUN:
            self._screen.doing(f"{name}: {_title(task)} …")

    def v2_runner_retry(self, result: Any) -> None:
        self._show_events(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write("ok", result)
        if _role(result._task) == RUN:
            self._show_run(result)
            return
        took = self._took(result)
        if result._result.get("changed") or took > SLOW:
            changed = "" if result._result.get("changed") else ", nothing changed"
            self._screen.line(f"{_host(result)}: {_title(result._task)} ({took:.1f} s{changed})")
        for line in _said(result):
            self._screen.line(f"{_host(result)}: {line}")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write("ignored" if ignore_errors else "failed", result)
        if _role(result._task) == RUN:
            self._show_run(result)
        elif not ignore_errors:
            self._screen.line(f"{_host(result)}: {_title(result._task)}: failed", "red")
        if not ignore_errors:
            self._failures[_host(result)] = failures.failed(result._result, _server(result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write("unreachable", result)
        self._failures[_host(result)] = failures.lost(result._result, _server(result))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write("skipped", result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._write("item ok", result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._write("item failed", result)

    def v2_on_file_diff(self, result: Any) -> None:
        """Show what `--diff` asks for."""
        diffs = [each.get("diff") for each in result._result.get("results", [result._result])]
        for diff in filter(None, diffs):
            for line in self._get_diff(diff).splitlines():
                self._screen.line(f"{_host(result)}: {line}", "dim")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._screen.close()
        for host in self._meant:
            self._sum_up(host, stats)
        if self._log.name:
            self._screen.line(f"The full log: {self._log.name}")
        else:
            self._screen.line(f"There is no log of this run: {self._log.failure}", error=True)
        if self._failures:
            # One that failed tells by its code why; several have none in common.
            first, *others = self._failures.values()
            raise SystemExit(failures.FAILED if others else first.code)

    def _sum_up(self, host: str, stats: Any) -> None:
        """Show how a server ended, in one line and a hint."""
        if failure := self._failures.get(host):
            self._log.write(f"{host} failed: {failure.message}")
            self._screen.line(f"{host}: failed: {failure.message}", "red", error=True)
            if failure.hint:
                for line in hints.lines(f"hint: {failure.hint}"):
                    self._screen.line(line, error=True)
        elif host not in stats.processed:
            self._screen.line(f"{host}: not started")
        elif host in self._runs:
            changed = ", changed" if stats.changed.get(host) else ", nothing changed"
            self._screen.line(f"{host}: done{changed if self._runs[host] else ''}")
        else:
            self._screen.line(f"{host}: changed={stats.changed.get(host, 0)}")

    def _show_run(self, result: Any) -> None:
        """Show what a task of our role has to tell."""
        self._runs.setdefault(_host(result), False)
        if SHOWN in result._task.tags:
            # Warnings, with their reasons, are on standard error.
            for stream in ("stdout", "stderr"):
                for line in str(result._result.get(stream, "")).splitlines():
                    self._screen.line(f"{_host(result)}: {line}")
        elif LAST in result._task.tags:
            self._show_last(result)
        else:
            self._show_events(result)

    def _show_last(self, result: Any) -> None:
        """Show how the last upgrade ended: the one who began it may have lost the connection."""
        last = failures.run_of(result._result)
        if not last or not last["events"]:
            return
        begun = f"the upgrade that began at {last['events'][0]['at']}"
        error = (last["end"] or {}).get("error")
        if last["running"]:
            told = f"{begun} still runs; this follows it"
        elif not last["end"]:
            told = f"{begun} was cut off before its end"
        elif error:
            told = f"{begun} failed: {error['message']}"
        else:
            why = failures.rolled_back(last)
            told = f"{begun} was rolled back: {why}" if why else f"{begun} ended well"
        self._screen.line(f"{_host(result)}: {told}")

    def _show_events(self, result: Any) -> None:
        """Show the events of a run that were not shown yet."""
        run = failures.run_of(result._result)
        events = run.get("events", [])
        key = (_host(result), result._task._uuid)
        for event in events[self._events.get(key, 0) :]:
            self._show(_host(result), event, run["task"])
        if events:
            self._events[key] = len(events)
            self._runs[_host(result)] = True

    def _show(self, host: str, event: dict[str, Any], task: str) -> None:
        text = str(event.get("text", ""))
        self._log.write(f"{host} {event['kind']} {text}")
        if event["kind"] == "phase":
            self._screen.line(f"{host}: {event['after']:6.1f} s  {text}")
        for told in outcome.told(task, event):
            self._screen.line(f"{host}: {told}")
        if text:
            self._screen.doing(f"{host}: {text} …", time.monotonic() - event["after"])

    def _took(self, result: Any) -> float:
        begun = self._since.get((_host(result), result._task._uuid), time.monotonic())
        return time.monotonic() - begun

    def _write(self, how: str, result: Any) -> None:
        """Write a result to the log: Ansible has left out already what must not be seen."""
        told = self._dump_results(result._result)
        self._log.write(f"{_host(result)} {how} [{result._task.get_name()}] {told}")


def _host(result: Any) -> str:
    return str(result._host.get_name())


def _said(result: Any) -> list[str]:
    """Return what a playbook says by itself, line by line."""
    if not str(result._task.action).endswith("debug"):
        return []
    said = result._result.get("msg", [])
    return [str(line) for line in (said if isinstance(said, list) else [said])]


def _title(task: Any) -> str:
    """Return what a task does, without the role that it is of."""
    return str(task.get_name()).rpartition(" : ")[2]


def _role(task: Any) -> str:
    return str(task._role.get_name()) if task._role else ""


def _server(result: Any) -> Server:
    """Return how the server is reached, as the inventory has it."""
    host = result._host
    given = context.CLIARGS["inventory"] or ["hosts"]
    # As it was typed: Ansible makes whole paths of them.
    inventory = " -i ".join(os.path.relpath(each) for each in given)
    values: dict[str, Any] = {}
    for group in sorted(host.get_groups(), key=lambda group: group.depth):
        values |= group.get_vars()
    values |= host.get_vars()
    address = str(values.get("ansible_host", host.get_name()))
    port = values.get("ansible_port")
    user = values.get("ansible_user")
    ssh = f"ssh {f'-p {port} ' if port else ''}{f'{user}@' if user else ''}{address}"
    entry = shlex.quote(f"[{address}]:{port}" if port else address)
    local = values.get("ansible_connection") == "local"
    return Server(local, address, entry, ssh, inventory)
