"""The address of the user data repository and the options needed to access it."""

from __future__ import annotations

import socket
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import private_lines
from tljh_runbook.hub.user_data.restic.restic import Repository


def of(source: Source) -> Repository:
    """Return the configured repository. Raises `SettingsInvalid`."""
    wanted = source.settings.user_data
    return Repository(
        address=wanted.repository,
        password_file=Path(wanted.password_file),
        name=wanted.name or f"{socket.gethostname()}:{source.hub.prefix}",
        work=source.hub.work,
        options=tuple((name, _written(value)) for name, value in wanted.options.items()),
        environment=private_lines.read(wanted.environment_file, "user_data.environment_file"),
    )


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
