"""The hub's configuration, and the secrets without which everybody is logged out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub import config, exchange, files
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.manifest import Manifest
from tljh_runbook.hub.restoration import Action, Restoration
from tljh_runbook.hub.source import Source

# The proxy's own files in state/: they are made anew, and kept to compare with.
MADE_ANEW = ("traefik.toml", "rules/*.toml")
LARGEST = 16 << 20  # bytes: a larger file in state/ is neither a setting nor a secret
SQLITE = b"SQLite format 3\0"


class Config:
    """``config/`` as a whole, and the files of ``state/`` that are settings or secrets."""

    name = "config"
    title = "Configuration"
    order = 60
    kept = (
        "all of `config/`: `config.yaml`, `jupyterhub_config.d`, `traefik_config.d`",
        "the secrets in `state/`: of cookies, of the proxy, of Let's Encrypt, and passwords that "
        "users chose themselves; and every other small file there",
        "the proxy's own `traefik.toml` and `rules/`, given back only where they are missing",
    )
    left_out = (
        ("lock files, logs and process numbers", "They are made anew."),
        ("files larger than 16 MB in `state/`", "They are neither settings nor secrets."),
        ("databases in `state/`", "They are kept as databases, by a copy that is consistent."),
    )

    def size(self, source: Source) -> int:
        return sum(path.stat().st_size for path in _kept(source.hub))

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        for path in _kept(source.hub):
            # An administrator may keep a file elsewhere and link to it; only root can.
            with suppress(FileNotFoundError):  # the proxy's rules come and go
                folder.copy(path.resolve(), str(path.relative_to(source.hub.prefix)))
        try:
            return {"settings": len(config.read(source.hub))}
        except ConfigBroken as error:  # kept all the same: somebody will want to look at it
            return {"settings": None, "note": error.message}

    def give_back(self, restoration: Restoration) -> Iterable[Action]:
        entries = restoration.entries(self.name)
        # The proxy's own files are made anew; they are only better than nothing.
        wanted = [each for each in entries if not _made_anew(each.path) or each.gone]
        return exchange.actions(restoration, wanted)

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            origin = entry.origin or ""
            yield f"(umask 077; mkdir -p {shlex.quote(str(Path(origin).parent))})"
            yield entry.install_line


def _made_anew(path: str) -> bool:
    return any(fnmatch(path, f"config/state/{pattern}") for pattern in MADE_ANEW)


def _kept(hub: Hub) -> Iterator[Path]:
    for path in files.walk(hub.config):
        if path.is_file() and not path.name.endswith(".lock"):
            yield path
    for path in files.walk(hub.state):
        if _is_setting(path):
            yield path


def _is_setting(path: Path) -> bool:
    """Say whether a file in state/ is a setting or a secret: small, and no database."""
    if path.name.endswith((".lock", ".log", ".pid")) or ".sqlite" in path.name:
        return False
    if not path.is_file() or path.stat().st_size > LARGEST:
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE)) != SQLITE


COMPONENT = Config()
