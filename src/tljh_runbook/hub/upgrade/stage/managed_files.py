"""The managed files: those outside the environments that an upgrade changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.backup.components.services import LINKS, SUDOERS, SUPERVISOR, UNITS
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade.stage.stage import Stage

# The installer rewrites both. The proxy watches the second, and reads the first only at startup.
STATIC, DYNAMIC = Path("state/traefik.toml"), Path("state/rules/dynamic.toml")
# The installer creates these if they are missing. Existing ones are never replaced: the hub writes
# to them.
MADE = (
    Path("state/traefik-api.secret"),
    Path("state/jupyterhub_cookie_secret"),
    Path("state/acme.json"),
)
LOG = Path("installer.log")
BINARY = Path("hub/bin/traefik")
LINK = LINKS[0]


@dataclass(frozen=True)
class Carried:
    """A live file and the staged file that replaces it."""

    live: Path
    staged: Path


def places(source: Source) -> list[Path]:
    """Return the live files that an upgrade may change, including those that do not exist."""
    hub = source.hub
    names = (STATIC, DYNAMIC, *MADE, LOG)
    return [*(hub.root / name for name in _outside(source)), *(hub.prefix / name for name in names)]


def changed(source: Source, stage: Stage) -> list[Carried]:
    """Return the managed files that differ, and are therefore replaced."""
    hub, found = source.hub, []
    for name in _outside(source):
        found.append(Carried(hub.root / name, stage.etc / Path(*name.parts[1:])))
    for name in (STATIC, DYNAMIC, *MADE, LOG):
        found.append(Carried(hub.prefix / name, stage.copy.prefix / name))
    made = {hub.prefix / name for name in MADE}
    return [
        each
        for each in found
        if digest(each.staged) is not None
        and digest(each.live) != digest(each.staged)
        and not (each.live in made and each.live.exists())
    ]


def restarts_proxy(source: Source, stage: Stage, carried: list[Carried]) -> bool:
    """Return whether the proxy must be restarted: a new binary, or a file read only at startup."""
    hub = source.hub
    once = {hub.prefix / STATIC}
    if source.settings.services == "systemd":
        once.add(hub.root / UNITS / f"{services.PROXY}.service")
    binaries = (hub.prefix / BINARY, stage.copy.prefix / BINARY)
    return digest(binaries[0]) != digest(binaries[1]) or any(each.live in once for each in carried)


def other_files(source: Source, stage: Stage) -> list[str]:
    """Return other files in ``/etc`` that differ in the stage; they are not replaced."""
    etc = source.hub.root / "etc"
    named = {source.hub.root / name for name in _outside(source)}
    before, after = _contents(etc), _contents(stage.etc)
    differ = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return sorted(str(etc / name) for name in differ if etc / name not in named)


def digest(path: Path) -> str | None:
    """Return the digest of a file; None if it does not exist."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return files.digest(path)[1]
    return None


def _outside(source: Source) -> list[Path]:
    """Return the managed files outside the prefix, relative to the server's root."""
    if source.settings.services == "supervisor":
        return [SUDOERS, SUPERVISOR]
    return [SUDOERS, *(UNITS / f"{name}.service" for name in (services.HUB, services.PROXY))]


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and modification time of every file below a folder."""
    found = {}
    for path in _walk(folder):
        about = path.lstat()
        found[str(path.relative_to(folder))] = (about.st_size, about.st_mtime_ns)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    with suppress(PermissionError):
        yield from files.walk(folder)


def link(hub: Hub) -> Path:
    """Return the path of the ``tljh-config`` link."""
    return hub.root / LINK
