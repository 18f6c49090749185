"""Where the repository of user data is, and what the way to it needs."""

from __future__ import annotations

import shlex
import socket
import stat
from pathlib import Path

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub import files
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.user_data.restic import Repository


def of(source: Source) -> Repository:
    """Return the repository that the settings name. Raises `SettingsInvalid`."""
    wanted = source.settings.user_data
    return Repository(
        address=wanted.repository,
        password_file=Path(wanted.password_file),
        name=wanted.name or f"{socket.gethostname()}:{source.hub.prefix}",
        work=source.hub.work,
        options=tuple((name, _written(value)) for name, value in wanted.options.items()),
        environment=_environment(wanted.environment_file),
    )


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _environment(file: str) -> tuple[tuple[str, str], ...]:
    """Return what the lines ``NAME=VALUE`` of the environment file say."""
    if not file:
        return ()
    try:
        if stat.S_IMODE(Path(file).stat().st_mode) & 0o077:
            raise _unusable(file, "others than its owner may read it")
        lines = files.read(Path(file)).decode().splitlines()
    except (OSError, UnicodeError) as error:
        raise _unusable(file, getattr(error, "strerror", None) or "it is no text") from error
    pairs = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for number, pair in enumerate(pairs, start=1):
        if not pair.partition("=")[0].isidentifier() or "=" not in pair:
            raise _unusable(file, f"its entry {number} is not NAME=VALUE")
    return tuple((name, value) for name, _, value in (pair.partition("=") for pair in pairs))


def _unusable(file: str, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The file {file} of user_data.environment_file cannot be used: {why}. "
        "Nothing was changed.",
        hint="It holds lines NAME=VALUE, and nobody else may read it: chmod 600 "
        f"{shlex.quote(str(file))}",
    )
