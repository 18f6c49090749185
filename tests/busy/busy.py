"""Upgrade a busy hub and roll it back; lose servers on purpose: ``./invoke test.busy``.

What users and the culler do must never be held against an upgrade; what the hub loses always must.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowd import VICTIM, Crowd

from tljh_runbook import errors
from tljh_runbook.hub import processes, services, settings
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services
from tljh_runbook.sandbox.layout import Layout, layout
from tljh_runbook.sandbox.processes import end_all

TOOL = Path(sys.executable).with_name("tljh-runbook")
WENT_WRONG = {"upgrade": errors.UpgradeTakenBack.code, "rollback": errors.PromiseBroken.code}


@dataclass(frozen=True)
class Run:
    """One upgrade or rollback, and how it ended; times in seconds."""

    task: str
    loses: bool
    seconds: float
    code: int
    told: str
    hub_down: float

    @property
    def right(self) -> bool:
        """Whether a loss was seen, and nothing else was taken for one."""
        if self.loses:
            return self.code == WENT_WRONG[self.task] and VICTIM in self.told
        return self.code == 0


@contextmanager
def sandbox() -> Iterator[Layout]:
    """Build a sandbox with a culler that is quick, and take it down."""
    with tempfile.TemporaryDirectory(prefix="busy-") as folder:
        place = layout(Path(folder) / "box")
        place.root.mkdir()
        command = [sys.executable, "-m", "tljh_runbook.sandbox", "up", str(place.root)]
        try:
            subprocess.run([*command, "--take-down", "invoke test.busy"], check=True)
            yield place
        finally:
            end_all(place)


def cull_quickly(place: Layout, manager: Services) -> None:
    config = place.config / "config.yaml"
    text = config.read_text(encoding="utf-8")
    start = text.index("  cull:\n")
    end = text.index("  tljh_plasma:", start)
    quick = "  cull:\n    timeout: 30\n    every: 5\n"
    config.write_text(text[:start] + quick + text[end:], encoding="utf-8")
    manager.restart(services.HUB)


def tool(place: Layout, *words: str) -> dict[str, Any]:
    command = [str(TOOL), *words, "--json", "--hub", str(place.prefix)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"code": done.returncode, "error": {"message": done.stderr}, "report": None}
    return found


def lose(manager: Services, pid: int, stop: threading.Event) -> None:
    """End a user's server as soon as the hub is down: nobody can have asked for that."""
    running = manager.pid(services.HUB)
    while not stop.wait(0.05):
        with suppress(errors.RunbookError):
            if manager.pid(services.HUB) != running and not _lives(running):
                os.kill(pid, signal.SIGKILL)
                return


def _lives(pid: int | None) -> bool:
    return pid is not None and processes.started(pid) is not None


def carry_out(place: Layout, crowd: Crowd, manager: Services, task: str, *, loses: bool) -> Run:
    pid, stop = crowd.victim(), threading.Event()
    loser = threading.Thread(target=lose, args=(manager, pid, stop))
    if loses:
        loser.start()
    began = time.monotonic()
    end = tool(place, *(["rollback", "--yes"] if task == "rollback" else [task]))
    seconds = time.monotonic() - began
    stop.set()
    if loses:
        loser.join()
    report = end.get("report") or {}
    verdicts = {each["promise"]: each for each in report.get("verdicts", ())}
    told = (end.get("error") or {}).get("message") or verdicts["user servers"]["measured"]
    away = {each["name"]: each["away"] for each in report.get("outages", ())}
    return Run(task, loses, seconds, int(end["code"]), told, away.get("hub", 0.0))


def rounds(place: Layout, wanted: int, every: int, chance: random.Random) -> Iterator[Run]:
    """Yield as many upgrades and rollbacks as ``wanted``; in one of ``every`` a server is lost."""
    hub = Hub(place.prefix)
    manager = services.of(hub, settings.load(hub))
    address = json.loads(place.record.read_text(encoding="utf-8"))["address"]
    cull_quickly(place, manager)
    with Crowd(place, address, chance) as crowd:
        crowd.victim()
        task = "upgrade"
        for number in range(1, wanted + 1):
            if number % 10 == 1:
                assert tool(place, "backup")["code"] == 0
            run = carry_out(place, crowd, manager, task, loses=number % every == 0)
            yield run
            # An upgrade that was rolled back is tried again.
            if not (run.task == "upgrade" and run.code == WENT_WRONG["upgrade"]):
                task = "rollback" if run.task == "upgrade" else "upgrade"
        print("Meanwhile users did:", ", ".join(f"{n} x {what}" for what, n in crowd.done.items()))
    log = (place.logs / "jupyterhub.log").read_text(encoding="utf-8", errors="replace")
    culled = sum("DELETE" in line and "cull-idle" in line for line in log.splitlines())
    print(f"The culler stopped {culled} servers.")


def main() -> None:
    """Carry out what was asked, and end with 1 where a verdict was wrong."""
    parser = argparse.ArgumentParser(prog="./invoke test.busy", description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="upgrades and rollbacks, in turn")
    parser.add_argument("--lose", type=int, default=5, help="in one of so many a server is lost")
    parser.add_argument("--seed", type=int, default=0, help="what users do is drawn from it")
    asked = parser.parse_args()
    counted: Counter[str] = Counter()
    with ExitStack() as stack:
        place = stack.enter_context(sandbox())
        chance = random.Random(asked.seed)  # noqa: S311 - to be tried again
        for number, run in enumerate(rounds(place, asked.runs, asked.lose, chance), start=1):
            counted[f"{'lost' if run.loses else 'left'} {'right' if run.right else 'WRONG'}"] += 1
            print(
                f"{number:3} {run.task:8} {'a server is lost' if run.loses else '':16} "
                f"{'right' if run.right else 'WRONG'} code {run.code:2} {run.seconds:6.1f} s, "
                f"hub down {run.hub_down:5.1f} s: {run.told}",
                flush=True,
            )
    print(json.dumps(counted))
    sys.exit(any("WRONG" in kind for kind in counted))


if __name__ == "__main__":
    main()
