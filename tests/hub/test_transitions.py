"""An upgrade that is killed just before it notes a phase, and just after: each of them."""

from __future__ import annotations

import subprocess
import sys

import hub_folder
import pytest
from hub_fixtures import Live, resume, until
from test_staging import PREPARING, done, everything, pids, prepared_beside, texts

from tljh_runbook.hub.database import databases, sqlite
from tljh_runbook.hub.runs import journal, worker
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.swap import previous
from tljh_runbook.hub.versions import versions

pytestmark = pytest.mark.long
ALL_IS_BACK = "all is back"  # and what was needed for it can be removed
ENDED = "ended"  # when the mark is taken away
KILLED = -9
# The command itself, which kills itself before or after it has noted a phase on the disk.
COMMAND = """\
import os
import signal
import sys

from tljh_runbook.__main__ import main
from tljh_runbook.hub.upgrade import state_file as mark

wanted, moment = sys.argv.pop(1), sys.argv.pop(1)


def deadly(carry_out, phase):
    def at(hub, *words):
        now = phase(*words) == wanted
        if now and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = carry_out(hub, *words)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return at


def phase(now):
    return "all is back" if now.phase == mark.STAGING and now.way else now.phase


mark.write = deadly(mark.write, phase)
mark.end = deadly(mark.end, lambda: "ended")
main()
"""


@pytest.fixture
def staged(live: Live) -> Live:
    prepared_beside(live)
    settings = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(settings.replace("within: 20", "within: 2"))
    return live


def kill(live: Live, noting: str, moment: str, *task: str, sick: bool = False) -> None:
    """Carry out a task that kills itself; a new version that is sick is one until it goes back."""
    wait = live.hub.root / "srv" / "wait"
    if sick:
        wait.touch()
    words = [noting, moment, *task, "--worker", "killed", "--hub", str(live.hub.prefix)]
    with subprocess.Popen([sys.executable, "-c", COMMAND, *words]) as process:
        if sick:
            until(lambda: PREPARING in texts(live), seconds=120)
            live.answer("/hub/login", 502)
            wait.unlink()
        until(lambda: process.poll() is not None or phase(live) == state_file.BACK, seconds=240)
        live.answer("/hub/login", 200, "<form>")
    assert process.returncode == KILLED


def phase(live: Live) -> str | None:
    found = state_file.read(live.hub)
    return found.phase if found else None


def sound(live: Live) -> bool:
    """Say whether the databases are whole; raise where one is not."""
    found = databases.find(live.hub, live.source.services, live.source.settings)
    for path in found.values():
        sqlite.check(path)  # type: ignore[arg-type]
    rows = hub_folder.ask(live.hub.state / "jupyterhub.sqlite", "SELECT count(*) FROM users")
    return rows == [(3,)]


def label(live: Live) -> str:
    return versions.installed(live.hub).rows()["TLJH"]


def brought_to_its_end(live: Live) -> bool:
    """Say whether all is as after an upgrade that nobody killed, or as if there had been none."""
    left = (
        stage.place(live.hub).prefix,
        stage.beside(live.hub),
        live.hub.work / state_file.RESERVE,
    )
    assert live.server.poll() is None
    assert all(pids(live))
    return phase(live) is None and sound(live) and not any(path.exists() for path in left)


@pytest.mark.parametrize(
    ("noting", "moment", "noted", "ends"),
    [
        (state_file.STAGING, "before", None, "1.0.0"),
        (state_file.STAGING, "after", state_file.STAGING, "1.0.0"),
        (state_file.SWAPPING, "before", state_file.STAGING, "1.0.0"),
        (state_file.SWAPPING, "after", state_file.SWAPPING, "1.0.0"),
        (state_file.PROVING, "before", state_file.SWAPPING, "1.0.0"),
        (state_file.PROVING, "after", state_file.PROVING, "2.0.0"),
        (ENDED, "before", state_file.PROVING, "2.0.0"),
        (ENDED, "after", None, "2.0.0"),
    ],
)
def test_an_upgrade_that_goes_well(
    staged: Live, noting: str, moment: str, noted: str | None, ends: str
) -> None:
    before = everything(staged.hub)
    kill(staged, noting, moment, "upgrade")
    assert phase(staged) == noted
    assert sound(staged)
    resume(staged)
    assert brought_to_its_end(staged)
    assert label(staged) == ends
    if ends == "1.0.0":
        assert everything(staged.hub) == before
    else:
        assert previous.read(staged.hub).labels["TLJH"] == "1.0.0"


@pytest.mark.parametrize(
    "killed",
    [
        # It was killed before it had said that it goes back; and by now the new one is healthy.
        (state_file.BACK, "before", state_file.PROVING, "2.0.0"),
        (state_file.BACK, "after", state_file.BACK, "1.0.0"),
        (ALL_IS_BACK, "before", state_file.BACK, "1.0.0"),
        (ALL_IS_BACK, "after", state_file.STAGING, "1.0.0"),
        (ENDED, "before", state_file.STAGING, "1.0.0"),
        (ENDED, "after", None, "1.0.0"),
    ],
)
@pytest.mark.parametrize("by_hand", [False, True], ids=["by itself", "by hand"])
def test_an_upgrade_that_is_rolled_back(
    staged: Live, killed: tuple[str, str, str | None, str], by_hand: bool
) -> None:
    noting, moment, noted, ends = killed
    before = everything(staged.hub)
    if by_hand:
        assert done(staged, "upgrade")["error"] is None
        noted = None if (noting, moment) == (state_file.BACK, "before") else noted
        kill(staged, noting, moment, "rollback", "--yes")
    else:
        kill(staged, noting, moment, "upgrade", sick=True)
    assert phase(staged) == noted
    assert sound(staged)
    resume(staged)
    assert brought_to_its_end(staged)
    assert label(staged) == ends
    if ends == "1.0.0":
        assert everything(staged.hub) == before
    if noted in {state_file.BACK, state_file.STAGING}:
        told = journal.state(staged.hub, "upgrade")["end"]["error"]["message"]
        assert "runs as before (TLJH 1.0.0" in told
        assert by_hand or "HTTP 502" in told  # and not that it was cut off


def test_a_server_that_starts_in_the_middle_of_the_swap_brings_the_old_version(
    staged: Live,
) -> None:
    before = everything(staged.hub)
    kill(staged, state_file.PROVING, "before", "upgrade")  # all is exchanged, and the hub stopped
    assert (phase(staged), label(staged)) == (state_file.SWAPPING, "2.0.0")
    for name in (services.HUB, services.PROXY):
        staged.source.services.stop(name)
    resume(staged, "--at-boot")
    worker.follow(staged.hub, "upgrade", lambda _: None)
    assert brought_to_its_end(staged)
    assert everything(staged.hub) == before
