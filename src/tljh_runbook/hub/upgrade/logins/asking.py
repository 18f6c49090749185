"""Run ``questions.py`` in the hub's own Python, on copies, with a timeout."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Collection, Sequence
from importlib import resources
from pathlib import Path

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.health import loaded
from tljh_runbook.hub.system import child
from tljh_runbook.hub.system.namespace import View
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.logins import Answers
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.versions import interpreter

QUESTIONS = "questions.py"
COPY = "users.sqlite"


def live(source: Source) -> Answers:
    """Ask the installed version, with the current configuration, without changing the hub.

    If it could not be asked, the answer says why.
    """
    if why := interpreter.gone(source.hub):
        return Answers(failed=why)
    try:
        with loaded.live(source) as (own, view):
            database = own / "jupyterhub.sqlite"
            databases.copy(_database(source), database)
            config = loaded.config_file(source.hub, source.hub)
            return _ask(source, view, (config, database, own / COPY), hubdb.users(database))
    except (RunbookError, OSError) as error:
        return Answers(failed=str(error))


def staged(
    source: Source, made: Stage, names: Collection[str], config: Path | None = None
) -> Answers:
    """Ask the staged version about the users in the migrated copy, with the staged settings.

    The answer is None for any of ``names`` that it does not get to. ``config`` is a directory whose
    settings are used instead.
    """
    try:
        with loaded.folder(source.hub.work) as own:
            view = made.view([(config, source.hub.config)] if config else [])
            file = loaded.config_file(made.copy, made.hub)
            return _ask(source, view, (file, _database(source), own / COPY), names)
    except (RunbookError, OSError) as error:
        return Answers(failed=str(error))


def _database(source: Source) -> Path:
    """Return the file of the hub's database. Raises `OSError` if the database is not a file."""
    found = databases.find(source.hub, source.services, source.settings)[databases.REQUIRED]
    if not isinstance(found, Path):
        raise OSError("the database is on a PostgreSQL server, of which there is no copy to ask")
    return found


def _ask(
    source: Source, view: View, paths: Sequence[str | Path], names: Collection[str]
) -> Answers:
    """Ask about ``names``; ``paths`` are the configuration, the database and where to copy it."""
    code = resources.files(logins.__name__).joinpath(QUESTIONS).read_text(encoding="utf-8")
    stranger = f"runbook-{secrets.token_hex(8)}"  # a name that no user has
    words = [*map(str, paths), stranger]
    environment, directory = loaded.surroundings(source)
    command = view.command([str(source.hub.python), "-c", code, *words], directory)
    # Standard error holds no answers, only what JupyterHub logs.
    ended = child.run(command, environment, source.hub.work, errors=subprocess.DEVNULL)
    found = logins.parse(ended.output)
    if ended.late and not found.authenticator:
        return Answers(failed=f"the authenticator did not answer within {child.DEADLINE} s")
    late = f"there was no answer within {child.DEADLINE} s"
    return found.about(names, late if ended.late else "the answers ended")
