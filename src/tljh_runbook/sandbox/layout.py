"""The layout of a sandbox, a directory that takes the place of a server's ``/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tljh_runbook.errors import SandboxFailed

FAKES = Path(__file__).with_name("fakes")
# Each of these has a special meaning in supervisor's configuration, PATH or a shebang line;
# supervisor expands a percent sign once in some settings and twice in others.
UNUSABLE = frozenset("\"'\\;#:{}%")


@dataclass(frozen=True)
class Layout:
    """The paths of one sandbox; ``root`` is absolute, without symbolic links."""

    root: Path

    @property
    def prefix(self) -> Path:
        return self.root / "opt" / "tljh"

    @property
    def state(self) -> Path:
        return self.prefix / "state"

    @property
    def config(self) -> Path:
        return self.prefix / "config"

    @property
    def homes(self) -> Path:
        return self.root / "home"

    @property
    def installer(self) -> Path:
        return self.root / "srv" / "tljh-installer.py"

    @property
    def repositories(self) -> Path:
        return self.root / "srv" / "git"

    @property
    def logs(self) -> Path:
        return self.root / "var" / "log"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def supervisor(self) -> Path:
        return self.root / "etc" / "supervisor" / "supervisord.conf"

    @property
    def systemctl(self) -> Path:
        return self.root / "usr" / "bin" / "systemctl"

    @property
    def systemd(self) -> Path:
        """The file by which TLJH's installer detects systemd, at its path in Debian 13."""
        return self.root / "usr" / "lib" / "systemd" / "systemd"

    @property
    def settings(self) -> Path:
        return self.root / "etc" / "tljh-runbook.yaml"

    @property
    def token(self) -> Path:
        return self.state / "sandbox.token"

    @property
    def marker(self) -> Path:
        """The file that is written first and removed last, and marks the directory as deletable."""
        return self.root / ".tljh-sandbox"

    @property
    def record(self) -> Path:
        """The file that is written last, and marks the sandbox as complete."""
        return self.root / "sandbox.json"

    def url(self, repository: str) -> str:
        """Return the URL from which pip clones one of the sandbox's repositories."""
        return f"git+file://{quote(str(self.repositories / repository))}"


def layout(folder: Path) -> Layout:
    """Return the layout of the sandbox in ``folder``.

    Raises SandboxFailed if the path has characters that the programs in a sandbox cannot handle.
    """
    root = folder.resolve()
    unusable = sorted({c for c in str(root) if c in UNUSABLE or not c.isprintable()})
    if unusable:
        raise SandboxFailed(
            f"A sandbox cannot live in {root}: its path contains {' '.join(map(repr, unusable))}.",
            hint="Name a folder without that character; letters, digits and spaces are fine.",
        )
    return Layout(root)
