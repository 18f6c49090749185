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
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "hub"))

import losses  # noqa: E402
import releases  # noqa: E402
from crowd import LIGHT, VICTIM, Crowd  # noqa: E402

from tljh_runbook import errors  # noqa: E402
from tljh_runbook.hub.core import settings  # noqa: E402
from tljh_runbook.hub.core.layout import Hub  # noqa: E402
from tljh_runbook.hub.servers.background import Background  # noqa: E402
from tljh_runbook.hub.system import services  # noqa: E402
from tljh_runbook.sandbox.layout import Layout, layout  # noqa: E402
from tljh_runbook.sandbox.processes import end_all  # noqa: E402

TOOL = Path(sys.executable).with_name("tljh-runbook")
WENT_WRONG = {"upgrade": errors.UpgradeRolledBack.code, "rollback": errors.GuaranteeBroken.code}
# The hub's patience, and that of upgrades, is short: a round is to take no longer than it must.
CONFIG = f"""
def lighten(spawner):
    if spawner.user.name in {[*LIGHT, VICTIM]}:
        spawner.cmd, spawner.args = [{sys.executable!r}, {str(TESTS / "busy" / "server.py")!r}], []
    else:
        spawner.http_timeout = 120

c.Spawner.pre_spawn_hook = lighten
c.Spawner.http_timeout = 15  # for which the hub looks for a server when it starts
c.LocalProcessSpawner.interrupt_timeout = c.LocalProcessSpawner.term_timeout = 1
"""
# Longer than the hub is down, else those who are at work are culled, too.
QUICK_CULLER = "  cull:\n    timeout: 90\n    every: 5\n"
SETTINGS = """
services: supervisor
upgrade:
  tljh: {tljh}
  plugins: []
  healthy_for: 2
  healthy_within: 120
  snapshot_age: 10000
"""


@dataclass(frozen=True)
class Run:
    """One upgrade or rollback, and how it ended; times in seconds."""

    task: str
    loss: str
    seconds: float
    code: int
    told: str
    hub_down: float

    @property
    def right(self) -> bool:
        """Whether a loss was seen, and nothing else was taken for one."""
        if self.loss:
            return self.code == WENT_WRONG[self.task] and VICTIM in self.told
        return self.code == 0

    def __str__(self) -> str:
        return (
            f"{self.task:8} {self.loss:8} {'right' if self.right else 'WRONG'} code {self.code:2} "
            f"{self.seconds:6.1f} s, hub down {self.hub_down:5.1f} s: {self.told}"
        )


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


def prepare(place: Layout) -> None:
    """Have a quick culler, users whose servers start at once, and one snapshot to start from."""
    config = place.config / "config.yaml"
    text = config.read_text(encoding="utf-8")
    start, end = text.index("  cull:\n"), text.index("  tljh_plasma:")
    config.write_text(text[:start] + QUICK_CULLER + text[end:], encoding="utf-8")
    (place.config / "jupyterhub_config.d" / "users.py").write_text(CONFIG, encoding="utf-8")
    wanted = SETTINGS.format(tljh=releases.patch(place))
    place.settings.write_text(wanted, encoding="utf-8")
    assert tool(place, "backup")["code"] == 0
    manager(place).restart(services.HUB)


def manager(place: Layout) -> services.Services:
    hub = Hub(place.prefix)
    return services.of(hub, settings.load(hub))


def tool(place: Layout, *words: str) -> dict[str, Any]:
    command = [str(TOOL), *words, "--json", "--hub", str(place.prefix)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {"code": done.returncode}
    with suppress(ValueError):
        return {**found, **json.loads(done.stdout)}
    return {**found, "error": {"message": done.stderr}}


def carry_out(place: Layout, crowd: Crowd, task: str, loss: str) -> Run:
    """Upgrade, or roll back, and lose the victim's server meanwhile where ``loss`` says how."""
    pid = crowd.victim()
    works = [losses.of(loss, place, manager(place), pid)] if loss else []
    began = time.monotonic()
    with Background(*works):
        end = tool(place, *(["rollback", "--yes"] if task == "rollback" else [task]))
    seconds = time.monotonic() - began
    if loss:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        crowd.forget()
    report = end.get("report") or {}
    verdicts = {each["guarantee"]: each for each in report.get("verdicts", ())}
    told = (end.get("error") or {}).get("message") or verdicts["user servers"]["measured"]
    down = {each["name"]: each["away"] for each in report.get("outages", ())}
    return Run(task, loss, seconds, int(end["code"]), told, down.get("hub", 0.0))


def runs(place: Layout, wanted: int, every: int, chance: random.Random) -> Iterator[Run]:
    """Yield as many upgrades and rollbacks as ``wanted``; in one of ``every`` a server is lost."""
    address = json.loads(place.record.read_text(encoding="utf-8"))["address"]
    with Crowd(place, address, chance) as crowd:
        task = "upgrade"
        for number in range(1, wanted + 1):
            kind = losses.KINDS[number // every % len(losses.KINDS)]
            run = carry_out(place, crowd, task, "" if number % every else kind)
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
        prepare(place)
        chance = random.Random(asked.seed)  # noqa: S311 - to be tried again
        for number, run in enumerate(runs(place, asked.runs, asked.lose, chance), start=1):
            counted[f"{'lost' if run.loss else 'left'} {'right' if run.right else 'WRONG'}"] += 1
            print(f"{number:3} {run}", flush=True)
    print(json.dumps(counted))
    sys.exit(any("WRONG" in kind for kind in counted))


if __name__ == "__main__":
    main()
