"""Failures on a server as one line and a hint, from the tool's output or from Ansible's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tljh_runbook import hints
from tljh_runbook.errors import (
    NoSpace,
    RunbookError,
    RunCutOff,
    ServerUnfit,
    ServerUnreachable,
    UpgradeRolledBack,
)

FAILED = 2  # the exit code of ansible-playbook itself
Row = tuple[type[RunbookError], str, str]

# Messages of ssh, sudo and our role; the first match counts.
_KNOWN: tuple[tuple[str, Row], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        (
            ServerUnreachable,
            "The server shows another host key than before.",
            "If the server was set up again, forget the old key: ssh-keygen -R {entry}, and log "
            "in once by hand: {ssh}. If it was not, somebody may be between you and it.",
        ),
    ),
    (
        r"Host key verification failed",
        (
            ServerUnreachable,
            "The host key of the server is not known here.",
            "Log in once by hand, and compare the key with the server's own: {ssh}",
        ),
    ),
    (
        r"(?P<said>[^\n:]*: Permission denied \([^\n]*\))",
        (
            ServerUnreachable,
            "The server does not let us in: {said}.",
            "Try {ssh}. The inventory names the user, ansible_user, and may name the key, "
            "ansible_ssh_private_key_file.",
        ),
    ),
    (
        r"Could not resolve hostname",
        (
            ServerUnreachable,
            "The server's name is not known: {address}.",
            "Correct it in the inventory, or add the address behind it: ansible_host=ADDRESS",
        ),
    ),
    (
        r"[Mm]issing sudo password|sudo: a (terminal|password) is required"
        r"|[Ii]ncorrect sudo password|Timeout .*waiting for privilege escalation"
        r"|Premature end of stream waiting for become success",
        (
            ServerUnfit,
            "The user that we log in as may not use sudo without a password.",
            "Type the password for this run: ANSIBLE_BECOME_ASK_PASS=1 in front of the command. "
            "Or let it ask for none: NOPASSWD in /etc/sudoers.d on the server.",
        ),
    ),
    (
        r"is not in the sudoers file|may not run sudo|is not allowed to (execute|run)",
        (
            ServerUnfit,
            "The user that we log in as may not use sudo.",
            "Let that user use it on the server, for example: adduser USER sudo. Or name another "
            "one in the inventory: ansible_user",
        ),
    ),
    (
        r"sudo: (command )?not found",
        (
            ServerUnfit,
            "There is no sudo on the server.",
            "Install it there as root: apt-get install sudo",
        ),
    ),
    (
        r"No space left on device",
        (
            NoSpace,
            "There is no room left on a disk of the server.",
            "Free some room there. What fills it: df -h",
        ),
    ),
    (
        r"There is no Python 3\.10 or newer on the server: (?P<found>[^\n]*)\.",
        (
            ServerUnfit,
            "There is no Python 3.10 or newer on the server: {found}.",
            "Upgrade the server to Debian 12, Ubuntu 22.04 or newer. Where another Python is "
            "there, name it in the inventory: ansible_python_interpreter",
        ),
    ),
    (
        r"tljh-runbook is not on the server: there is no (?P<tool>[^\n]*)\.",
        (
            ServerUnfit,
            "tljh-runbook is not on the server: there is no {tool}.",
            "Bring it there: ansible-playbook -i {inventory} src/tljh_runbook/playbooks/setup.yml",
        ),
    ),
    (
        r"The server has another version of tljh-runbook than this checkout: (?P<theirs>[^\n]*)\.",
        (
            ServerUnfit,
            "The server has another version of tljh-runbook than this checkout: {theirs}.",
            "Bring this one there: ansible-playbook -i {inventory} "
            "src/tljh_runbook/playbooks/setup.yml",
        ),
    ),
)
_LOST: Row = (
    ServerUnreachable,
    "The server cannot be reached: {said}.",
    "Is it on, and can it be reached from here? What had started on it goes on automatically; the "
    "same command shows how. Try: {ssh}",
)
_BACK: Row = (
    UpgradeRolledBack,
    "The upgrade was rolled back, and the hub runs as before. {why}",
    "Users' servers may have ended with the machine. Type the same command again when all is well.",
)
_CUT_OFF: Row = (
    RunCutOff,
    "What had started on the hub was cut off before its end.",
    "Type the same command again: it goes on with what it began.",
)


@dataclass(frozen=True)
class Server:
    """A server, as named in hints.

    ``entry`` is its name in ``known_hosts``, ``ssh`` the command to log in by hand.
    """

    local: bool
    address: str
    entry: str
    ssh: str
    inventory: str


@dataclass(frozen=True)
class Failure:
    """Why a server failed: a one-line message, a hint, and the exit code."""

    message: str
    hint: str
    code: int


def lost(result: Mapping[str, Any], server: Server) -> Failure:
    """Return why a server could not be reached."""
    said = _last(result).rpartition("via ssh: ")[2].rstrip(".")
    return _known(result, server) or _filled(_LOST, server, {"said": said})


def failed(result: Mapping[str, Any], server: Server) -> Failure:
    """Return why a task failed: the tool's message, or a known failure, or Ansible's message."""
    told = _told(result, server)
    return told or _known(result, server) or Failure(_last(result), "", FAILED)


def run_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a run, as printed by `tljh-runbook progress`; empty for other output."""
    found = _data(result)
    return found if "events" in found and "running" in found else {}


def rolled_back(run: Mapping[str, Any]) -> str:
    """Return why an upgrade that ended without an error was rolled back; otherwise empty."""
    report = (run.get("end") or {}).get("report") or {}
    return str(report.get("why") or "") if run.get("task") == "upgrade" else ""


def _told(result: Mapping[str, Any], server: Server) -> Failure | None:
    """Return the failure that the tool on the hub reports; None if it reports none."""
    run = run_of(result)
    if run and not run["running"] and not run["end"]:
        return _filled(_CUT_OFF, server, {})
    if why := rolled_back(run):
        return _filled(_BACK, server, {"why": why})
    error = ((run.get("end") or {}) or _data(result)).get("error") or _written(result)
    if not error:
        return None
    hint = str(error.get("hint", ""))
    there = "" if server.local or not hint else "on the server: "
    return Failure(str(error["message"]), f"{there}{hint}", int(error.get("code") or FAILED))


def _written(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the error in the tool's readable output; empty if there is none."""
    found = re.search(
        r"^error: (.*)\nhint: (.*(?:\n.+)*)", str(result.get("stderr", "")), re.MULTILINE
    )
    if not found:
        return {}
    return {"message": found[1], "hint": hints.read(found[2]), "code": result.get("rc")}


def _known(result: Mapping[str, Any], server: Server) -> Failure | None:
    said = _all(result)
    for pattern, row in _KNOWN:
        if found := re.search(pattern, said):
            return _filled(row, server, {k: v.strip() for k, v in found.groupdict().items()})
    return None


def _filled(row: Row, server: Server, holes: Mapping[str, str]) -> Failure:
    kind, message, hint = row
    values = {**vars(server), **holes}
    return Failure(message.format(**values), hint.format(**values), kind.code)


def _data(result: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(result.get("stdout") or "{}")
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _all(result: Mapping[str, Any]) -> str:
    parts = ("msg", "stderr", "stdout", "module_stderr", "module_stdout")
    return "\n".join(str(result[part]) for part in parts if result.get(part))


def _last(result: Mapping[str, Any]) -> str:
    """Return the last line of the error output or of Ansible's message."""
    said = str(result.get("stderr") or result.get("msg") or "failed").strip()
    return " ".join(said.splitlines()[-1:])
