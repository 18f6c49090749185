"""What an administrator may remove from a hub's disk without losing anything that is used."""

from __future__ import annotations

from pathlib import Path

from tljh_runbook.hub.source import Source
from tljh_runbook.hub.staging import copies, previous

OLD_DATABASES = "jupyterhub.sqlite.*[0-9]"  # JupyterHub's own copies, one for each migration


def advice(source: Source) -> str:
    """Return what may be removed and how large it is, in one or two sentences."""
    named = ["old snapshots (tljh-runbook prune --dry-run lists them)"]
    named += [f"{path} ({text}, {_megabytes(path)} MB)" for path, text in _paths(source)]
    return f"You may remove: {', '.join(named)}."


def _paths(source: Source) -> list[tuple[Path, str]]:
    """Return what is there and may go, with what it is."""
    hub = source.hub
    paths = [(previous.place(hub), "the previous version: a rollback is impossible without it")]
    paths += [(hub.work / "replaced", "what earlier restores replaced")]
    old = sorted(hub.state.glob(OLD_DATABASES))
    paths += [(path, "JupyterHub's copy from before a migration") for path in old]
    return [(path, text) for path, text in paths if path.exists() and not path.is_symlink()]


def _megabytes(path: Path) -> int:
    return (copies.size(path) if path.is_dir() else path.stat().st_size) >> 20
