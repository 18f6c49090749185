"""What may be removed from a full disk is named with its size."""

from __future__ import annotations

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade import removable


def test_what_is_there_is_named_with_its_size(source: Source) -> None:
    assert removable.advice(source.hub) == (
        "You may remove: old snapshots (tljh-runbook prune --dry-run lists them)."
    )
    old = source.hub.state / "jupyterhub.sqlite.2026-01-15-220000"
    old.write_bytes(bytes(3 << 20))
    folder = source.hub.previous / "hub"
    folder.mkdir(parents=True)
    (folder / "large").write_bytes(bytes(2 << 20))
    (source.hub.work / "replaced").mkdir(parents=True)
    said = removable.advice(source.hub)
    assert f"{old} (JupyterHub's copy from before a migration, 3 MB)" in said
    assert (
        f"{folder.parent} (the previous version: a rollback is impossible without it, 2 MB)" in said
    )
    assert f"{source.hub.work / 'replaced'} (what earlier restores replaced, 0 MB)" in said
    assert f"{source.hub.state / 'jupyterhub.sqlite'} " not in said
