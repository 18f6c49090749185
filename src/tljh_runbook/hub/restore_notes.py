"""``RESTORE.md``: how to give a snapshot back with plain commands, without this tool."""

from __future__ import annotations

from collections.abc import Iterable

from tljh_runbook.hub.components import Component
from tljh_runbook.hub.manifest import SUMS, Manifest
from tljh_runbook.hub.services import Services


def render(manifest: Manifest, components: Iterable[Component], services: Services) -> str:
    """Return the notes for one snapshot."""
    wanted = "\n".join(f"- {name} {label}" for name, label in manifest.labels.items())
    parts = [
        f"# Giving back the snapshot {manifest.id} by hand\n",
        f"Taken of the hub {manifest.hub} on {manifest.host}, {manifest.created}.\n"
        "Type the commands as root, in the folder that holds this file. Users' files are not\n"
        "touched. What the hub has learnt since is lost: new users, permissions, tokens. A user\n"
        "server that was started since runs on, unknown to the hub; its owner starts another.\n",
        f"The hub ran these versions then:\n\n{wanted}\n",
        _section("Check that the snapshot is whole", [f"sha256sum -c {SUMS}"]),
        _section("Stop the hub and its proxy", [services.stop_line]),
        *(_section(each.title, each.by_hand(manifest)) for each in components),
        _section("Start the proxy and the hub", [services.start_line]),
    ]
    return "\n".join(parts)


def _section(title: str, commands: Iterable[str]) -> str:
    lines = "\n".join(commands)
    return f"## {title}\n\n```sh\n{lines}\n```\n"
