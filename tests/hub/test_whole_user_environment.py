"""All of the users' environment: backed up where a setting asks for it, restored as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from test_user_data_restore import asked_again, backup, looks, quiet, restored

from tljh_runbook.hub.backup import components, restore
from tljh_runbook.hub.backup.choice import Request
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots.restoration import Restoration

pytestmark = [
    pytest.mark.usefixtures("repository_there"),
    pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to other users"),
]
STAFF = 50
SITE = Path("lib/python3.11/site-packages")
ALL = Request(("user-data",))


@pytest.fixture
def whole(source: Source) -> Source:
    wanted = replace(source.settings.user_data, environment=True)
    return replace(source, settings=replace(source.settings, user_data=wanted))


@pytest.fixture
def users(whole: Source) -> Path:
    """A users' environment as conda leaves it, with what an admin did to it."""
    made = whole.hub.prefix / "user"
    hub_folder.keep(made / "bin/python3.11", "#!/bin/sh\n", 0o755)
    (made / "bin/python").symlink_to("python3.11")
    (made / "bin/gone").symlink_to("/nowhere")
    for number in range(30):
        package = made / SITE / f"package_{number}"
        hub_folder.keep(package / "__init__.py", f"number = {number}\n", 0o664)
        hub_folder.keep(made / f"conda-meta/package-{number}-0.json", "{}", 0o644)
    (made / "pkgs").mkdir()
    (made / "pkgs/twin.py").hardlink_to(made / SITE / "package_1/__init__.py")
    hub_folder.keep(made / "etc/jupyter/jupyter_server_config.json", '{"a": 1}', 0o640)
    os.chown(made / "etc/jupyter", 0, STAFF)
    (made / "etc/jupyter").chmod(0o2775)
    os.setxattr(made / "bin/python3.11", "user.note", b"mine")
    if shutil.which("setfacl"):
        access: list[str | Path] = ["setfacl", "-m", "u:1234:rwx,d:g:50:rx", made / "share"]
        (made / "share").mkdir()
        subprocess.run(access, check=True)
    return made


def test_it_comes_back_where_it_is_missing(whole: Source, users: Path) -> None:
    before = looks(users)
    homes = looks(Path(whole.settings.homes))
    backup(whole)
    shutil.rmtree(users)
    restored(whole, ALL)
    after = looks(users)
    assert {**after, ".": 0} == {**before, ".": 0}
    assert users.stat().st_mode & 0o7777 == 0o755
    twins = (users / "pkgs/twin.py", users / SITE / "package_1/__init__.py")
    assert twins[0].stat().st_ino == twins[1].stat().st_ino
    assert looks(Path(whole.settings.homes)) == homes
    assert asked_again(whole, ALL) == []


def test_what_is_damaged_comes_back_and_what_is_new_stays(whole: Source, users: Path) -> None:
    before = looks(users)
    backup(whole)
    shutil.rmtree(users / SITE / "package_7")
    (users / "bin/python").unlink()
    (users / "bin/python3.11").chmod(0o644)
    (users / SITE / "package_2/__init__.py").write_text("spoilt")
    hub_folder.keep(users / SITE / "newer/__init__.py", "", 0o644)
    restored(whole, Request(paths=(users,)))
    after = looks(users)
    new = {str(SITE / "newer"), str(SITE / "newer/__init__.py")}
    assert set(after) - set(before) == new
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"bin", str(SITE)}, "folders in which something was made or removed"
    assert all(without_time(after[name]) == without_time(before[name]) for name in changed)


def without_time(look: tuple[object, ...]) -> tuple[object, ...]:
    return look[:3] + look[4:]


def test_a_whole_restore_brings_what_is_missing_and_leaves_what_differs(
    whole: Source, users: Path
) -> None:
    before = looks(users)
    kept = backup(whole)
    shutil.rmtree(users / SITE / "package_7")
    spoilt = users / SITE / "package_2/__init__.py"
    spoilt.write_text("installed since")
    wanted = Restoration(whole, kept, quiet, missing_only=True)
    restore.carry_out(wanted, restore.plan(wanted, components.chosen(["user-data"])))
    assert spoilt.read_text() == "installed since"
    name = str(SITE / "package_7/__init__.py")
    assert looks(users)[name] == before[name]


def test_it_is_not_backed_up_unless_the_setting_asks_for_it(source: Source, users: Path) -> None:
    made = backup(source)
    assert made.manifest.components["user-data"]["paths"] == [source.settings.homes]
