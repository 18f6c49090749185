"""Restore of the links and folders in a snapshot, which its files do not recreate."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.snapshots.manifest import Entry
from tljh_runbook.hub.snapshots.restoration import Action, Restoration


def links(
    restoration: Restoration, kept: dict[str, str], *, missing_only: bool = False
) -> Iterator[Action]:
    """Yield an action for each link that is missing or has another target.

    A file or folder at its path may have replaced it on purpose, so it is only noted.
    """
    for name, target in _wanted(restoration, kept).items():
        link = Path(name)
        if link.is_symlink():
            if os.readlink(link) != target and not missing_only:  # noqa: PTH115 - as it says
                yield _link_action(restoration, link, target, "leads elsewhere")
        elif os.path.lexists(link):
            if missing_only:
                continue
            what = f"It was a link to {target} when the snapshot was made"
            restoration.notes.append(f"{link} is left as it is. {what}.")
        else:
            yield _link_action(restoration, link, target, "missing")


def folders(restoration: Restoration, kept: dict[str, list[int]]) -> Iterator[Action]:
    """Yield an action for each missing folder, with its mode (4 octal digits) and owner."""
    for name, (mode, uid, gid) in _wanted(restoration, kept).items():
        if not os.path.lexists(name):
            yield Action(
                what=name,
                before="missing",
                after=f"a folder, {mode:04o} {uid}:{gid}",
                carry_out=partial(_make_folder, Path(name), mode, uid, gid),
                undo=partial(_remove_empty, Path(name)),
                stopped=True,
            )


def unsafe_parents(path: Path) -> str:
    """Return why it is unsafe to write to the folder of ``path``; root creates missing parents."""
    return trust.doubt_new(path.parent)


def safe(restoration: Restoration, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the files whose parent folders no other user can redirect; note all others."""
    for entry in entries:
        if why := unsafe_parents(Path(entry.origin or "/")):
            restoration.notes.append(f"{entry.origin} is not restored: {why}.")
        else:
            yield entry


def links_by_hand(kept: dict[str, str]) -> Iterator[str]:
    """Yield the shell commands that create the links where nothing exists."""
    for link, target in kept.items():
        place = shlex.quote(link)
        yield f"mkdir -p {shlex.quote(str(Path(link).parent))}"
        yield f"test -L {place} || test -e {place} || ln -s {shlex.quote(target)} {place}"


def folders_by_hand(kept: dict[str, list[int]]) -> Iterator[str]:
    """Yield the shell commands that create the folders or set their mode and owner."""
    for name, (mode, uid, gid) in kept.items():
        yield f"install -d -m {mode:04o} -o {uid} -g {gid} {shlex.quote(name)}"


def _wanted(restoration: Restoration, kept: dict[str, Any]) -> dict[str, Any]:
    """Return the selected items whose parent folders no other user can redirect."""
    found = {}
    for name, about in kept.items():
        path, paths = Path(name), restoration.paths
        if paths and not any(path.is_relative_to(each) for each in paths):
            continue
        if why := unsafe_parents(path):
            restoration.notes.append(f"{path} is not restored: {why}.")
        else:
            found[name] = about
    return found


def _link_action(restoration: Restoration, link: Path, target: str, before: str) -> Action:
    return Action(
        what=str(link),
        before=before,
        after=f"leads to {target}",
        carry_out=partial(_make_link, restoration, link, target),
        undo=partial(_put_back, restoration, link),
        stopped=True,
    )


def _make_link(restoration: Restoration, link: Path, target: str) -> None:
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if link.is_symlink():
        exchange.keep(restoration.replaced, link)
        link.unlink()
    link.symlink_to(target)
    files.sync_folder(link.parent)


def _put_back(restoration: Restoration, link: Path) -> None:
    replaced = exchange.kept(restoration.replaced, link)
    if replaced.is_symlink():
        exchange.copy_file(replaced, link)
    elif link.is_symlink():
        link.unlink()


def _make_folder(folder: Path, mode: int, uid: int, gid: int) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(folder, uid, gid)
    folder.chmod(mode)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty any more: leave it
        folder.rmdir()
