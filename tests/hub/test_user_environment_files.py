"""What an administrator put into the users' environment besides packages is restored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import carry_out
from test_component_software import conda_package, user_package

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.software import user_environment_files
from tljh_runbook.hub.user_data import homes

CONFIG = "etc/jupyter/jupyter_server_config.d/ours.json"
KERNEL = "share/jupyter/kernels/r/kernel.json"
EXTENSION = "share/jupyter/labextensions/ours/package.json"
PACKAGED = "share/jupyter/labextensions/theirs/package.json"
BY_PIP = "share/jupyter/labextensions/by-pip/a b,c.json"
EDITED = "share/jupyter/kernels/python3/kernel.json"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")


@pytest.fixture
def users(source: Source) -> Path:
    folder = source.hub.prefix / "user"
    conda_package(source.hub, "theirs", "1", files=[PACKAGED, EDITED])
    user_package(source.hub, "by-pip", "1", "pip")
    info = next(folder.rglob("by_pip*.dist-info"))
    line = f'"../../../{BY_PIP}",,\n'
    (info / "RECORD").write_text(line)
    for name in (CONFIG, KERNEL, EXTENSION, PACKAGED, BY_PIP, EDITED):
        hub_folder.keep(folder / name, json.dumps(name), 0o644)
    return folder


def backup(source: Source) -> Snapshot:
    made = capture.create(source, components.chosen(["software"]))
    return snapshot.verify(made.path)


def planned(source: Source, kept: Snapshot, notes: list[str] | None = None) -> list[Action]:
    restoration = Restoration(source, kept, lambda _: None, notes=[] if notes is None else notes)
    (software,) = components.chosen(["software"])
    found = software.restore(restoration)
    return [each for each in found if "packages" not in each.what]


def restore(source: Source, kept: Snapshot) -> None:
    carry_out(planned(source, kept))


def test_what_no_package_brought_is_in_the_snapshot(source: Source, users: Path) -> None:
    kept = backup(source)
    origins = {each.origin for each in kept.manifest.files if each.origin}
    wanted = (CONFIG, KERNEL, EXTENSION, EDITED)
    assert origins == {str(users / name) for name in wanted}
    assert kept.left_out == {}


@pytest.mark.parametrize("lost", ["etc", "share", "."])
def test_what_was_lost_comes_back_as_it_was(source: Source, users: Path, lost: str) -> None:
    (users / "etc/jupyter/link").symlink_to("/etc/hostname")
    (users / "etc/jupyter").chmod(0o750)
    users.chmod(0o755)
    kept = backup(source)
    shutil.rmtree(users / lost)
    restore(source, kept)
    for name in (CONFIG, KERNEL, EXTENSION, EDITED):
        assert (users / name).read_text() == json.dumps(name)
        assert (users / name).stat().st_mode & 0o777 == 0o644
    assert (users / "etc/jupyter/link").readlink() == Path("/etc/hostname")
    assert (users / "etc/jupyter").stat().st_mode & 0o777 == 0o750
    for folder in (users, users / "etc", users / "share/jupyter/kernels/r"):
        assert folder.stat().st_mode & 0o777 == 0o755
    assert planned(source, kept) == []


def test_it_is_restored_by_hand(source: Source, users: Path) -> None:
    (users / "etc/jupyter/link").symlink_to("/etc/hostname")
    kept = backup(source)
    shutil.rmtree(users / "etc")
    (software,) = components.chosen(["software"])
    lines = "\n".join(software.by_hand(kept.manifest))
    subprocess.run(["sh", "-e", "-c", lines], cwd=kept.path, check=True)
    assert (users / CONFIG).read_text() == json.dumps(CONFIG)
    assert planned(source, kept) == []


def test_links_are_not_followed_and_special_files_are_named(source: Source, users: Path) -> None:
    secret = source.hub.root / "secret"
    hub_folder.keep(secret / "file", "s3cret", 0o600)
    (users / "etc/jupyter/file").symlink_to(secret / "file")
    (users / "share/jupyter/kernels/all").symlink_to(secret)
    os.mkfifo(users / "etc/jupyter/pipe")
    hub_folder.keep(users / "etc/jupyter/root", "", 0o4755)
    kept = backup(source)
    copied = [path.read_bytes() for path in kept.path.rglob("*") if path.is_file()]
    assert not any(b"s3cret" in data for data in copied)
    assert set(kept.left_out) == {str(users / "etc/jupyter" / name) for name in ("pipe", "root")}
    assert str(users / "share/jupyter/kernels/all") in kept.manifest.components["software"]["links"]


def test_what_is_too_large_is_named(
    source: Source, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (users / "share/jupyter/kernels/r/large").open("wb") as large:
        large.truncate(user_environment_files.LARGEST + 1)
    assert set(backup(source).left_out) == {str(users / "share/jupyter/kernels/r/large")}
    for limit in ("MOST", "MOST_FILES"):
        with monkeypatch.context() as small:
            small.setattr(user_environment_files, limit, 1)
            assert str(users / KERNEL) in backup(source).left_out


@NEEDS_ROOT
def test_a_folder_of_somebody_else_is_named_and_not_written(source: Source, users: Path) -> None:
    kept = backup(source)
    folder = users / "share/jupyter/kernels/r"
    os.chown(folder, 1234, 1234)
    (folder / "kernel.json").unlink()
    notes: list[str] = []
    assert planned(source, kept, notes) == []
    assert any(KERNEL in note for note in notes)
    assert str(folder) in backup(source).left_out


def test_files_alone_do_not_stop_the_hub(source: Source, users: Path) -> None:
    kept = backup(source)
    (users / CONFIG).write_text("{}")
    (action,) = planned(source, kept)
    assert (action.what, action.before, action.stopped) == (str(users / CONFIG), "differs", False)


def test_a_setting_backs_up_all_of_it(source: Source, users: Path) -> None:
    wanted = replace(source.settings.user_data, environment=True)
    whole = replace(source, settings=replace(source.settings, user_data=wanted))
    assert users.resolve() not in homes.find(source).paths
    assert users.resolve() in homes.find(whole).paths
