"""Running restic: the program, what it is told, what it answers.

The repository's address may hold a password, so it goes into the environment, never into argv,
and every word of restic's is masked before anybody sees it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tljh_runbook.errors import Busy, ToolMissing
from tljh_runbook.hub.user_data.restic import blocked_pipe, restic_errors

PATIENCE = 30  # seconds that an interrupted restic has to take its lock away
OPENING = 20  # seconds that restic has to reach the repository
SPOKEN = 1 << 20  # bytes of restic's errors that are looked at
Messages = Generator[Any, None, None]


@dataclass(frozen=True)
class Repository:
    """A restic repository as the settings name it; nothing says yet that it is there."""

    address: str = field(repr=False)
    password_file: Path
    name: str
    """The hub's name, under which its snapshots are kept."""
    work: Path
    options: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def masked(self) -> str:
        """The address as it may be shown."""
        return restic_errors.mask(self.address)

    @property
    def folder(self) -> Path | None:
        """The repository's folder when it lies on this machine."""
        path = self.address.removeprefix("local:")
        return Path(path) if path.startswith("/") else None

    @property
    def cache(self) -> Path:
        return self.work / "restic-cache"

    def hidden(self, text: str) -> str:
        """Return ``text`` without any secret of the repository."""
        values = [value for name, value in self.environment if len(value) > 3]
        for secret in sorted((*restic_errors.secrets(self.address), *values), key=len):
            text = text.replace(secret, "***")
        return restic_errors.mask(text)


def program() -> str:
    """Return the path of restic. Raises `ToolMissing`."""
    found = shutil.which("restic")
    if found is None:
        raise ToolMissing(
            "restic is not installed.",
            hint="Install it: sudo apt-get install restic",
        )
    return found


def version() -> tuple[int, ...]:
    """Return restic's version, (0, 14, 0) for example."""
    said = subprocess.run([program(), "version"], capture_output=True, text=True, check=False)
    found = re.search(r"restic (\d+)\.(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def run(repository: Repository, *arguments: str) -> list[Any]:
    """Run restic to its end; return the lines of JSON that it answered."""
    with closing(stream(repository, *arguments)) as messages:
        return list(messages)


def stream(
    repository: Repository,
    *arguments: str,
    good: Iterable[int] = (0,),
    wrapper: Sequence[str] = (),
) -> Messages:
    """Yield restic's messages as they come, those on standard error at the end.

    ``wrapper`` are the words of a command that runs restic. A lock that a dead run has left is
    taken away, and restic run again.
    Raises `ToolMissing`, `Busy`, `NoSpace`, `AccessDenied`, `RepositoryLocked`,
    `RepositoryUnreachable`, `RepositoryDamaged`.
    """
    try:
        yield from _once(repository, arguments, good, wrapper)
    except Busy:  # said before anything else, so nothing was yielded yet
        list(_once(repository, ("unlock",), (0,)))
        yield from _once(repository, arguments, good, wrapper)


def _once(
    repository: Repository,
    arguments: Iterable[str],
    good: Iterable[int],
    wrapper: Sequence[str] = (),
) -> Messages:
    with tempfile.TemporaryFile() as errors:
        with _started(repository, arguments, errors, wrapper) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            for message in _parsed(process.stdout):
                if wrapper:  # it reads users' files, and tells twice a second how far it is
                    blocked_pipe.free(process.pid)
                yield message
        errors.seek(0)
        said = repository.hidden(errors.read(SPOKEN).decode(errors="replace"))
    if process.returncode not in good:
        local = repository.folder is not None
        raise restic_errors.explain(repository.masked, local, process.returncode, said)
    yield from _parsed(said.encode().splitlines())


def _parsed(lines: Iterable[bytes]) -> Iterator[Any]:
    for line in lines:
        if line.startswith((b"{", b"[")):  # beside them are lines for a person
            with suppress(ValueError):
                yield json.loads(line)


@contextmanager
def _started(
    repository: Repository, arguments: Iterable[str], errors: IO[bytes], wrapper: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run restic until the block ends; whatever ends the block early ends restic, too.

    It has a session of its own: Ctrl-C reaches us alone, who tell restic once; and nothing below
    it, ssh for example, finds a terminal on which to wait for an answer.
    """
    process = subprocess.Popen(
        [*_outlived_by_none(), *wrapper, program(), *_options(repository), *arguments],
        env=_environment(repository),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    # Newer ones of restic try for 15 minutes to reach a server that is not there.
    watch = threading.Timer(OPENING, _give_up, (process, errors.fileno()))
    watch.daemon = True
    watch.start()
    try:
        yield process
        process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        watch.cancel()
        watch.join()
        assert process.stdout is not None  # noqa: S101
        process.stdout.close()


def _give_up(process: subprocess.Popen[bytes], errors: int) -> None:
    said = os.pread(errors, SPOKEN, 0).decode(errors="replace")
    if restic_errors.never_opened(said):
        process.send_signal(signal.SIGINT)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # restic takes its lock away then
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _outlived_by_none() -> list[str]:
    """Return the words that make the kernel interrupt restic when we are killed."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "INT"] if found else []


def _options(repository: Repository) -> list[str]:
    given = [word for name, value in repository.options for word in ("-o", f"{name}={value}")]
    # A repository on this machine needs no copy of its parts beside it.
    kept = ["--no-cache"] if repository.folder else ["--cache-dir", str(repository.cache)]
    return ["--json", *kept, *given]


def _environment(repository: Repository) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name[:7] != "RESTIC_"}
    return (
        inherited
        | dict(repository.environment)
        | {
            "RESTIC_REPOSITORY": repository.address,
            "RESTIC_PASSWORD_FILE": str(repository.password_file),
            "RESTIC_PROGRESS_FPS": "2",
        }
    )
