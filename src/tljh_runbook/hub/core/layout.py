"""The paths of a hub.

A hub is identified by its prefix. A prefix that ends in ``opt/tljh`` also determines the root of
its server: ``/opt/tljh`` belongs to ``/``, a sandbox's ``FOLDER/opt/tljh`` to ``FOLDER``. Settings,
snapshots and home directories are found from that root, so one option (``--hub``) sets all of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import AccessDenied, NoHub

DEFAULT_PREFIX = Path("/opt/tljh")
ENVIRONMENTS = ("hub", "user")
OWN = ("state", "config", *ENVIRONMENTS)  # TLJH's own folders below the prefix


@dataclass(frozen=True)
class Hub:
    """One TLJH server, identified by its prefix (an absolute path)."""

    prefix: Path

    @property
    def root(self) -> Path:
        """The root folder of the hub's server: ``/``, or the folder of a sandbox."""
        inside = self.prefix.parts[-2:] == DEFAULT_PREFIX.parts[-2:]
        return self.prefix.parents[1] if inside else Path("/")

    @property
    def state(self) -> Path:
        return self.prefix / "state"

    @property
    def config(self) -> Path:
        return self.prefix / "config"

    @property
    def config_file(self) -> Path:
        return self.config / "config.yaml"

    @property
    def environment(self) -> Path:
        """The virtual environment that the hub itself runs in."""
        return self.prefix / "hub"

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def previous(self) -> Path:
        """The environments that the last upgrade replaced, retained for a rollback."""
        return self.prefix / "runbook-previous"

    @property
    def newer(self) -> Path:
        """The environments that a rollback replaced, retained until the next upgrade."""
        return self.prefix / "runbook-newer"

    @property
    def settings_file(self) -> Path:
        return self.root / "etc" / "tljh-runbook.yaml"

    @property
    def work(self) -> Path:
        """The runbook's own folder, with its lock and the journal of the last upgrade."""
        return self.root / "var" / "lib" / "tljh-runbook"


def find(prefix: Path) -> Hub:
    """Return the hub at ``prefix``.

    Raises `NoHub` if there is none, `AccessDenied` if its state is not readable.
    """
    hub = Hub(Path(os.path.abspath(prefix)))  # noqa: PTH100 - resolve() would follow links
    # Without permission, os.path.isdir() returns False and Path.is_dir() raises.
    missing = [name for name in ("state", "config") if not os.path.isdir(hub.prefix / name)]  # noqa: PTH112
    if missing:
        raise NoHub(
            f"There is no TLJH hub at {hub.prefix}: it has no folder {missing[0]!r}.",
            hint=_hint(hub),
        )
    if not os.access(hub.state, os.R_OK | os.X_OK):
        raise AccessDenied(
            f"You may not read {hub.state}.",
            hint="Run the same command as root (sudo).",
        )
    return hub


def _hint(hub: Hub) -> str:
    """Return what to do about an incomplete hub: restore it, if the runbook was used with it."""
    if os.path.lexists(hub.settings_file) or os.path.lexists(hub.work):
        return (
            "If the folder was lost, restore it: tljh-runbook restore. "
            "tljh-runbook restore --dry-run shows first what would change."
        )
    return "Name the hub's folder with --hub DIR. Is this the server that it runs on?"


def remains(prefix: Path) -> Hub:
    """Return the hub at ``prefix``, even if parts of it are missing.

    Raises `NoHub` if there is neither a hub nor a settings file or folder of the runbook.
    """
    hub = Hub(Path(os.path.abspath(prefix)))  # noqa: PTH100 - resolve() would follow links
    left = (hub.prefix, hub.settings_file, hub.work)
    if not any(os.path.lexists(path) for path in left):
        raise NoHub(
            f"There is no TLJH hub at {hub.prefix}, and nothing is left of one.",
            hint="Name the hub's folder with --hub DIR. Is this the server that it ran on?",
        )
    return hub
