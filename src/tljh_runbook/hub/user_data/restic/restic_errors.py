"""Translation of restic's error output into errors for administrators."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

from tljh_runbook.errors import (
    AccessDenied,
    Busy,
    NoSpace,
    RepositoryDamaged,
    RepositoryLocked,
    RepositoryUnreachable,
    RunbookError,
)

LONGEST = 300  # characters of restic's output that a message quotes
_USER = re.compile(r"//([^:/@]*):([^/]*)@")
_ODD = re.compile(r"//([^:/@]*):(.*)@")  # a password with a slash: invalid URL, still secret

# Only restic 0.17 and later has separate exit codes for the first three.
_LOCKED = re.compile(r"wrong password|no key found")
_BUSY = re.compile(r"already locked")
_MISSING = re.compile(
    r"repository does not exist|open config file:.*(no such file|(does|do) not exist|404|NoSuchKey)"
)
_FULL = re.compile(r"no space left on device|disk quota exceeded|quota .*exceeded", re.IGNORECASE)
_DAMAGED = re.compile(
    r"is damaged|invalid data returned|ciphertext verification|repository contains errors|Unmarshal"
    r"|LoadIndex returned|ID does not match|contains keys|not found in (index|repository)"
    r"|invalid character|unexpected end of JSON|hash mismatch|decrypting blob|truncated"
)
# The most informative lines of restic's output, best first.
_TELLING = (
    re.compile(r"subprocess (.*)"),  # ssh's message is more informative than restic's
    re.compile(r".* returned error, retrying after [^:]*: (.*)"),
    re.compile(r"Fatal: (.*)"),
    re.compile(r"((?:error|Error|unable|invalid|Ignoring).*)"),
    re.compile(r"(.*)"),
)
_OPENING = re.compile(r"(Stat|Load)\(<(config|key).* returned error, retrying after")
_GONE = re.compile(r"no matching ID found|no snapshot found|invalid id")


class RepositoryMissing(RepositoryUnreachable):
    """No repository exists at the address."""


def mask(address: str) -> str:
    """Return an address with its password, if any, masked."""
    found = _USER if _USER.search(address) else _ODD
    return found.sub(r"//\1:***@", address)


def never_opened(said: str) -> bool:
    """Return whether a running restic has so far failed to reach the repository."""
    return bool(_OPENING.search(said))


def secrets(address: str) -> list[str]:
    """Return the secret parts of an address."""
    found = _USER.search(address) or _ODD.search(address)
    return [found[2], unquote(found[2])] if found and found[2] else []


def explain(address: str, local: bool, code: int, said: str) -> RunbookError:
    """Return the error for restic's exit code and output; address and output are masked."""
    for right, make in (
        (code == 12 or _LOCKED.search(said), locked),
        (code == 11 or _BUSY.search(said), _busy),
        (code == 10 or _MISSING.search(said), missing),
        (_FULL.search(said), _full),
        (local and "permission denied" in said, _denied),
        (_DAMAGED.search(said), _damaged),
    ):
        if right:
            return make(address, _short(said))
    return (_odd if local else _unreachable)(address, _short(said))


def locked(address: str, _said: str = "") -> RunbookError:
    return RepositoryLocked(
        f"The repository {address} does not open with the password that is here.",
        hint="Put the emergency copy of the password in the place of the file that "
        "user_data.password_file names.",
    )


def missing(address: str, _said: str = "") -> RunbookError:
    return RepositoryMissing(
        f"There is no repository at {address}.",
        hint="Is the address in user_data.repository right, and its disk mounted? A new one is "
        "made only where none was before: repository.json in /var/lib/tljh-runbook says so.",
    )


def _busy(address: str, _said: str) -> RunbookError:
    return Busy(
        f"Another run of restic works on the repository {address}, so this one was not started.",
        hint="Wait until it has ended. If none runs anywhere, type, with the repository and "
        "password file of RESTORE.md: restic unlock --remove-all",
    )


def _full(address: str, _said: str) -> RunbookError:
    return NoSpace(
        f"There is no room left for the repository {address}. What it held before is whole.",
        hint="Free some room there, or name a larger place in user_data.repository.",
    )


def _denied(address: str, said: str) -> RunbookError:
    return AccessDenied(
        f"The repository {address} may not be read or written: {said}.",
        hint="Run the same command as root (sudo).",
    )


def _damaged(address: str, said: str) -> RunbookError:
    return RepositoryDamaged(
        f"The repository {address} is damaged: {said}.",
        hint="Leave it as it is. Name a new place in user_data.repository and make a backup there; "
        "then see restic's page 'Troubleshooting' for what can be saved of the old one.",
    )


def _odd(address: str, said: str) -> RunbookError:
    if _GONE.search(said):
        return RepositoryDamaged(
            f"The repository {address} no longer holds what was kept: {said}.",
            hint="Choose another of the snapshots: tljh-runbook snapshots",
        )
    return RepositoryDamaged(
        f"restic could not do its work with the repository {address}: {said}.",
        hint="If this stays, see what is wrong, with the repository and password file of "
        "RESTORE.md: restic check",
    )


def _unreachable(address: str, said: str) -> RunbookError:
    if _GONE.search(said):
        return _odd(address, said)
    return RepositoryUnreachable(
        f"The repository {address} cannot be reached: {said}.",
        hint="Is the network up, the address in user_data.repository right, and its server known "
        "to this one? What needs a password or a new host key is not asked for.",
    )


def _short(said: str) -> str:
    """Return the most informative line; of several equally good ones, the last."""
    lines = [_plain(line) for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Is there a repo", "If the repo"))]
    for telling in _TELLING:
        found = [match[1] for line in lines if (match := telling.match(line))]
        if found:
            return found[-1].rstrip(".:")[:LONGEST]
    return "it ended without a word"


def _plain(line: str) -> str:
    """Return the message in a line; newer versions of restic write JSON."""
    try:
        return str(json.loads(line)["message"]).strip().partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return line
