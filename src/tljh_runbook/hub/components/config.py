"""The hub's configuration, and the secrets without which everybody is logged out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tljh_runbook.hub import config, exchange, files
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.manifest import Manifest
from tljh_runbook.hub.restoration import Action, Restoration
from tljh_runbook.hub.source import Source

# In state/, beside the databases. The proxy's own files are made anew by the installer; they are
# kept to compare with.
STATE_FILES = (
    "jupyterhub_cookie_secret",
    "tljh_repo2docker_cookie_secret",
    "traefik-api.secret",
    "acme.json",
    "passwords.dbm*",
    "traefik.toml",
    "rules/*.toml",
)


class Config:
    """``config/`` as a whole, and the files of ``state/`` that are settings or secrets."""

    name = "config"
    title = "Configuration"
    order = 60
    kept = (
        "all of `config/`: `config.yaml`, `jupyterhub_config.d`, `traefik_config.d`",
        "the secrets in `state/`: of cookies, of the proxy, of Let's Encrypt, and passwords that "
        "users chose themselves",
        "the proxy's own settings `traefik.toml` and `rules/`, to compare with",
    )
    left_out = (("lock files", "They are empty, and made anew."),)

    def size(self, source: Source) -> int:
        return sum(path.stat().st_size for path in _kept(source.hub))

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        settings = config.read(source.hub)
        for path in _kept(source.hub):
            # An administrator may keep a file elsewhere and link to it; only root can.
            with suppress(FileNotFoundError):  # the proxy's rules come and go
                folder.copy(path.resolve(), str(path.relative_to(source.hub.prefix)))
        return {"settings": len(settings)}

    def give_back(self, restoration: Restoration) -> Iterable[Action]:
        return exchange.actions(restoration, restoration.kept.manifest.of(self.name))

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            origin = entry.origin or ""
            yield f"(umask 077; mkdir -p {shlex.quote(str(Path(origin).parent))})"
            yield (
                f"install -m {entry.mode:04o} -o {entry.uid} -g {entry.gid} "
                f"{shlex.quote(entry.path)} {shlex.quote(origin)}"
            )


def _kept(hub: Hub) -> Iterator[Path]:
    for path in files.walk(hub.config):
        if path.is_file() and not path.name.endswith(".lock"):  # empty, and made anew
            yield path
    for pattern in STATE_FILES:
        for path in sorted(hub.state.glob(pattern)):
            if path.is_file():
                yield path


COMPONENT = Config()
