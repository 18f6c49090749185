"""A copy of the hub's environment next to the live one, and the exchange of the two."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.core import copies, files, renames
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system.namespace import View
from tljh_runbook.hub.versions import interpreter, versions

FOLDER = "runbook-restore"


@dataclass(frozen=True)
class EnvironmentCopy:
    """A copy of the hub's environment, bind-mounted over the live one for commands run on it."""

    hub: Hub

    @property
    def copy(self) -> Hub:
        return Hub(self.hub.prefix / FOLDER)

    @property
    def environment(self) -> dict[str, str]:
        return {}

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return a command line that sees the copy at the path of the live environment."""
        view = View(binds=((self.copy.environment, self.hub.environment),))
        return view.command(command, directory)

    def begin(self) -> None:
        """Copy the live environment, creating missing folders. Raises `NoSpace`."""
        self.discard()
        files.make_private(self.hub.work)
        for folder in (self.hub.prefix, self.hub.environment):
            if not folder.exists():
                folder.mkdir(parents=True)
                folder.chmod(0o755)
        self.copy.prefix.mkdir(mode=0o700)
        if sound(self.hub):
            copies.copy(self.hub.environment, self.copy.environment)
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Copy only the proxy binary, because the rest may be incomplete."""
        proxy, other = (each.environment / "bin/traefik" for each in (self.hub, self.copy))
        other.parent.mkdir(parents=True)
        for folder in (other.parent, other.parents[1]):
            folder.chmod(0o755)
        if proxy.is_file():
            shutil.copy2(proxy, other)

    def exchange(self) -> None:
        """Exchange the live environment and the copy; a second exchange reverts it."""
        name = self.hub.environment.name
        copies.sync(self.copy.prefix)
        ours = os.open(self.copy.prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        live = os.open(self.hub.prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            renames.exchange(ours, live, name)
        except OSError as error:
            if error.errno not in renames.UNSUPPORTED:
                raise
            os.rename(name, f"{name}.aside", src_dir_fd=live, dst_dir_fd=ours)
            os.rename(name, name, src_dir_fd=ours, dst_dir_fd=live)
            os.rename(f"{name}.aside", name, src_dir_fd=ours, dst_dir_fd=ours)
        finally:
            os.fsync(live)
            os.close(ours)
            os.close(live)

    def discard(self) -> None:
        """Remove the copy, or what it was exchanged with, if it exists."""
        copies.remove(self.copy.prefix)
        with suppress(OSError):  # not empty any more
            self.hub.environment.rmdir()


def sound(hub: Hub) -> bool:
    """Return whether packages can be fixed in the hub's environment as it is."""
    pip = any(path.joinpath("pip").is_dir() for path in versions.site_packages(hub))
    return hub.python.exists() and pip and not interpreter.gone(hub)


def possible() -> bool:
    """Return whether this server allows bind-mounting one folder over another for a command."""
    with tempfile.TemporaryDirectory() as name:
        for each in ("origin", "place"):
            Path(name, each).mkdir()
        view = View(binds=((Path(name, "origin"), Path(name, "place")),))
        try:
            done = subprocess.run(
                view.command(["touch", f"{name}/place/seen"], Path(name)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError:
            return False
        return done.returncode == 0 and Path(name, "origin", "seen").exists()
