"""The server that a page's reader sits at: a sandbox whose folder is shown as ``/``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from documented.shell import Shell

REPOSITORY = Path(__file__).parents[3]

# What pages may name of the server; commands find it in the sandbox.
PATHS = ("/opt/tljh", "/var/backups/tljh", "/etc/tljh-runbook.yaml", "/home", "/srv")
_PATH = re.compile(rf"(?<![\w./~-])({'|'.join(map(re.escape, PATHS))})(?![\w-])")

# What the one who runs the tests has set, and a reader has not.
_OURS = ("INVOKE_", "PYTEST_", "PYTHON", "ANSIBLE_", "NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Server:
    """A shell on a server; ``root`` is its sandbox, or None where the page needs none."""

    shell: Shell
    root: Path | None = None

    def run(self, command: str) -> tuple[list[str], int]:
        """Run a command as the page has it; return its lines as the page would show them."""
        lines, code = self.shell.run(self._inside(command))
        return [self._outside(line) for line in lines], code

    def _inside(self, command: str) -> str:
        if self.root is None:
            return command
        root = str(self.root)
        return _PATH.sub(lambda found: root + found[1], command)

    def _outside(self, line: str) -> str:
        if self.root is None:
            return line
        return line.replace(f"{self.root}/", "/").replace(str(self.root), "/")


@contextmanager
def opened(folder: Path, *, sandbox: bool, path: str = "") -> Iterator[Server]:
    """Yield a server for one page; ``path`` says what comes before the reader's PATH."""
    root = folder / "server" if sandbox else None
    if root:
        _sandbox("up", root)
    shell = Shell(REPOSITORY, environment(os.environ, root, path))
    try:
        yield Server(shell, root)
    finally:
        shell.close()
        if root:
            _sandbox("down", root)


def environment(given: Mapping[str, str], root: Path | None, path: str) -> dict[str, str]:
    """Return the environment of a page's shell: the same wherever the tests are run."""
    own = str(Path(sys.prefix) / "bin")
    others = [each for each in given.get("PATH", "").split(":") if each != own]
    found = {name: value for name, value in given.items() if not name.startswith(_OURS)}
    found |= {"LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "100"}
    found["PATH"] = ":".join(others if path == "bare" else [own, *others])
    if root:
        found["INVOKE_TLJH_HUB"] = str(root / "opt" / "tljh")
    return found


def _sandbox(verb: str, root: Path) -> None:
    command = [sys.executable, "-m", "tljh_runbook.sandbox", verb, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"The sandbox could not go {verb}:\n{done.stdout}{done.stderr}")


LIMIT = 600.0
