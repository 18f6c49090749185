"""What a run does can be read by others, while it does it and afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tljh_runbook.errors import RunCutOff
from tljh_runbook.hub.backup import restore
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock, worker
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.upgrade.finish import cut_off as cut_off_run


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "opt" / "tljh")


TASK = "upgrade"


def texts(hub: Hub) -> list[str]:
    return [event["text"] for event in journal.read(hub, TASK) if "text" in event]


def test_without_a_run_there_is_no_journal(hub: Hub) -> None:
    assert journal.state(hub, TASK) == {"task": TASK, "running": False, "events": [], "end": None}
    assert journal.runs(hub) == []


def test_events_are_read_in_their_order(hub: Hub) -> None:
    with Journal(hub, TASK, "a1") as log:
        log.phase("Install")
        log.line("Collecting é \x85 \u2028 x")
        log.line("")
        log.end(0, error=None)
    kinds = [event["kind"] for event in journal.read(hub, TASK)]
    assert kinds == ["phase", "line", "end"]
    assert {event["run"] for event in journal.read(hub, TASK)} == {"a1"}
    assert texts(hub) == ["Install", "Collecting é \x85 \u2028 x"]
    assert journal.file(hub, TASK).stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_being_written_is_left_out(hub: Hub) -> None:
    with Journal(hub, TASK) as log:
        log.phase("Install")
        log.phase("Restart")
    file = journal.file(hub, TASK)
    whole = file.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        file.write_bytes(whole[:length])
        assert texts(hub) == ["Install"]


def test_a_new_run_begins_a_new_journal(hub: Hub) -> None:
    for text in ("Old, and longer than the new one", "New"):
        with Journal(hub, TASK) as log:
            log.phase(text)
    assert texts(hub) == ["New"]


def test_each_task_has_a_journal_of_its_own(hub: Hub) -> None:
    with Journal(hub, "upgrade") as log:
        log.phase("Install")
        log.end(23, error={"message": "m"})
    with Journal(hub, "backup") as log:
        log.phase("Database")
        told = {each["task"]: each for each in journal.runs(hub)}
    assert told.keys() == {"backup", "upgrade"}
    assert (told["backup"]["running"], told["backup"]["phase"]) == (True, "Database")
    assert (told["upgrade"]["running"], told["upgrade"]["code"]) == (False, 23)
    cut = [each["task"] for each in journal.runs(hub) if each["cut_off"]]
    assert cut == ["backup"]


def test_a_run_goes_on_while_its_journal_is_open_and_has_no_end(hub: Hub) -> None:
    with Journal(hub, TASK) as log:
        assert not journal.state(hub, TASK)["running"]
        log.phase("Install")
        assert journal.state(hub, TASK)["running"]
        log.report = {"changed": True}
        log.end(23, error={"message": "m"})
        state = journal.state(hub, TASK)
    assert not state["running"]
    assert (state["end"]["code"], state["end"]["report"]) == (23, {"changed": True})


def test_what_tells_too_often_is_entered_now_and_then(hub: Hub) -> None:
    with Journal(hub, TASK) as log:
        for number in range(10_000):
            log.progress(f"{number} files")
    assert texts(hub)[0] == "0 files"
    assert len(texts(hub)) < 1000


CUT_OFF = """\
import os, pathlib, signal, sys
from tljh_runbook.hub.core import layout
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.runs.journal import Journal
hub, task = layout.Hub(pathlib.Path(sys.argv[1])), sys.argv[2]
with lock.hold(hub, task), Journal(hub, task) as log:
    log.phase("Install")
    os.kill(os.getpid(), signal.SIGKILL)
"""
LEFT = {
    "backup": "every snapshot that is listed is whole",
    "rehearse": "was cut off before it touched the live hub",
    "upgrade": "was cut off before it touched the live hub",
    "rollback": "was cut off before it touched the live hub",
    "restore": "What had been restored is in its place",
}


def cut_off(hub: Hub, task: str) -> None:
    subprocess.run([sys.executable, "-c", CUT_OFF, str(hub.prefix), task], check=False)


@pytest.mark.parametrize("task", journal.TASKS)
def test_a_run_that_was_cut_off_neither_runs_nor_has_an_end(hub: Hub, task: str) -> None:
    cut_off(hub, task)
    state = journal.state(hub, task)
    assert (state["running"], state["end"]) == (False, None)
    assert journal.cut_off(state)
    seen: list[str] = []
    with pytest.raises(RunCutOff, match=LEFT[task]) as told:
        worker.follow(
            hub, task, lambda event: seen.append(event["text"]), explain=cut_off_run.explain
        )
    assert str(worker.log_file(hub, task)) in told.value.hint
    assert seen == ["Install"]


def test_a_restore_that_was_cut_off_tells_what_to_type(hub: Hub) -> None:
    cut_off(hub, "restore")
    mark = {"snapshot": "20260101T000000Z", "typed": "restore config --snapshot 20260101T000000Z"}
    (hub.work / restore.MARK).write_text(json.dumps(mark))
    with pytest.raises(RunCutOff, match="may be stopped, or half restored") as told:
        worker.follow(hub, "restore", lambda _: None, explain=cut_off_run.explain)
    assert f"tljh-runbook {mark['typed']}" in told.value.hint


def test_a_process_with_the_number_of_one_that_was_cut_off_is_not_taken_for_it(hub: Hub) -> None:
    """After a restart of the machine any process may have it."""
    cut_off(hub, TASK)
    events = [event | {"pid": os.getpid()} for event in journal.read(hub, TASK)]
    journal.file(hub, TASK).write_text("".join(f"{json.dumps(each)}\n" for each in events))
    with lock.hold(hub, "the backup"):
        assert journal.cut_off(journal.state(hub, TASK))


def test_the_journal_is_no_link_to_somewhere_else(hub: Hub, tmp_path: Path) -> None:
    hub.work.mkdir(parents=True)
    (tmp_path / "victim").write_text(json.dumps({"kind": "end"}))
    journal.file(hub, TASK).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Journal(hub, TASK)
    assert (tmp_path / "victim").read_text()
