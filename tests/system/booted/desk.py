"""An administrator who is logged in on a booted server, and types what a page shows."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from machines import ADMIN, Server

TERMINAL = ("LC_ALL=C.UTF-8", "TERM=dumb", "COLUMNS=100")


@dataclass(frozen=True)
class Desk:
    """Runs the commands of a page on a server, and says what that is."""

    server: Server

    def run(self, command: str) -> tuple[list[str], int]:
        """Return the lines that a command printed, on either stream, and its exit status."""
        shell = ("runuser", "-u", ADMIN, "--", "env", *TERMINAL, "bash", "-c")
        done = self.server.tried(*shell, f"exec 2>&1; {command}")
        return done.stdout.splitlines(), done.returncode

    @property
    def system(self) -> str:
        """The name and version of the server's system."""
        said = self.server.read("/etc/os-release")
        found = dict(line.partition("=")[::2] for line in said.splitlines())
        name, version = (shlex.split(found[key])[0] for key in ("NAME", "VERSION_ID"))
        return f"{name.split()[0]} {version}"

    @property
    def tljh(self) -> str:
        """The version of TLJH on the server."""
        return str(self.server.tool("status")["versions"]["tljh"]["version"])
