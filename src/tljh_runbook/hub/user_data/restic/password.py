"""The password of the user data repository: a local file and a copy stored elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from tljh_runbook.errors import RepositoryLocked
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files

CONFIRMED = "password-copy.json"
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1}


def make(file: Path) -> None:
    """Generate a password and write it to ``file``, which must not exist yet."""
    files.make_private(file.parent)
    files.write_new(file, f"{secrets.token_urlsafe(32)}\n".encode())
    files.sync_folder(file.parent)


def exists(file: Path) -> bool:
    """Return whether there is a usable password file.

    Raises `RepositoryLocked` if the file is unusable, or if others can read it.
    """
    with suppress(FileNotFoundError):
        wrong = _wrong(file.lstat())
        if wrong:
            raise RepositoryLocked(
                f"The password file {file} {wrong}. It was not used.",
                hint=(
                    "If it is lost, put the emergency copy of the password there.",
                    f"If others may read it: chmod 600 {shlex.quote(str(file))}",
                ),
            )
        return True
    return False


def _wrong(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is a link or no file at all"
    if status.st_mode & 0o077:
        return "may be read by others than its owner"
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs to somebody else"
    return "" if status.st_size else "is empty"


def confirm(source: Source, typed: str) -> None:
    """Record that a copy of the password exists, after someone has typed it from that copy.

    Raises `RepositoryLocked` if ``typed`` is wrong, or if there is no password yet.
    """
    file = Path(source.settings.user_data.password_file)
    if not exists(file):
        raise RepositoryLocked(
            f"There is no password yet: {file} is made by the first backup of user data.",
            hint="Make one: tljh-runbook backup user-data",
        )
    if not hmac.compare_digest(typed.strip().encode(), _read(file)):
        raise RepositoryLocked(
            f"What was typed is not the password in {file}. Nothing was changed.",
            hint="Compare the copy with the file, or write a new copy, and try again.",
        )
    salt = secrets.token_bytes(16)
    files.make_private(source.hub.work)
    known = {"salt": salt.hex(), "scrypt": _hash(file, salt), "repository": _repository(source)}
    files.replace(source.hub.work / CONFIRMED, json.dumps(known).encode())


def confirmed(source: Source) -> bool:
    """Return whether a copy of the current password of this repository was confirmed."""
    file = Path(source.settings.user_data.password_file)
    try:
        known = json.loads(files.read(source.hub.work / CONFIRMED))
        same = hmac.compare_digest(known["scrypt"], _hash(file, bytes.fromhex(known["salt"])))
        return same and known["repository"] == _repository(source)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(file: Path) -> bytes:
    return files.read(file).strip()


def _hash(file: Path, salt: bytes) -> str:
    # Slow on purpose: the record must not help anyone guess the password.
    return hashlib.scrypt(_read(file), salt=salt, **_SCRYPT).hex()


def _repository(source: Source) -> str:
    return hashlib.sha256(os.fsencode(source.settings.user_data.repository)).hexdigest()
