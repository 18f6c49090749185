"""What a rollback replaces is retained until the next upgrade, and what it reverts is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import hub_folder
import pytest
import sudden_end
from test_component_software import conda_package, user_package

from tljh_runbook import show
from tljh_runbook.errors import DiskFailed, NoSpace, NothingToRollBack
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.software import installed
from tljh_runbook.hub.upgrade import removable, state_file
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.upgrade.finish import ending, rollback
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import environment_swap, newer, previous
from tljh_runbook.hub.upgrade.swap.environment_swap import KEPT
from tljh_runbook.hub.upgrade.swap.previous import Previous
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way
from tljh_runbook.hub.versions import versions

MOMENT = "20260115T220000Z"
FILES = {"version", "other"}
BREAKS_OFF = """#!/bin/sh
for last; do :; done
[ ! -e "$last" ] || { /bin/rm -f "$last/other"; echo "Input/output error" >&2; exit 1; }
"""


def recorded(source: Source, packages: installed.Packages) -> None:
    """Write what an upgrade that ended well leaves behind."""
    folder = source.hub.previous
    files.make_private(folder / KEPT)
    record = Previous(MOMENT, MOMENT, {}, Way(str(folder), {}), packages)
    (folder / KEPT / previous.RECORD).write_text(json.dumps(asdict(record)))


def replaced(source: Source, version: str) -> Way:
    """Make the folder as a rollback leaves it, with the environments that it replaced."""
    folder = source.hub.previous
    for name in ("hub", "user.aside"):
        for file in FILES:
            hub_folder.keep(folder / name / file, version, 0o644)
    hub_folder.keep(folder / KEPT / "databases" / "jupyterhub", "old", 0o600)
    return Way(str(folder), {"hub": (1, 2), "user": (3, 4)})


def retained(source: Source) -> dict[str, str]:
    found = source.hub.newer.rglob("version")
    return {str(path.parent.relative_to(source.hub.newer)): path.read_text() for path in found}


def test_what_was_installed_since_the_upgrade_is_named(source: Source) -> None:
    conda_package(source.hub, "numpy", "1.26")
    user_package(source.hub, "gdown", "5.1", "pip")
    recorded(source, installed.record(source.hub))
    assert rollback.plan(source).since == []
    hub_folder.distribution(source.hub, "nbgitpuller", "1.2")
    user_package(source.hub, "xarray", "2024.1", "pip")
    next((source.hub.prefix / "user/conda-meta").glob("numpy-*")).unlink()
    assert rollback.plan(source).since == [
        ["hub", "nbgitpuller", "-", "1.2"],
        ["user", "numpy", "1.26", "-"],
        ["user", "xarray", "-", "2024.1"],
    ]


def test_a_rollback_of_security_fixes_names_the_packages(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_folder.distribution(source.hub, "jinja2", "3.1.6")
    previous_hub = Hub(source.hub.previous)
    shutil.copytree(source.hub.environment, previous_hub.environment, symlinks=True)
    shutil.rmtree(next(previous_hub.environment.rglob("jinja2-3.1.6.dist-info")))
    hub_folder.distribution(previous_hub, "jinja2", "3.1.2")
    recorded(source, {})
    record = previous.read(source.hub)
    labels = versions.installed(source.hub).rows()
    for tljh, shown in (("0.2.0", False), (labels["TLJH"], True)):
        kept = asdict(record) | {"labels": labels | {"TLJH": tljh}}
        (source.hub.previous / KEPT / previous.RECORD).write_text(json.dumps(kept))
        found = rollback.plan(source)
        assert found.packages == [["jinja2", "3.1.6", "3.1.2"]]
        show.rolled_back(found)
        assert ("jinja2" in capsys.readouterr().out) is shown


def test_an_upgrade_without_a_list_tells_nothing_of_it(source: Source) -> None:
    recorded(source, {})
    assert rollback.plan(source).since is None


@pytest.mark.parametrize("depth", [100_000])
def test_records_that_cannot_be_read_stop_no_preview(source: Source, depth: int) -> None:
    hub_folder.keep(source.hub.prefix / "user/conda-meta/deep.json", "[" * depth, 0o644)
    user_package(source.hub, "gdown", "5.1", "pip")
    info = next((source.hub.prefix / "user/lib").rglob("gdown*.dist-info"))
    hub_folder.keep(info / "direct_url.json", "[" * depth, 0o644)
    assert installed.record(source.hub)["user"] == {"gdown": "5.1"}


def test_only_the_newest_environments_are_retained(source: Source) -> None:
    for version in ("1", "2"):
        plan = replaced(source, version)
        for _ in range(2):  # the second time there is nothing to do
            newer.retain(source.hub, plan)
            assert retained(source) == {"hub": version, "user": version}
        assert not source.hub.previous.exists()
    assert {path.name for path in source.hub.newer.iterdir()} == {"hub", "user"}


def test_what_a_full_disk_has_taken_is_not_retained(source: Source) -> None:
    newer.retain(source.hub, replaced(source, "1"))
    plan = replaced(source, "2")
    environment_swap.forget_newer(Path(plan.folder), plan.environments)
    newer.retain(source.hub, plan)
    assert retained(source) == {"hub": "1", "user": "1"}
    assert not source.hub.previous.exists()


def test_killed_while_it_is_moved_the_newer_version_is_whole_in_the_end(source: Source) -> None:
    hub = source.hub

    def begin() -> None:
        for folder in (hub.previous, hub.newer):
            shutil.rmtree(folder, ignore_errors=True)
        newer.retain(hub, replaced(source, "1"))
        files.make_private(hub.work)
        plan = asdict(replaced(source, "2"))
        state_file.write(hub, Mark(MOMENT, state_file.STAGING, MOMENT, {}, way=plan))

    def resume() -> None:
        with Journal(hub, "upgrade") as log:
            ending.resume(source, log)

    for _ in sudden_end.at_each_line([ending, newer], begin, resume):
        resume()
        assert retained(source) == {"hub": "2", "user": "2"}
        assert state_file.read(hub) is None
        assert not hub.previous.exists()


def test_what_is_removed_for_want_of_room_is_never_retained_by_halves(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replaced(source, "2")
    with monkeypatch.context() as broken:
        hub_folder.keep(tmp_path / "bin" / "rm", BREAKS_OFF, 0o755)
        broken.setenv("PATH", str(tmp_path / "bin"), prepend=":")
        with pytest.raises(DiskFailed):
            environment_swap.forget_newer(Path(plan.folder), plan.environments)
    newer.retain(source.hub, plan)
    for environment in source.hub.newer.iterdir():
        assert {path.name for path in environment.iterdir()} == FILES


def test_after_a_rollback_there_is_no_second_one(source: Source) -> None:
    recorded(source, {})
    newer.retain(source.hub, replaced(source, "2"))
    with pytest.raises(NothingToRollBack):
        rollback.plan(source)
    assert retained(source) == {"hub": "2", "user": "2"}


def test_its_room_counts_as_free_for_the_next_upgrade(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer.retain(source.hub, replaced(source, "2"))
    usage = shutil.disk_usage(source.hub.prefix)
    nearly = usage._replace(free=checks.ROOM - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly)
    assert checks._space(source) == "at least 2 GB free"
    newer.forget(source.hub)
    with pytest.raises(NoSpace):
        checks._space(source)


def test_a_full_disk_names_it_among_what_may_go(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer.retain(source.hub, replaced(source, "2"))
    said = f"{source.hub.newer} (the version that the last rollback replaced, 0 MB)"
    assert said in removable.advice(source.hub)
    monkeypatch.setattr(stage, "ROOM", shutil.disk_usage(source.hub.prefix).free * 2)
    with pytest.raises(NoSpace) as refused:
        stage.copy_environments(source.hub)
    assert refused.value.hint is not None
    assert said in refused.value.hint
