"""The hub's configuration, and the secrets without which all users are logged out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.backup.components import PROXY
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, files
from tljh_runbook.hub.snapshots import exchange, inventory, placed
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Entry, Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration

# Files in state/ that the proxy regenerates; they are backed up for comparison.
MADE_ANEW = ("traefik.toml", "rules/*.toml")
PASSWORD = "traefik-api.secret"  # noqa: S105 - a file's name
# Files that the proxy reads when it starts and writes while it runs.
OF_PROXY = (*MADE_ANEW, PASSWORD, "acme.json")


class Config:
    """All of ``config/``, and the files in ``state/`` that are settings or secrets."""

    name = "config"
    title = "Configuration"
    order = 60
    downtime = f"{PROXY} where a file of the proxy in `state/` is missing or differs"
    kept = (
        "all of `config/`: `config.yaml`, `jupyterhub_config.d`, `traefik_config.d`",
        "the secrets in `state/`: of cookies, of the proxy, of Let's Encrypt, and passwords that "
        "users chose themselves; and every other file there",
        "links in both, as links, and the files that they lead to",
        "the proxy's own `traefik.toml` and `rules/`, restored only where they are missing",
    )
    left_out = (
        ("lock files, logs and process numbers", "They are created again when needed."),
        (
            "files larger than 16 MB",
            "They are neither settings nor secrets. The output of the backup names each.",
        ),
        (
            "what a link leads to, where users could have exchanged it or where there is too much "
            "of it, and the `.git` folder of a checkout",
            "Root does not follow where others may lead it. The output names each.",
        ),
        ("sockets and pipes", "They hold nothing. The output names each."),
        ("SQLite files", "They are copied consistently, with the databases."),
    )

    def size(self, source: Source) -> int:
        found = inventory.of(source.hub).files
        return sum(files.size(path) for path in found)

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        found = inventory.of(source.hub)
        for path, name in found.files.items():
            with suppress(FileNotFoundError):  # the proxy may remove its rules at any time
                folder.copy(path, name)
        folder.unread |= found.unread
        about = {"links": found.links, "folders": found.folders, "left_out": found.left_out}
        try:
            return {"settings": len(config.read(source.hub)), **about}
        except ConfigBroken as error:  # back it up anyway, so that it can be examined
            return {"settings": None, "note": error.message, **about}

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        entries = restoration.entries(self.name)
        kept = restoration.kept.manifest.components[self.name]
        yield from placed.folders(restoration, kept.get("folders", {}))
        # The proxy generates its own files, so restore them only if they are missing, or if its
        # secret is restored too: they contain the same password.
        actions = list(exchange.actions(restoration, [each for each in entries if _is_own(each)]))
        secret = str(restoration.source.hub.state / PASSWORD)
        all_ = any(action.what == secret for action in actions)
        generated = [each for each in entries if not _is_own(each) and (all_ or each.gone)]
        for action in (*actions, *exchange.actions(restoration, generated)):
            name = os.path.relpath(action.what, restoration.source.hub.state)
            yield replace(action, proxy=_matches(name, OF_PROXY))
        yield from placed.links(restoration, kept.get("links", {}))

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            origin = entry.origin or ""
            yield f"(umask 077; mkdir -p {shlex.quote(str(Path(origin).parent))})"
            yield entry.install_line
        kept = manifest.components[self.name]
        yield from placed.folders_by_hand(kept.get("folders", {}))
        yield from placed.links_by_hand(kept.get("links", {}))


def _is_own(entry: Entry) -> bool:
    """Return whether a file is not one that the proxy generates when it starts."""
    return not _matches(entry.path.removeprefix("config/state/"), MADE_ANEW)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


COMPONENT = Config()
