"""Where the hub's databases really lie.

A plugin that was once imported by hand left an empty database in that folder, and an
administrator may have moved one.  So the running hub is asked: its working directory, its
environment, and the files that its processes hold open.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tljh_runbook.errors import DatabaseDamaged, DatabaseMissing
from tljh_runbook.hub import processes, services, sqlite, sqlite_copy
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services
from tljh_runbook.hub.settings import Settings

# name -> file in the hub's working directory, environment variable that moves it
KNOWN = {
    "jupyterhub": ("jupyterhub.sqlite", None),
    "plasma": ("tljh_plasma.sqlite", "TLJH_PLASMA_DB_URL"),
    "repo2docker": ("tljh_repo2docker.sqlite", None),
}
REQUIRED = "jupyterhub"


def find(hub: Hub, manager: Services, settings: Settings) -> dict[str, Path]:
    """Return the path of each database that the hub has, by name.

    Raises `DatabaseMissing` when the hub's own is not found, or one that the settings name.
    """
    pid = manager.pid(services.HUB)
    places = {name: _place(name, hub, pid, settings) for name in KNOWN}
    found = {name: path for name, path in places.items() if path.exists()}
    named = set(settings.databases) | {REQUIRED}
    for name in sorted(named - set(found)):
        raise DatabaseMissing(
            f"The hub's database {name!r} is not at {places[name]}. Nothing was changed.",
            hint=f"If it lies elsewhere, name its path in the settings file: "
            f"databases: {{{name}: /path/to/file}}",
        )
    return found


def copy(path: Path, target: Path) -> None:
    """Write a sound copy of a database to ``target``; raises what `sqlite_copy.copy` raises.

    A full disk can leave an empty file, which SQLite takes for sound: `DatabaseDamaged` here.
    """
    sqlite_copy.copy(path, target)
    if not sqlite.rows(target):
        target.unlink()
        raise DatabaseDamaged(
            f"{path} is empty: it holds no table at all. Nothing was changed.",
            hint="Leave it as it is, and follow RESTORE.md in the newest sound snapshot. "
            "tljh-runbook snapshots lists them.",
        )


def _place(name: str, hub: Hub, pid: int | None, settings: Settings) -> Path:
    if name in settings.databases:
        return Path(settings.databases[name])
    directory = (processes.working_directory(pid) if pid else None) or hub.state
    file, variable = KNOWN[name]
    usual = directory / file
    if pid is None:
        return usual
    url = processes.environment(pid).get(variable, "") if variable else ""
    return directory / _sqlite_path(url, name) if url else _opened(pid, usual)


def _opened(pid: int, usual: Path) -> Path:
    """Return ``usual``, or the one file of its name that the hub's processes hold open."""
    # Users' servers may be children, too, and what they open is theirs to name.
    own = [
        each for each in processes.children(pid) if processes.owner(each) == processes.owner(pid)
    ]
    opened = {path for each in own for path in processes.open_files(each)}
    same_name = sorted(path for path in opened if path.name == usual.name)
    return usual if usual in opened or len(same_name) != 1 else same_name[0]


def _sqlite_path(url: str, name: str) -> str:
    """Return the file that a SQLAlchemy URL names. Raises `DatabaseMissing` for a server's."""
    parts = urlsplit(url)
    if parts.scheme.split("+")[0] == "sqlite":
        return unquote(parts.path[1:])
    raise DatabaseMissing(  # the URL itself may hold a password
        f"The database {name!r} is not a SQLite file but {parts.scheme or 'of an unknown kind'}. "
        "Nothing was changed.",
        hint="Only SQLite databases can be kept so far; back this one up with its own tools.",
    )
