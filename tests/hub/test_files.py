"""Files are written whole or not at all, and read without being led astray."""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import pytest

from tljh_runbook.errors import AccessDenied, DiskFailed, NoSpace, SettingsInvalid
from tljh_runbook.hub.core import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plant_link(path: Path) -> None:
    path.with_name("secret").write_text("root's own")
    path.symlink_to(path.with_name("secret"))


def plant_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def plant_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: it has no end
    except PermissionError:
        pytest.skip("only root makes devices")


PLANTED: list[Callable[[Path], None]] = [
    plant_link,
    os.mkfifo,
    plant_socket,
    plant_device,
    Path.mkdir,
]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("plant", PLANTED)
def test_nothing_but_a_regular_file_is_copied(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    plant(tmp_path / "planted")
    for read in (files.read, files.digest, files.steady):
        with pytest.raises(OSError, match=r"not a regular file|symbolic links|No such device"):
            read(tmp_path / "planted")


def test_what_is_read_comes_with_the_modes_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"key")
    (tmp_path / "source").chmod(0o644)
    data, status = files.steady(tmp_path / "source")
    assert data == b"key"
    assert stat.S_IMODE(status.st_mode) == 0o644


WATCHER = """\
import os, sys
seen, size = set(), 0
print("ready", flush=True)
while size < 15_000_000:
    try:
        found = os.stat(sys.argv[1])
    except FileNotFoundError:
        continue
    seen.add(found.st_mode & 0o7777)
    size = found.st_size
print(sorted(map(oct, seen)))
"""


class Overtaken(io.FileIO):
    """A file that another program writes over just while its first half has been read."""

    def __init__(self, descriptor: int, act: Callable[[], object]) -> None:
        super().__init__(descriptor, "rb")
        self._act = act

    def read(self, size: int | None = -1, /) -> bytes:
        half = os.fstat(self.fileno()).st_size // 2
        first = super().read(half) or b""
        self._act()
        self._act = lambda: None
        return first + (super().read(-1) or b"")


@pytest.mark.parametrize("time_tells", [True, False], ids=["later", "at the same time"])
def test_a_copy_is_one_version_of_a_file_that_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_tells: bool
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * 1000)
    moment = source.stat().st_mtime_ns

    def write_over() -> None:
        source.write_bytes(b"b" * 1000)
        os.utime(source, ns=(moment, moment + time_tells))

    def fdopen(descriptor: int, _: str) -> IO[bytes]:
        return cast("IO[bytes]", Overtaken(descriptor, acts.pop()))

    acts: list[Callable[[], object]] = [lambda: None, write_over]
    monkeypatch.setattr(os, "fdopen", fdopen)
    data, _ = files.steady(source)
    monkeypatch.undo()
    assert data == b"b" * 1000
    assert acts == []


def test_a_file_that_never_stands_still_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a")

    def grow() -> None:
        with source.open("ab") as file:
            file.write(b"a" * 10)

    monkeypatch.setattr(os, "fdopen", lambda descriptor, _: Overtaken(descriptor, grow))
    with pytest.raises(OSError, match="changes faster than it can be read"):
        files.steady(source)


def test_a_new_file_is_private_from_the_first_moment(tmp_path: Path) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(tmp_path / "new")], stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout is not None
    watcher.stdout.readline()
    before = os.umask(0)
    try:
        files.write_new(tmp_path / "new", b"key" * 5_000_000)
    finally:
        os.umask(before)
    assert watcher.communicate()[0].strip() == "['0o600']"
    assert mode(tmp_path / "new") == 0o600


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            files.write_new(tmp_path / name, b"yours")
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_replacing_keeps_mode_and_owner(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o4640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
        file.chmod(0o640)
    before = file.stat()
    files.replace(file, b"new")
    after = file.stat()
    assert file.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_planted_link_does_not_lead_the_replacement_astray(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".file.new").symlink_to(tmp_path / "victim")
    files.replace(tmp_path / "file", b"new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "file").read_bytes() == b"new"


READER = """\
import sys
seen = set()
print("ready", flush=True)
while len(seen) < 2 or b"end" not in seen:
    with open(sys.argv[1], "rb") as file:
        seen.add(file.read())
print(seen == {b"a" * 200000, b"b" * 200000, b"end"} or seen == {b"a" * 200000, b"end"}
      or seen == {b"b" * 200000, b"end"})
"""


def test_a_reader_sees_the_old_or_the_new_and_nothing_between(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * 200000)
    command = [sys.executable, "-c", READER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for number in range(100):
            files.replace(file, (b"b" if number % 2 else b"a") * 200000)
        files.replace(file, b"end")
        assert reader.stdout.read().strip() == "True"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EACCES, AccessDenied),
        (errno.EPERM, AccessDenied),
        (errno.EROFS, AccessDenied),
        (errno.EIO, DiskFailed),
    ],
)
def test_errors_of_the_disk_are_told_as_a_person_can_use_them(
    tmp_path: Path, number: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as told, files.disk_errors(tmp_path, "No snapshot was made."):
        raise OSError(number, os.strerror(number))
    assert "No snapshot was made." in str(told.value)


def test_walking_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to("self")
    found = [str(path.relative_to(tmp_path)) for path in files.walk(tmp_path)]
    assert found == ["a/b/file", "a/loop", "a/self"]


def test_a_new_folder_is_private_and_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    files.make_private(tmp_path / "new" / "folder")
    assert mode(tmp_path / "new" / "folder") == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    files.make_private(tmp_path / "shared")
    assert mode(tmp_path / "shared") == 0o1777


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid):
        files.make_private(tmp_path / name)
