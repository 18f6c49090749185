"""Where the real TLJH and Plasma come from: git repositories."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from machines import Server, give

HERE = Path("/srv/git")
"""Where a server finds the repositories that it cannot download."""
TIMEOUT = 60  # seconds until an address counts as unreachable


@dataclass(frozen=True)
class Source:
    """A repository: the address that installers ask for, and the one that it is read from."""

    upstream: str
    address: str

    @property
    def name(self) -> str:
        return self.upstream.rpartition("/")[2]

    @property
    def elsewhere(self) -> bool:
        """Say whether the servers must be told to read another address than upstream's."""
        return self.address != self.upstream


class Repository:
    """A bare clone of a source on this machine."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source = source
        self.folder = folder / source.name

    def clone(self) -> Repository:
        """Clone branches and tags. Skips, and says why, when the address cannot be read."""
        command = ["git", "clone", "--quiet", "--bare", self.source.address, str(self.folder)]
        env = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT, env=env)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            pytest.skip(f"{self.source.address} cannot be read: {reason}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"{self.source.address} did not answer within {TIMEOUT} s")
        return self

    def commit(self, ref: str) -> str:
        """Return the full commit of a branch, a tag or ``HEAD``."""
        return self._git("rev-parse", f"{ref}^{{commit}}").decode().strip()

    def read(self, ref: str, path: str) -> bytes:
        """Return the bytes of a file at a ref."""
        return self._git("show", f"{ref}:{path}")

    def unpack(self, ref: str, path: str, folder: Path) -> None:
        """Write the files under ``path`` at a ref into a folder."""
        with tarfile.open(fileobj=io.BytesIO(self._git("archive", ref, path))) as archive:
            archive.extractall(folder, filter="data")

    def _git(self, *words: str) -> bytes:
        command = ["git", f"--git-dir={self.folder}", *words]
        return subprocess.run(command, capture_output=True, check=True).stdout


def hand_over(server: Server, repositories: Iterable[Repository]) -> None:
    """Put repositories on a server, and let its git read these for upstream's addresses."""
    written = io.BytesIO()
    lines = []
    with tarfile.open(fileobj=written, mode="w") as archive:
        for each in repositories:
            if each.source.elsewhere:
                place = HERE / each.source.name
                archive.add(each.folder, str(place).lstrip("/"))
                lines.append(f'[url "{place}"]\n\tinsteadOf = {each.source.upstream}\n')
                archive.addfile(_link(f"{place}.git".lstrip("/"), each.source.name))
    if lines:
        give(server, written.getvalue())
        server.run("sh", "-c", "cat >> /etc/gitconfig", stdin="".join(lines).encode())


def _link(name: str, target: str) -> tarfile.TarInfo:
    """Return a symbolic link: an address may end in ``.git``, and is replaced up to there."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made
