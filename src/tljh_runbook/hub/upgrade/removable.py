"""Files that an administrator can safely remove to free disk space."""

from __future__ import annotations

from pathlib import Path

from tljh_runbook.hub.core import copies
from tljh_runbook.hub.core.layout import Hub

OLD_DATABASES = "jupyterhub.sqlite.*[0-9]"  # JupyterHub's own backups, one per migration


def advice(hub: Hub) -> str:
    """Return a sentence that lists what may be removed, with sizes."""
    named = ["old snapshots (tljh-runbook prune --dry-run lists them)"]
    named += [f"{path} ({text}, {_megabytes(path)} MB)" for path, text in _paths(hub)]
    return f"You may remove: {', '.join(named)}."


def _paths(hub: Hub) -> list[tuple[Path, str]]:
    """Return the removable paths that exist, each with a description."""
    paths = [(hub.previous, "the previous version: a rollback is impossible without it")]
    paths += [(hub.newer, "the version that the last rollback replaced")]
    paths += [(hub.work / "replaced", "what earlier restores replaced")]
    old = sorted(hub.state.glob(OLD_DATABASES))
    paths += [(path, "JupyterHub's copy from before a migration") for path in old]
    return [(path, text) for path, text in paths if path.exists() and not path.is_symlink()]


def _megabytes(path: Path) -> int:
    return (copies.size(path) if path.is_dir() else path.stat().st_size) >> 20
