"""A small disk of its own, for a folder: a real file system, that a real file fills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = 4096
LARGE = 4 << 30  # bytes; memory is taken by what is written alone


@dataclass(frozen=True)
class Disk:
    """A disk that is mounted in a place."""

    place: Path

    @property
    def filler(self) -> Path:
        """What takes all its room."""
        return self.place / ".filler"

    @property
    def left(self) -> int:
        """How many bytes are free."""
        about = os.statvfs(self.place)
        return about.f_bavail * about.f_frsize

    def fill(self, left: int = 0) -> None:
        """Leave no more than so many bytes free."""
        with self.filler.open("ab") as file:
            end = os.fstat(file.fileno()).st_size
            size = max(0, self.left - left)
            while size >= BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), end, size)
                    end += size
                except OSError:  # the file system needs some room to remember it all
                    size //= 2
                size = min(size, max(0, self.left - left))

    def relieve(self) -> None:
        """Free the room."""
        self.filler.unlink(missing_ok=True)


@contextmanager
def small_disk(place: Path, image: Path, megabytes: int) -> Iterator[Disk]:
    """Mount a disk of so many megabytes in a place that is made for it; skip where none may be."""
    place.mkdir(mode=0o755, parents=True)
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    make = ["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,root_owner=0:0", str(image)]
    mount = ["mount", "-o", "loop", str(image), str(place)]
    for command in (make, mount):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        (place / "lost+found").rmdir()
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@dataclass(frozen=True)
class Memory:
    """A disk in memory, which is full, or has room again, in an instant."""

    place: Path

    def fill(self, left: int = 0) -> None:
        """Leave no more than so many bytes free."""
        about = os.statvfs(self.place)
        self._resize((about.f_blocks - about.f_bfree) * about.f_frsize + left)

    def relieve(self) -> None:
        """Free the room."""
        self._resize(LARGE)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={max(size, BLOCK)}", self.place], check=True)


@contextmanager
def memory_disk(place: Path) -> Iterator[Memory]:
    """Mount a disk in memory in a place that is made for it; skip where none may be mounted."""
    place.mkdir(mode=0o755, parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={LARGE},mode=0755", "none", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield Memory(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
