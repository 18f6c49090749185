"""``RESTORE.md``: how to restore a snapshot with plain commands, without this tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tljh_runbook.hub.backup.components import STOPPED, Component
from tljh_runbook.hub.snapshots.manifest import SUMS, Manifest
from tljh_runbook.hub.system.services import Services


def render(manifest: Manifest, components: Sequence[Component], services: Services) -> str:
    """Return the text of ``RESTORE.md`` for one snapshot."""
    wanted = "\n".join(f"- {name} {label}" for name, label in manifest.labels.items())
    running = [each for each in components if each.order < STOPPED]
    stopped = [each for each in components if each.order >= STOPPED]
    parts = [
        f"# Restoring the snapshot {manifest.id} by hand\n",
        f"Taken of the hub {manifest.hub} on {manifest.host}, {manifest.created}.\n"
        "Type the commands as root, in the folder that holds this file. Users' files are\n"
        "written to a folder of their own, and those in place are not touched. What the hub has\n"
        "learnt since is lost: new users, permissions, tokens. A user server that was started\n"
        "since runs on, unknown to the hub; its owner starts another.\n",
        f"The hub ran these versions then:\n\n{wanted}\n",
        _section("Check that the snapshot is whole", [f"sha256sum -c {SUMS}"]),
        *(_section(each.title, each.by_hand(manifest)) for each in running),
        _section("Stop the hub and its proxy", [services.stop_line]),
        *(_section(each.title, each.by_hand(manifest)) for each in stopped),
        _section("Start the proxy and the hub", [services.start_line]),
    ]
    return "\n".join(parts)


def _section(title: str, commands: Iterable[str]) -> str:
    lines = "\n".join(commands)
    return f"## {title}\n\n```sh\n{lines}\n```\n"
