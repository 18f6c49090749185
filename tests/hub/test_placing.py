"""Users' files come to their place by renames, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from homes_folder import ALICE, BOB, THEN, Homes, age, folder, one, own, put, seen
from hub_fixtures import as_ordinary_user

from tljh_runbook.errors import NotKept, RestoreFailed
from tljh_runbook.hub.core import renames
from tljh_runbook.hub.snapshots.placement import placing, private_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    yield Homes(tmp_path)
    # pytest's own clean-up recurses, and fails on the deepest of these; rm does not.
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


@pytest.fixture(params=["in one moment", "one after the other", "no renameat2"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way of renaming: file systems differ in what they can."""
    if request.param != "in one moment":
        monkeypatch.setattr(renames, "can_exchange", lambda _: False)
    if request.param == "no renameat2":
        monkeypatch.setattr(renames, "RENAMEAT2", None)


@pytest.mark.usefixtures("way")
def test_what_is_missing_or_differs_is_put_right_and_what_is_replaced_is_kept(
    homes: Homes,
) -> None:
    for top in (homes.staged, homes.live):
        put(top / "alice" / "same", "same")
        put(top / "alice" / "differs", f"in {top.name}")
        put(top / "alice" / "project" / "mode", "", mode=0o600 if top == homes.staged else 0o644)
    put(homes.live / "alice" / "differs", "later")
    put(homes.live / "alice" / "more", "of today")
    put(homes.staged / "alice" / "missing" / "below" / "file", "restored")
    put(homes.staged / "bob" / "file", "of bob")
    age(homes.top)
    age(homes.live)
    expected = {
        "alice/differs": "differs",
        "alice/missing": "missing",
        "alice/project/mode": "another owner or mode",
        "bob": "missing",
    }
    wanted = seen(homes.staged)
    assert homes.compare() == expected
    assert homes.place() == expected
    found = seen(homes.live)
    assert {name: found[name] for name in wanted} == wanted
    assert (homes.live / "alice" / "more").read_text() == "of today"
    assert (homes.replaced / "alice" / "differs").read_text() == "later"
    assert one(homes.replaced / "alice" / "project" / "mode")[0] == oct(stat.S_IFREG | 0o644)
    assert not (homes.replaced / "alice" / "same").exists()
    assert stat.S_IMODE(homes.replaced.stat().st_mode) == 0o700
    assert stat.S_IMODE((homes.replaced / "alice").stat().st_mode) == 0o700


def test_what_was_put_right_is_not_offered_again(homes: Homes) -> None:
    put(homes.live / "alice" / "file", "later")
    for _ in range(2):
        put(homes.staged / "alice" / "file", "then")
        (homes.staged / "alice" / "link").symlink_to("target")
        age(homes.top)
        found = homes.place()
        shutil.rmtree(homes.staged / "alice")
    assert found == {}
    assert not homes.replaced.exists()


@pytest.mark.usefixtures("way")
def test_with_missing_only_nothing_that_is_in_place_is_touched(homes: Homes) -> None:
    put(homes.live / "alice" / "file", "later", mode=0o600)
    put(homes.live / "alice" / "was a folder", "now a file")
    put(homes.staged / "alice" / "file", "then")
    put(homes.staged / "alice" / "was a folder" / "file", "then")
    put(homes.staged / "alice" / "missing", "then")
    (homes.staged / "alice").chmod(0o700)
    age(homes.live)
    before = seen(homes.live)
    assert homes.compare(missing_only=True) == {"alice/missing": "missing"}
    assert homes.place(missing_only=True) == {"alice/missing": "missing"}
    after = seen(homes.live)
    assert after.pop("alice/missing")
    assert after == before
    assert homes.said == ["'alice/was a folder' is left alone, with all in it: not a folder"]
    assert not homes.replaced.exists()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("live", ["later", None], ids=["differs", "missing"])
def test_one_notebook_comes_back_and_nothing_else_changes(homes: Homes, live: str | None) -> None:
    notebook = "alice/project/x.ipynb"
    put(homes.staged / notebook, "then", uid=ALICE)
    put(homes.live / "alice" / "project" / "other", "untouched", uid=ALICE)
    put(homes.live / "bob" / "file", "untouched", uid=BOB)
    (homes.live / "alice").chmod(0o700)
    (homes.live / "alice" / "project").chmod(0o2775)
    if live:
        put(homes.live / notebook, live, uid=ALICE)
    age(homes.live)
    before = seen(homes.live)
    wanted = one(homes.staged / notebook)
    assert homes.place(notebook) == {notebook: "differs" if live else "missing"}
    after = seen(homes.live)
    assert after.pop(notebook) == wanted
    before.pop(notebook, None)
    assert after == before


def test_folders_on_the_way_are_made_as_kept_when_they_are_missing(homes: Homes) -> None:
    put(homes.staged / "alice" / "project" / "x.ipynb", "then", uid=ALICE)
    (homes.staged / "alice" / "project").chmod(0o2750)
    age(homes.top)
    folder(homes.live / "alice", uid=ALICE)
    wanted = one(homes.staged / "alice" / "project")
    assert homes.place("alice/project/x.ipynb") == {"alice/project": "missing"}
    assert one(homes.live / "alice" / "project") == wanted
    assert one(homes.live / "alice")[3] == THEN


def test_what_was_not_asked_for_stays_away(homes: Homes) -> None:
    put(homes.staged / "alice" / "project" / "x.ipynb", "then")
    put(homes.staged / "alice" / "not asked for", "then")
    put(homes.live / "alice" / "project" / "y.ipynb", "now")
    assert homes.place("alice/project") == {"alice/project/x.ipynb": "missing"}
    assert not (homes.live / "alice" / "not asked for").exists()


@pytest.mark.parametrize("missing_only", [False, True])
def test_a_link_on_the_way_to_what_is_asked_is_refused(homes: Homes, missing_only: bool) -> None:
    put(homes.staged / "alice" / "project" / "x.ipynb", "then")
    folder(homes.root / "elsewhere")
    folder(homes.live / "alice")
    (homes.live / "alice" / "project").symlink_to(homes.root / "elsewhere")
    before = seen(homes.root)
    with pytest.raises(RestoreFailed, match=r"'alice/project' \(not a folder\)"):
        homes.place("alice/project/x.ipynb", missing_only=missing_only)
    assert seen(homes.root) == before


def test_a_home_that_is_a_link_is_replaced_when_all_of_it_is_asked(homes: Homes) -> None:
    put(homes.staged / "alice" / "file", "then")
    put(homes.root / "elsewhere" / "file", "precious")
    (homes.live / "alice").symlink_to(homes.root / "elsewhere")
    assert homes.place("alice") == {"alice": "another kind"}
    assert (homes.live / "alice" / "file").read_text() == "then"
    assert (homes.replaced / "alice").readlink() == homes.root / "elsewhere"
    assert (homes.root / "elsewhere" / "file").read_text() == "precious"


@needs_root
def test_a_folder_gets_its_owner_mode_time_and_access_list_back(homes: Homes) -> None:
    put(homes.staged / "alice" / "file", "then", uid=ALICE)
    put(homes.live / "alice" / "file", "then")
    (homes.staged / "alice").chmod(0o2750)
    access = acl(BOB)
    os.setxattr(homes.staged / "alice", "system.posix_acl_access", access)
    os.setxattr(homes.staged / "alice", "user.colour", b"blue")
    os.setxattr(homes.live / "alice", "user.colour", b"red")
    os.setxattr(homes.live / "alice", "user.more", b"today")
    os.setxattr(homes.live / "alice", "system.posix_acl_default", access)
    age(homes.top)
    wanted = seen(homes.staged / "alice")
    assert homes.compare()["alice"] == "another owner or mode"
    homes.place()
    assert seen(homes.live / "alice") == wanted


def acl(uid: int) -> bytes:
    """Return an access list as the kernel wants it: user ``uid`` may read and enter, too."""
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), (2, 5, uid), (4, 5, nobody), (0x10, 5, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


def make_socket(path: Path) -> None:
    # A socket's own path may not be as long as a file's.
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{short}/made")
        Path(short, "made").rename(path)


def make_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_folder(path: Path) -> None:
    put(path / "below", "of alice")


KINDS: list[Callable[[Path], object]] = [
    put,
    make_folder,
    make_link,
    os.mkfifo,
    make_socket,
    make_device,
]


@needs_root
@pytest.mark.timeout(60)
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kept", KINDS)
@pytest.mark.parametrize("live", KINDS)
def test_any_kind_takes_the_place_of_any_other(
    homes: Homes, kept: Callable[[Path], object], live: Callable[[Path], object]
) -> None:
    name = os.fsdecode(b"\xff\n" + b"x" * 253)
    for top, make in ((homes.staged, kept), (homes.live, live)):
        folder(top / "alice")
        make(top / "alice" / name)
        age(top)
    wanted, before = seen(homes.staged), seen(homes.live / "alice")
    expected = {} if kept is live else {f"alice/{name}": "another kind"}
    assert homes.place() == expected
    assert seen(homes.live) == wanted
    if kept is not live:
        assert one(homes.replaced / "alice" / name) == before[name]


@needs_root
def test_another_device_or_another_target_differs(homes: Homes) -> None:
    for top, number in ((homes.staged, 5), (homes.live, 3)):
        folder(top / "alice")
        os.mknod(top / "alice" / "device", stat.S_IFCHR | 0o666, os.makedev(1, number))
        (top / "alice" / "link").symlink_to(f"target-{number}")
    assert homes.place() == {"alice/device": "differs", "alice/link": "differs"}
    assert (homes.live / "alice" / "device").stat().st_rdev == os.makedev(1, 5)
    assert (homes.live / "alice" / "link").readlink() == Path("target-5")


@needs_root
def test_bits_of_a_program_come_back_with_it_and_none_stays_on_what_is_kept_open(
    homes: Homes,
) -> None:
    put(homes.staged / "alice" / "program", "#!", uid=ALICE, mode=0o4755)
    put(homes.live / "alice" / "program", "#!other", uid=ALICE, mode=0o6755)
    homes.place()
    assert stat.S_IMODE((homes.live / "alice" / "program").stat().st_mode) == 0o4755
    assert as_ordinary_user((homes.replaced / "alice" / "program").stat) == "PermissionError"


def test_links_among_files_and_holes_stay(homes: Homes) -> None:
    first = put(homes.staged / "alice" / "first", "linked")
    second = folder(homes.staged / "bob") / "second"
    os.link(first, second)
    with (homes.staged / "alice" / "holes").open("wb") as file:
        file.truncate(1 << 30)
    folder(homes.live / "alice")
    homes.place()
    found = (homes.live / "alice" / "first").stat(), (homes.live / "bob" / "second").stat()
    assert found[0].st_ino == found[1].st_ino
    assert (homes.live / "alice" / "holes").stat().st_blocks < 100


def deep(top: Path, levels: int) -> None:
    """Make folders below each other, and a file in the last."""
    here = os.open(folder(top), os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    descriptor = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(descriptor, top.parts[-2].encode())
    os.close(descriptor)
    os.close(here)


def open_files() -> list[Path]:
    return sorted(Path("/proc/self/fd").iterdir())


def test_depth_costs_neither_stack_nor_open_files(homes: Homes) -> None:
    levels = 1500
    deep(homes.staged / "alice", levels)
    deep(homes.live / "alice", levels)
    put(homes.staged / "alice" / "z", "comes last")
    before = open_files()
    name = "/".join(["alice", *["d"] * levels, "file"])
    assert homes.place() == {name: "differs", "alice/z": "missing"}
    assert open_files() == before
    (homes.top / "srv" / "more").mkdir(mode=0o500)
    deep(homes.top / "srv" / "more" / "below", levels)
    private_folder.clean(homes.top)
    assert not homes.top.exists()
    private_folder.clean(homes.replaced)
    private_folder.clean(homes.replaced)


def test_a_wide_folder_is_placed(homes: Homes) -> None:
    folder(homes.staged / "alice")
    folder(homes.live / "alice")
    for number in range(5_000):
        (homes.staged / "alice" / str(number)).touch()
    assert len(homes.place()) == 5_000
    assert len(list((homes.live / "alice").iterdir())) == 5_000


def test_nothing_that_was_kept_is_told(homes: Homes) -> None:
    shutil.rmtree(homes.staged)
    with pytest.raises(NotKept, match="Nothing was changed"):
        homes.compare()


@needs_root
def test_another_disk_is_refused_before_anything_is_changed_in_it(homes: Homes) -> None:
    for name in ("alice", "bob"):
        put(homes.staged / name / "file", "then")
    for kind in ("tmpfs", "--bind"):
        folder(homes.live / "alice")
        mount = ["-t", "tmpfs", "none"] if kind == "tmpfs" else ["--bind", str(homes.root)]
        subprocess.run(["mount", *mount, str(homes.live / "alice")], check=True)
        try:
            before = {path.name for path in (homes.live / "alice").iterdir()}
            assert homes.compare()["alice"] == "on another disk"
            with pytest.raises(RestoreFailed, match=r"'alice' \(on another disk\)") as told:
                homes.place()
            assert {path.name for path in (homes.live / "alice").iterdir()} == before
        finally:
            subprocess.run(["umount", str(homes.live / "alice")], check=True)
        assert "--into" in told.value.hint
        assert (homes.live / "bob" / "file").read_text() == "then"


@needs_root
def test_a_file_that_is_a_mount_is_refused_and_stays(homes: Homes) -> None:
    put(homes.staged / "alice" / "file", "then")
    put(homes.live / "alice" / "file", "live")
    put(homes.root / "other", "mounted")
    subprocess.run(
        ["mount", "--bind", str(homes.root / "other"), str(homes.live / "alice" / "file")],
        check=True,
    )
    try:
        with pytest.raises(RestoreFailed, match="on another disk"):
            homes.place()
        assert (homes.live / "alice" / "file").read_text() == "mounted"
        assert (homes.staged / "alice" / "file").read_text() == "then"
    finally:
        subprocess.run(["umount", str(homes.live / "alice" / "file")], check=True)
    assert (homes.live / "alice" / "file").read_text() == "live"


@needs_root
def test_staged_on_another_disk_is_refused(homes: Homes) -> None:
    with pytest.raises(RestoreFailed, match="Nothing was changed"):
        list(placing.compare(placing.Placement(Path("/proc/self/fdinfo"), Path("/"), homes.live)))


@needs_root
@pytest.mark.parametrize("asked", [(), ("alice/project/x.ipynb",)], ids=["all", "one"])
def test_no_folder_of_another_user_is_given_away_by_its_name(
    homes: Homes, asked: tuple[str, ...]
) -> None:
    put(homes.staged / "alice" / "project" / "x.ipynb", "then", uid=ALICE)
    folder(homes.live / "alice", uid=ALICE)
    put(homes.live / "alice" / "project" / "secret", "of root")
    (homes.live / "alice" / "project").chmod(0o700)
    if asked:
        with pytest.raises(RestoreFailed, match="it belongs to another user"):
            homes.place(*asked)
        kept = homes.live / "alice" / "project"
    else:
        assert homes.place() == {"alice/project": "another folder, by its owner or mode"}
        kept = homes.replaced / "alice" / "project"
        assert (homes.live / "alice" / "project" / "x.ipynb").read_text() == "then"
    assert (kept.stat().st_uid, stat.S_IMODE(kept.stat().st_mode)) == (0, 0o700)
    assert (kept / "secret").read_text() == "of root"


@needs_root
def test_a_private_folder_is_not_opened_by_a_name_that_others_may_give_it(homes: Homes) -> None:
    folder(homes.staged / "alice" / "open", uid=ALICE)
    folder(homes.live / "alice" / "open", uid=ALICE)
    put(homes.live / "alice" / "open" / "secret", "of alice", uid=ALICE)
    (homes.live / "alice" / "open").chmod(0o700)
    for top in (homes.staged, homes.live):
        (top / "alice").chmod(0o777)
    assert homes.place() == {"alice/open": "another folder, by its owner or mode"}
    kept = homes.replaced / "alice" / "open"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert (kept / "secret").read_text() == "of alice"


@needs_root
def test_one_entry_that_cannot_be_replaced_does_not_keep_the_others_back(homes: Homes) -> None:
    for name in ("alice", "bob"):
        put(homes.staged / name / "file", "then")
        put(homes.live / name / "file", "later")
    held = homes.live / "alice" / "file"
    subprocess.run(["chattr", "+i", str(held)], check=True)
    try:
        with pytest.raises(RestoreFailed, match=r"'alice/file' \(Operation not permitted\)"):
            homes.place()
        assert held.read_text() == "later"
        assert not (homes.replaced / "alice" / "file").exists()
        assert (homes.live / "bob" / "file").read_text() == "then"
    finally:
        subprocess.run(["chattr", "-i", str(held)], check=True)


@needs_root
def test_the_work_folder_must_be_for_root_alone(tmp_path: Path) -> None:
    work = tmp_path / private_folder.NAME
    assert private_folder.make_work(tmp_path) == work
    assert private_folder.make_work(tmp_path) == work
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    work.chmod(0o750)
    refused(tmp_path)
    work.chmod(0o700)
    own(work, ALICE)
    refused(tmp_path)
    work.rename(tmp_path / "elsewhere")
    work.symlink_to(tmp_path / "elsewhere")
    own(tmp_path / "elsewhere", 0)
    refused(tmp_path)
    work.unlink()
    put(work)
    refused(tmp_path)
    work.unlink()
    tmp_path.chmod(0o777)
    refused(tmp_path)
    assert not work.exists()


def refused(root: Path) -> None:
    with pytest.raises(RestoreFailed, match="Nothing was changed"):
        private_folder.make_work(root)


def test_an_ordinary_user_places_own_files() -> None:
    def act() -> object:
        with tempfile.TemporaryDirectory() as top:
            homes = Homes(Path(top))
            put(homes.staged / "me" / "project" / "file", "then")
            put(homes.staged / "me" / "missing" / "file", "then")
            put(homes.live / "me" / "project" / "file", "later")
            (homes.staged / "me" / "project").chmod(0o700)
            found = homes.place()
            deep(homes.top / "left", 3)
            (homes.top / "left" / "d").chmod(0o500)
            private_folder.clean(homes.top)
            private_folder.clean(homes.replaced)
            return sorted(found.items()), [each.name for each in homes.work.iterdir()]

    expected = {
        "me/missing": "missing",
        "me/project": "another owner or mode",
        "me/project/file": "differs",
    }
    assert as_ordinary_user(act) == str((sorted(expected.items()), []))
