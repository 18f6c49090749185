"""Running restic: the executable, its options, its environment and its output.

The repository's address may contain a password, so it is passed in the environment, never in argv,
and restic's error output is masked before it is shown.
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

PATIENCE = 30  # seconds that an interrupted restic gets to remove its lock
OPENING = 20  # seconds that restic gets to reach the repository
SPOKEN = 1 << 20  # bytes of restic's stderr that are examined
Messages = Generator[Any, None, None]


@dataclass(frozen=True)
class Repository:
    """A restic repository as configured; it may not exist yet."""

    address: str = field(repr=False)
    password_file: Path
    name: str
    """The hub's name, which is the host name of its restic snapshots."""
    work: Path
    options: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def masked(self) -> str:
        """The address with its password masked."""
        return restic_errors.mask(self.address)

    @property
    def folder(self) -> Path | None:
        """The repository's folder if it is on this machine."""
        path = self.address.removeprefix("local:")
        return Path(path) if path.startswith("/") else None

    @property
    def cache(self) -> Path:
        return self.work / "restic-cache"

    def hidden(self, text: str) -> str:
        """Return ``text`` with all secrets of the repository masked."""
        values = [value for name, value in self.environment if len(value) > 3]
        for secret in sorted((*restic_errors.secrets(self.address), *values), key=len):
            text = text.replace(secret, "***")
        return restic_errors.mask(text)


def program() -> str:
    """Return the path of the restic executable. Raises `ToolMissing`."""
    found = shutil.which("restic")
    if found is None:
        raise ToolMissing(
            "restic is not installed.",
            hint="Install it: sudo apt-get install restic",
        )
    return found


def version() -> tuple[int, ...]:
    """Return restic's version, such as (0, 14, 0)."""
    said = subprocess.run([program(), "version"], capture_output=True, text=True, check=False)
    found = re.search(r"restic (\d+)\.(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def run(repository: Repository, *arguments: str) -> list[Any]:
    """Run restic until it exits; return its JSON messages."""
    with closing(stream(repository, *arguments)) as messages:
        return list(messages)


def stream(
    repository: Repository,
    *arguments: str,
    good: Iterable[int] = (0,),
    wrapper: Sequence[str] = (),
) -> Messages:
    """Yield restic's JSON messages as they arrive, those on standard error at the end.

    ``good`` are the exit codes of a successful run, ``wrapper`` is a command prefix that runs
    restic. If a dead process left a lock, the lock is removed and restic is run again.
    Raises `ToolMissing`, `Busy`, `NoSpace`, `AccessDenied`, `RepositoryLocked`,
    `RepositoryUnreachable`, `RepositoryDamaged`.
    """
    try:
        yield from _once(repository, arguments, good, wrapper)
    except Busy:  # reported before anything else, so nothing was yielded yet
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
                if wrapper:  # it reads users' files and reports its status twice a second
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
        if line.startswith((b"{", b"[")):  # the other lines are plain text
            with suppress(ValueError):
                yield json.loads(line)


@contextmanager
def _started(
    repository: Repository, arguments: Iterable[str], errors: IO[bytes], wrapper: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run restic until the block ends; an exception in the block stops restic.

    restic runs in its own session: Ctrl-C reaches only this process, which interrupts restic
    once, and its children, such as ssh, have no terminal on which to prompt.
    """
    process = subprocess.Popen(
        [*_outlived_by_none(), *wrapper, program(), *_options(repository), *arguments],
        env=_environment(repository),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    # Newer versions of restic retry an unreachable server for 15 minutes.
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
    process.send_signal(signal.SIGINT)  # restic removes its lock on SIGINT
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _outlived_by_none() -> list[str]:
    """Return a command prefix that makes the kernel interrupt restic if we are killed."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "INT"] if found else []


def _options(repository: Repository) -> list[str]:
    given = [word for name, value in repository.options for word in ("-o", f"{name}={value}")]
    # A local repository needs no cache.
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
