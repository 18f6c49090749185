"""The server that a page's reader sits at: a sandbox whose folder is shown as ``/``."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from documented.match import Names
from documented.shell import LIMIT, Shell

REPOSITORY = Path(__file__).parents[3]
TLJH = "the_littlest_jupyterhub"
CHECKOUT = "/home/you/tljh-runbook"  # how pages show the folder of the checkout

# What pages may name of the server; commands find it in the sandbox.
PATHS = (
    "/opt/tljh",
    "/var/backups/tljh",
    "/etc/tljh-runbook.yaml",
    "/etc/tljh-runbook.password",
    "/home",
    "/srv",
)
_PATH = re.compile(rf"(?<![\w./~-])({'|'.join(map(re.escape, PATHS))})(?![\w-])")

# What the one who runs the tests has set, and a reader has not.
_OURS = ("INVOKE_", "PYTEST_", "PYTHON", "ANSIBLE_", "NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Server:
    """A shell on a server; ``root`` is its sandbox, or None where the page needs none.

    ``names`` are what the page calls things, and what they are called here.
    """

    shell: Shell
    checkout: Path
    root: Path | None = None
    names: Names = field(default_factory=dict)

    @property
    def system(self) -> str:
        """The name and version of this machine's system."""
        said = platform.freedesktop_os_release()
        return f"{said['NAME'].split()[0]} {said.get('VERSION_ID', '')}".strip()

    @property
    def tljh(self) -> str:
        """The version of TLJH in the sandbox; nothing where there is none."""
        if self.root is None:
            return ""
        packages = self.root.glob("opt/tljh/hub/lib/python3*/site-packages")
        found = (each for path in packages for each in path.glob(f"{TLJH}-*.dist-info"))
        return next((each.name.split("-")[1].removesuffix(".dist") for each in found), "")

    def run(self, command: str) -> tuple[list[str], int]:
        """Run a command as the page has it; return its lines as the page would show them."""
        lines, code = self.shell.run(self.inside(command))
        return [self.outside(line) for line in lines], code

    def inside(self, command: str) -> str:
        """Return the command with the server's paths in the sandbox."""
        command = command.replace(CHECKOUT, str(self.checkout))
        root = str(self.root or "")
        return _PATH.sub(lambda found: root + found[1], command)

    def outside(self, line: str) -> str:
        """Return a printed line as it would be on a server."""
        line = line.replace(str(self.checkout), CHECKOUT).replace(str(REPOSITORY), CHECKOUT)
        if self.root is None:
            return line
        return line.replace(f"{self.root}/", "/").replace(str(self.root), "/")


@contextmanager
def opened(folder: Path, given: Mapping[str, str], *, sandbox: bool, path: str) -> Iterator[Server]:
    """Yield a server for one page, in ``folder``; ``path`` may be ``bare``.

    What the page itself starts in the checkout is taken down with it.
    """
    root = folder / "server" if sandbox else None
    checkout = _checked_out(folder / "tljh-runbook")
    shell = Shell(checkout, environment(given, root, path))
    try:
        if root:
            _sandbox("up", root)
        yield Server(shell, checkout, root)
    finally:
        shell.close()
        for left in [
            *folder.glob("server/sandbox.json"),
            *checkout.glob(".sandbox/*/sandbox.json"),
        ]:
            _sandbox("down", left.parent)


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


def _checked_out(folder: Path) -> Path:
    """Return a folder that looks like a fresh checkout: what a page makes in it, goes with it."""
    folder.mkdir()
    for entry in REPOSITORY.iterdir():
        if entry.name not in {".git", ".sandbox", ".venv.lock"}:
            (folder / entry.name).symlink_to(entry)
    return folder


def _sandbox(verb: str, root: Path) -> None:
    command = [sys.executable, "-m", "tljh_runbook.sandbox", verb, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"The sandbox could not go {verb}:\n{done.stdout}{done.stderr}")
