"""Start the questions in the hub's own Python, on copies, with a deadline."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub import files, interpreter, logins
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.logins import Answers
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.staging import copies, rehearsal, stage
from tljh_runbook.hub.staging.namespace import View
from tljh_runbook.hub.staging.stage import Stage

DEADLINE = 120  # seconds for all answers; a busy machine takes 10 to import JupyterHub
LIMIT = 1 << 26  # bytes of answers that are read
QUESTIONS = "questions.py"
COPY = "users.sqlite"


def live(source: Source) -> Answers:
    """Ask the installed version, with the configuration as it is; nothing of the hub changes.

    Why it could not be asked is part of the answer.
    """
    if why := interpreter.gone(source.hub):
        return Answers(failed=why)
    try:
        upper = stage.upper(source)
        if isinstance(upper, str):
            return Answers(failed=upper)
        with _folder(upper.parent) as own:
            database = own / "jupyterhub.sqlite"
            databases.copy(_database(source), database)
            homes = Path(source.settings.homes)
            view = View(
                overlays=((own / "overlay", source.hub.prefix),),
                read_only=(homes,) if homes.is_dir() else (),
            )
            config = rehearsal.config_file(source.hub, source.hub)
            return _ask(source, view, (config, database, own / COPY), hubdb.users(database))
    except (RunbookError, OSError) as error:
        return Answers(failed=str(error))


def staged(
    source: Source, made: Stage, names: Collection[str], config: Path | None = None
) -> Answers:
    """Ask the staged version about the users of the migrated copy, with the staged settings.

    It is not known of those of ``names`` that are not reached. ``config`` is a folder of other
    settings.
    """
    try:
        with _folder(source.hub.work) as own:
            view = made.view([(config, source.hub.config)] if config else [])
            file = rehearsal.config_file(made.copy, made.hub)
            return _ask(source, view, (file, _database(source), own / COPY), names)
    except (RunbookError, OSError) as error:
        return Answers(failed=str(error))


def _database(source: Source) -> Path:
    """Return the file of the hub's database. Raises `OSError` where it is none."""
    found = databases.find(source.hub, source.services, source.settings)[databases.REQUIRED]
    if not isinstance(found, Path):
        raise OSError("the database is on a PostgreSQL server, of which there is no copy to ask")
    return found


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """Make a folder that only we may read, and remove it with all that is in it."""
    files.make_private(parent)
    own = Path(tempfile.mkdtemp(dir=parent, prefix="logins-"))
    try:
        yield own
    finally:
        copies.remove(own)


def _ask(
    source: Source, view: View, paths: Sequence[str | Path], names: Collection[str]
) -> Answers:
    """Ask about ``names``; ``paths`` are configuration, database, and a place for its copy."""
    code = resources.files(logins.__name__).joinpath(QUESTIONS).read_text(encoding="utf-8")
    stranger = f"runbook-{secrets.token_hex(8)}"  # nobody has this name
    words = [*map(str, paths), stranger]
    environment, directory = rehearsal.surroundings(source)
    process = subprocess.Popen(
        view.command([str(source.hub.python), "-c", code, *words], directory),
        env=environment,
        cwd=source.hub.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        told, late = _read(process)
    finally:
        _end(process)
    found = logins.parse(told.decode(errors="replace"))
    if late and not found.authenticator:
        return Answers(failed=f"the authenticator did not answer within {DEADLINE} s")
    why = f"there was no answer within {DEADLINE} s" if late else "the answers ended"
    return found.about(names, why)


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, bool]:
    """Return what the process prints until it ends, and whether it took longer than it may."""
    told, deadline = bytearray(), time.monotonic() + DEADLINE
    assert process.stdout  # noqa: S101 - it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0, deadline - time.monotonic())):
            more = os.read(process.stdout.fileno(), 1 << 16)
            if not more or len(told) > LIMIT:
                return bytes(told), False
            told += more
    return bytes(told), True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; it may hang."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
