"""What Prometheus reads is in its format, and lies where nothing planted leads elsewhere."""

from __future__ import annotations

import calendar
import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import run_record
from tljh_runbook.hub.schedule import metrics
from tljh_runbook.hub.schedule.scheduled import TASKS

GOOD = {"at": "2026-01-15T22:10:00Z", "snapshot": "20260115T220000Z", "size": 7, "user_data": 9}
RECORD: dict[str, Any] = {
    "task": "backup",
    "at": "2026-01-15T22:00:00Z",
    "seconds": 12.5,
    "code": 0,
    "error": None,
    "notes": ["a", "b"],
    "success": GOOD,
    "invocation": "",
}


@pytest.fixture
def folder(source: Source) -> Path:
    """The collector's folder."""
    made = Path(source.settings.scheduled.metrics)
    made.mkdir(parents=True)
    return made


def enter(hub: Hub, **changes: object) -> None:
    values = RECORD | changes
    file = hub.work / "scheduled" / f"{values['task']}.json"
    hub_folder.keep(file, json.dumps(values), 0o600)


Samples = dict[tuple[str, str | None], float]


def parsed(file: Path) -> Samples:
    """Return every sample by its name and task, read as Prometheus' own client reads it."""
    families = list(text_string_to_metric_families(file.read_text()))
    assert all(family.documentation and family.type == "gauge" for family in families)
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name.removeprefix("tljh_runbook_"), sample.labels.get("task")): sample.value
        for family in families
        for sample in family.samples
    }


def moment(text: str) -> int:
    return calendar.timegm(time.strptime(text, run_record.MOMENT))


def test_the_metrics_are_as_recorded(source: Source, folder: Path) -> None:
    enter(source.hub)
    failed = {"message": "m", "hint": "h", "code": 19}
    enter(source.hub, task="verify", code=19, error=failed, success=None, notes=[])
    assert metrics.write(source, TASKS)
    assert parsed(folder / "tljh-runbook.prom") == {
        ("last_run_timestamp_seconds", "backup"): moment(RECORD["at"]),
        ("last_run_timestamp_seconds", "verify"): moment(RECORD["at"]),
        ("last_success_timestamp_seconds", "backup"): moment(GOOD["at"]),  # type: ignore[arg-type]
        ("last_run_exit_code", "backup"): 0,
        ("last_run_exit_code", "verify"): 19,
        ("last_run_duration_seconds", "backup"): 12.5,
        ("last_run_duration_seconds", "verify"): 12.5,
        ("last_run_notes", "backup"): 2,
        ("last_run_notes", "verify"): 0,
        ("snapshot_size_bytes", None): 7,
        ("user_data_size_bytes", None): 9,
        ("snapshots", None): 0,
    }
    assert [path.name for path in folder.iterdir()] == ["tljh-runbook.prom"]


def test_others_may_read_them_whatever_the_umask(source: Source, folder: Path) -> None:
    before = os.umask(0o077)
    try:
        metrics.write(source, TASKS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "tljh-runbook.prom").stat().st_mode) == 0o644


def test_before_the_first_run_there_is_a_count_of_snapshots(source: Source, folder: Path) -> None:
    metrics.write(source, TASKS)
    assert parsed(folder / "tljh-runbook.prom") == {("snapshots", None): 0}


def test_a_run_that_was_cut_off_has_no_exit_code(source: Source, folder: Path) -> None:
    enter(source.hub, code=None, seconds=None)
    metrics.write(source, TASKS)
    found = parsed(folder / "tljh-runbook.prom")
    assert ("last_run_exit_code", "backup") not in found
    assert ("last_success_timestamp_seconds", "backup") in found


@pytest.mark.parametrize("name", ['a "quoted" hub', "back\\slash\\n", "two\nlines", "été"])
def test_any_path_is_a_label(source: Source, folder: Path, name: str) -> None:
    hub = Hub(Path("/srv") / name)
    metrics.write(replace(source, hub=hub), TASKS)
    (family,) = text_string_to_metric_families((folder / "tljh-runbook.prom").read_text())
    assert family.samples[0].labels == {"hub": str(hub.prefix)}


def test_nothing_is_written_where_nobody_collects(source: Source) -> None:
    assert not metrics.write(source, TASKS)
    assert not Path(source.settings.scheduled.metrics).exists()
    none = replace(source.settings, scheduled=replace(source.settings.scheduled, metrics=""))
    assert not metrics.write(replace(source, settings=none), TASKS)


def test_a_planted_link_is_replaced_and_not_followed(source: Source, folder: Path) -> None:
    victim = folder.parent / "victim"
    victim.write_text("precious")
    (folder / "tljh-runbook.prom").symlink_to(victim)
    metrics.write(source, TASKS)
    assert victim.read_text() == "precious"
    assert not (folder / "tljh-runbook.prom").is_symlink()


def test_a_folder_that_is_a_link_is_not_followed(source: Source, folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    folder.rmdir()
    folder.symlink_to(elsewhere)
    with pytest.raises(OSError, match="director"):
        metrics.write(source, TASKS)
    assert list(elsewhere.iterdir()) == []


def test_what_cannot_be_put_in_its_place_leaves_nothing(source: Source, folder: Path) -> None:
    (folder / "tljh-runbook.prom").mkdir()
    with pytest.raises(OSError, match="director"):
        metrics.write(source, TASKS)
    assert [path.name for path in folder.iterdir()] == ["tljh-runbook.prom"]
