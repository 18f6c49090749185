"""Files of ``NAME=VALUE`` lines that hold secrets and must be readable by their owner only."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.core import files


def read(file: str, setting: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs in ``file``, the value of the setting ``setting``; () if it is empty.

    Raises `SettingsInvalid`, whose message contains nothing from the file.
    """
    if not file:
        return ()
    try:
        text = _text(Path(file), setting)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise _unusable(file, setting, why) from error
    lines = text.splitlines()
    pairs = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for number, pair in enumerate(pairs, start=1):
        if not pair.partition("=")[0].isidentifier() or "=" not in pair:
            raise _unusable(file, setting, f"its entry {number} is not NAME=VALUE")
    return tuple((name, value) for name, _, value in (pair.partition("=") for pair in pairs))


def _text(file: Path, setting: str) -> str:
    with os.fdopen(files.open_regular(file), "rb") as opened:
        if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
            raise _unusable(str(file), setting, "others than its owner may read it")
        return opened.read().decode()


def _unusable(file: str, setting: str, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The file {file} of {setting} cannot be used: {why}. Nothing was changed.",
        hint="It holds lines NAME=VALUE, and nobody else may read it: chmod 600 "
        f"{shlex.quote(str(file))}",
    )
