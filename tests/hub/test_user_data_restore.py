"""Users' files come back as they were, and nothing else changes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.errors import (
    AccountConflict,
    NoSpace,
    NotKept,
    RepositoryLocked,
    RepositoryUnreachable,
    RestoreFailed,
    SettingsInvalid,
)
from tljh_runbook.hub.backup import capture, choice, components, extraction, restore
from tljh_runbook.hub.backup.choice import Request
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots.restoration import Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.user_data import survey, user_data_restore
from tljh_runbook.hub.user_data.restic import repository

pytestmark = [
    pytest.mark.usefixtures("repository_there"),
    pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to other users"),
]
ALICE, BOB = 1001, 1002
LONG_AGO = 1_600_000_000_123_456_789  # nanoseconds since 1970


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def homes(source: Source) -> Path:
    """The homes of alice and bob, each their own."""
    folder = Path(source.settings.homes)
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        own(folder / name, uid)
    return folder


def own(folder: Path, uid: int) -> None:
    """Give a home to its user, with times of long ago."""
    for path in sorted([folder, *folder.rglob("*")], reverse=True):
        os.chown(path, uid, uid, follow_symlinks=False)
        os.utime(path, ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    folder.chmod(0o750)


@pytest.fixture
def kept(source: Source, homes: Path) -> Snapshot:
    return backup(source)


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["user-data"]))


def asked(source: Source, request: Request) -> Restoration:
    found = choice.choose(source, request)
    return Restoration(source, found.kept, quiet, found.paths, missing_only=request.everything)


def restored(source: Source, request: Request) -> restore.Outcome:
    wanted = asked(source, request)
    actions = restore.plan(wanted, components.chosen(["user-data"]))
    return restore.carry_out(wanted, actions)


def looks(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all that can be seen of every entry, the time of the last look left out."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        if ".tljh-runbook" in path.parts:
            continue
        status = path.lstat()
        regular = stat.S_ISREG(status.st_mode)
        found[str(path.relative_to(folder))] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            path.read_bytes() if regular else status.st_rdev,
            path.readlink() if path.is_symlink() else "",
            {name: os.getxattr(path, name) for name in os.listxattr(path, follow_symlinks=False)}
            if not path.is_symlink()
            else {},
        )
    return found


def test_one_notebook(source: Source, homes: Path, kept: Snapshot) -> None:
    """With owner, mode and times; and nothing else changes, not even the time of its folder."""
    before = looks(homes)
    notebook = homes / "alice" / "lesson.ipynb"
    notebook.write_text("spoilt")
    (homes / "alice" / "new.txt").write_text("made since")
    (homes / "bob" / "lesson.ipynb").write_text("bob has gone on")
    changed = looks(homes)
    outcome = restored(source, Request(user="alice", paths=(Path("lesson.ipynb"),)))
    after = looks(homes)
    assert after["alice/lesson.ipynb"] == before["alice/lesson.ipynb"]
    assert {**changed, "alice/lesson.ipynb": before["alice/lesson.ipynb"]} == after
    [replaced] = outcome.replaced
    assert (replaced / "alice" / "lesson.ipynb").read_text() == "spoilt"
    assert not outcome.restarted


def test_one_notebook_as_of_an_older_snapshot(source: Source, homes: Path, kept: Snapshot) -> None:
    notebook = homes / "alice" / "lesson.ipynb"
    first = notebook.read_bytes()
    notebook.write_text("second version")
    backup(source)
    notebook.write_text("third version")
    name = kept.path.name
    restored(source, Request(user="alice", paths=(Path("lesson.ipynb"),), snapshot=name))
    assert notebook.read_bytes() == first
    restored(source, Request(user="alice", paths=(Path("lesson.ipynb"),)))
    assert notebook.read_text() == "second version"


def test_a_home_that_is_gone(source: Source, homes: Path, kept: Snapshot) -> None:
    before = looks(homes)
    shutil.rmtree(homes / "alice")
    restored(source, Request(user="alice"))
    after = looks(homes)
    home = {name for name in before if name.startswith("alice")}
    assert {name: after[name] for name in home} == {name: before[name] for name in home}
    assert asked_again(source, Request(user="alice")) == []


def asked_again(source: Source, request: Request) -> list[str]:
    actions = restore.plan(asked(source, request), components.chosen(["user-data"]))
    return [each.before for each in actions]


def test_everything_gives_back_only_what_is_missing(
    source: Source, homes: Path, kept: Snapshot
) -> None:
    before = looks(homes)
    (homes / "alice" / "lesson.ipynb").write_text("alice has gone on")
    changed = looks(homes)["alice/lesson.ipynb"]
    shutil.rmtree(homes / "bob")
    wanted = Restoration(source, kept, quiet, missing_only=True)
    actions = restore.plan(wanted, components.chosen(["user-data"]))
    assert [each.before for each in actions] == [f"missing: {homes / 'bob'}"]
    restore.carry_out(wanted, actions)
    assert looks(homes)["alice/lesson.ipynb"] == changed
    assert {n: v for n, v in looks(homes).items() if n.startswith("bob")} == {
        n: v for n, v in before.items() if n.startswith("bob")
    }


def test_all_homes_gone_with_their_folder(source: Source, homes: Path, kept: Snapshot) -> None:
    before = looks(homes)
    shutil.rmtree(homes)
    restored(source, Request(("user-data",)))
    assert {**looks(homes), ".": 0} == {**before, ".": 0}
    assert homes.stat().st_mode & 0o7777 == 0o755


NASTY = [
    b"new\nline",
    b"undecodable \xff\xfe",
    b"*",
    b"[a-z]",
    b"?",
    b"back\\slash",
    b"-rf",
    b"tab\there",
    b"\x1b[31mred",
    "café".encode(),
    b"!not",
    b"$HOME",
    b"{a,b}",
]


def test_nasty_names(source: Source, homes: Path) -> None:
    folder = homes / "alice"
    for name in NASTY:
        (Path(os.fsdecode(bytes(folder) + b"/" + name))).write_bytes(b"content of " + name)
        below = Path(os.fsdecode(bytes(folder) + b"/dir " + name))
        below.mkdir()
        (below / os.fsdecode(name)).write_bytes(b"below " + name)
    own(folder, ALICE)
    before = looks(homes)
    backup(source)
    assert asked_again(source, Request(user="alice")) == []
    for name in NASTY:
        (Path(os.fsdecode(bytes(folder) + b"/" + name))).unlink()
        shutil.rmtree(Path(os.fsdecode(bytes(folder) + b"/dir " + name)))
    restored(source, Request(user="alice"))
    assert {n: v for n, v in looks(homes).items() if n != "alice"} == {
        n: v for n, v in before.items() if n != "alice"
    }


def test_one_nasty_name_alone(source: Source, homes: Path) -> None:
    folder = homes / "alice"

    def spoil(text: bytes) -> None:
        for each in NASTY:
            Path(os.fsdecode(bytes(folder) + b"/" + each)).write_bytes(text)

    spoil(b"good")
    own(folder, ALICE)
    backup(source)
    for name in (b"*", b"?", b"[a-z]", b"new\nline", b"back\\slash"):
        spoil(b"spoilt")
        restored(source, Request(user="alice", paths=(Path(os.fsdecode(name)),)))
        good = {
            each
            for each in NASTY
            if Path(os.fsdecode(bytes(folder) + b"/" + each)).read_bytes() == b"good"
        }
        assert good == {name}


def test_links_holes_lists_and_special_files(source: Source, homes: Path) -> None:
    folder = homes / "alice"
    (folder / "twin").hardlink_to(folder / "lesson.ipynb")
    (folder / "link").symlink_to("/etc/shadow")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with (folder / "sparse").open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
    (folder / "setuid").write_bytes(b"#!")
    os.setxattr(folder / "lesson.ipynb", "user.note", b"mine")
    own(folder, ALICE)
    (folder / "setuid").chmod(0o4755)
    if shutil.which("setfacl"):
        subprocess.run(["setfacl", "-m", f"u:{BOB}:rw", folder / "lesson.ipynb"], check=True)
    before = looks(homes)
    backup(source)
    shutil.rmtree(folder)
    restored(source, Request(user="alice"))
    assert {**looks(homes), ".": 0} == {**before, ".": 0}
    assert (folder / "twin").stat().st_ino == (folder / "lesson.ipynb").stat().st_ino
    assert (folder / "sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("kind", ["folder above", "file itself", "home"])
def test_a_planted_link_is_not_followed(
    source: Source, homes: Path, kept: Snapshot, tmp_path: Path, kind: str
) -> None:
    victim = tmp_path / "victim"
    hub_folder.write_homes(victim)
    place = {
        "folder above": homes / "alice" / "project",
        "file itself": homes / "alice" / "lesson.ipynb",
        "home": homes / "alice",
    }[kind]
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(victim / "alice" / place.name if kind != "home" else victim / "alice")
    os.chown(place, ALICE, ALICE, follow_symlinks=False)
    before = looks(victim)
    try:
        restored(source, Request(user="alice"))
    except RestoreFailed as error:
        assert kind == "home", error  # noqa: PT017 - only there a refusal is right as well
    assert looks(victim) == before
    if kind != "home":
        assert not place.is_symlink()


def test_no_room(source: Source, homes: Path, kept: Snapshot) -> None:
    """Less room than is needed: nothing is started."""
    found = shutil.disk_usage(homes).free
    wanted = asked(source, Request(user="alice"))
    large = survey.Wanted(homes / "alice" / "large", "missing", found + (1 << 30))
    opened = repository.opened(source)
    with pytest.raises(NoSpace, match="Nothing was changed"):
        user_data_restore.FolderRestore(wanted, opened, "latest", homes, [large]).stage()
    assert not (homes / ".tljh-runbook").exists()


def test_the_wrong_password(source: Source, homes: Path, kept: Snapshot) -> None:
    Path(source.settings.user_data.password_file).write_text("wrong\n")
    (source.hub.work / "repository.json").unlink()
    shutil.rmtree(homes / "alice")
    before = looks(homes)
    with pytest.raises(RepositoryLocked):
        restored(source, Request(user="alice"))
    assert looks(homes) == before


def test_a_snapshot_without_user_data(
    source: Source, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    made = capture.create(source, components.chosen(["config", "user-data"]))
    monkeypatch.undo()
    assert "restic is not installed" in made.manifest.components["user-data"]["note"]
    wanted = Restoration(source, made, quiet)
    with pytest.raises(NotKept, match="holds no user data"):
        restore.plan(wanted, components.chosen(["user-data"]))


def test_into_a_folder(source: Source, homes: Path, kept: Snapshot, tmp_path: Path) -> None:
    before = looks(homes)
    (homes / "alice" / "lesson.ipynb").write_text("spoilt")
    wanted = asked(source, Request(user="alice"))
    into = tmp_path / "look"
    extraction.extract(wanted, components.chosen(["user-data"]), into)
    shown = looks(into / str(homes).lstrip("/"))
    assert {n: v for n, v in shown.items() if n.startswith("alice")} == {
        n: v for n, v in before.items() if n.startswith("alice")
    }
    assert into.stat().st_mode & 0o777 == 0o700
    assert (homes / "alice" / "lesson.ipynb").read_text() == "spoilt"


@pytest.fixture(autouse=True)
def nothing_is_left(source: Source) -> Iterator[None]:
    """Whatever came back: nothing staged is left beside the homes."""
    yield
    left = Path(source.settings.homes) / ".tljh-runbook"
    assert not list(left.glob("staged-*"))


def test_an_account_with_another_number(source: Source, homes: Path, kept: Snapshot) -> None:
    """The number of alice is another one now: her files must not become somebody else's."""
    shutil.rmtree(homes / "alice")
    line = f"alice:x:{BOB}:{BOB}::/home/alice:/bin/sh\n"
    hub_folder.keep(source.hub.root / "etc" / "passwd", line, 0o644)
    before = looks(homes)
    with pytest.raises(AccountConflict, match=f"owner {ALICE}.*number {BOB} now"):
        restored(source, Request(user="alice"))
    assert looks(homes) == before
    hub_folder.keep(source.hub.root / "etc" / "passwd", line.replace("1002", "1001"), 0o644)
    restored(source, Request(user="alice"))
    assert (homes / "alice" / "lesson.ipynb").stat().st_uid == ALICE


def test_what_only_an_older_snapshot_holds(source: Source, homes: Path) -> None:
    """The most common request of all: deleted yesterday, backed up last night."""
    thesis = homes / "alice" / "thesis.txt"
    thesis.write_text("years of work")
    older = backup(source)
    thesis.unlink()
    backup(source)
    request = Request(user="alice", paths=(Path("thesis.txt"),))
    assert choice.choose(source, request).kept.path == older.path
    restored(source, request)
    assert thesis.read_text() == "years of work"


def test_what_no_snapshot_holds(source: Source, homes: Path, kept: Snapshot) -> None:
    request = Request(user="alice", paths=(Path("nope.txt"),))
    with pytest.raises(NotKept, match=r"does not hold '.*nope\.txt'"):
        choice.choose(source, request)


@pytest.mark.parametrize("path", ["../bob/lesson.ipynb", "/etc/passwd", "project/../../bob"])
def test_a_path_out_of_the_home(source: Source, kept: Snapshot, path: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not in the home of alice"):
        choice.choose(source, Request(user="alice", paths=(Path(path),)))


def test_owner_and_mode_of_folders_come_back(source: Source, homes: Path, kept: Snapshot) -> None:
    before = looks(homes)
    for folder in (homes / "alice", homes / "alice" / "project"):
        os.chown(folder, BOB, BOB)
        folder.chmod(0o777)
    restored(source, Request(user="alice"))
    assert {**looks(homes), ".": 0} == {**before, ".": 0}
    assert asked_again(source, Request(user="alice")) == []


def test_a_repository_that_cannot_be_used_does_not_stop_everything(
    source: Source, homes: Path, kept: Snapshot
) -> None:
    Path(source.settings.user_data.repository).rename(homes.parent / "unplugged")
    wanted = Restoration(source, kept, quiet, missing_only=True)
    assert restore.plan(wanted, components.chosen(["user-data"])) == []
    [note] = wanted.notes
    assert "Users' files are not restored" in note
    with pytest.raises(RepositoryUnreachable):
        restore.plan(replace(wanted, missing_only=False), components.chosen(["user-data"]))
