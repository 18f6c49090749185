"""Hints as they are shown: each command on a line of its own, so that it can be copied."""

from __future__ import annotations

import re

PROGRAMS = (
    *("ansible-inventory", "ansible-playbook", "chmod", "df", "docker", "invoke", "journalctl"),
    *("ls", "restic", "ss", "ssh", "sudo", "systemctl", "tljh-runbook"),
)
_COMMAND = re.compile(rf"(?:(.*?:) )?((?:\./)?(?:{'|'.join(PROGRAMS)}) .+)")
_MARGIN = "  "


def lines(hint: str) -> list[str]:
    """Return the lines of a hint. A command ends a line after a colon, or is all of a line."""
    return [shown for line in hint.split("\n") for shown in _shown(line)]


def text(message: str, hint: str) -> str:
    """Return an error and what to do about it, as plain lines."""
    return "\n".join([f"error: {message}", *lines(f"hint: {hint}")])


def read(shown: str) -> str:
    """Return the hint of which the lines are shown."""
    return shown.replace(f":\n{_MARGIN}", ": ").replace(f"\n{_MARGIN}", "\n")


def _shown(line: str) -> list[str]:
    found = _COMMAND.fullmatch(line)
    if not found:
        return [line]
    words, command = found.groups()
    return [*([words] if words else []), _MARGIN + command]
