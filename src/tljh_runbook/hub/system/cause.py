"""The cause of a failure, extracted from a program's output.

TLJH's installer ends with a Python traceback whose last line names only the command that failed;
pip, git, apt and the hub name the cause earlier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST = 300  # characters; the log has the full text
TAIL = 3  # lines to return if no cause is recognized

_SIGNS = "│╰─>|× \t"  # pip draws a frame around the output of its subprocesses
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Expired|Interrupt|Exit)\b")
_TOLD = re.compile(r"(?:ERROR: |fatal: |E: |\[[CE] [^\]]*\] )(?P<text>.+)")
_CONFLICT = re.compile(r"Cannot install .* conflicting dependencies")
_DEPENDS = re.compile(r"\S+ \S* ?depends on \S+|The user requested ")
# These say that something failed, but not why.
_WRAPPERS = re.compile(
    r"(?:\w+\.)*CalledProcessError\b|SystemExit\b|ERROR: ResolutionImpossible|"
    r"ERROR: Failed to build|ERROR: Command errored|Exception: Installation failed"
)


def of(text: str, admin: str = "jupyterhub_config.d") -> str:
    """Return the last recognized cause in ``text``, in one line of at most `LONGEST` characters.

    An exception from a file in the folder ``admin`` is prefixed with that file and line. If no
    cause is recognized, the last `TAIL` lines are returned instead.
    """
    return known(text, admin) or _short(" | ".join(_lines(text)[-TAIL:]))


def known(text: str, admin: str = "jupyterhub_config.d") -> str:
    """Return the same as `of`, but '' if no cause is recognized."""
    causes = list(_causes(_lines(text), admin))
    return _short(causes[-1]) if causes else ""


def _lines(text: str) -> list[str]:
    lines = (line.strip(_SIGNS) for line in text.splitlines())
    return [line for line in lines if line]


def _causes(lines: list[str], admin: str) -> Iterator[str]:
    """Yield every line that names a cause, in order."""
    place = ""
    for number, line in enumerate(lines):
        frame = _FRAME.match(line)
        if line.startswith("Traceback "):
            place = ""
        elif frame and f"/{admin}/" in frame["file"]:
            place = f"{frame['file']}, line {frame['line']}: "
        elif _WRAPPERS.match(line) and not place:
            continue
        elif told := _TOLD.match(line):
            yield told["text"] + _conflict(line, lines[number + 1 :])
        elif _EXCEPTION.match(line):
            yield f"{place}{line}"
            place = ""


def _conflict(line: str, following: Iterable[str]) -> str:
    """Return the conflicting packages that pip lists in the following lines, or ''."""
    if not _CONFLICT.search(line):
        return ""
    named = []
    for candidate in following:
        if _DEPENDS.match(candidate):
            named.append(candidate)
        elif named:
            break
    return f" {'; '.join(named)}" if named else ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"
