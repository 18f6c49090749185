"""The full log of a playbook run: a file in the checkout that only its owner can read."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

FOLDER = "logs"
KEPT = 50  # runs whose logs are retained
_NAME = re.compile(r"\d{8}T\d{6}Z-[\w-]+\.log")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Log:
    """A log file; ``name`` is its path relative to ``checkout``, or '' if it cannot be written."""

    def __init__(self, checkout: Path, playbook: str) -> None:
        self.name = ""
        self.failure = ""
        try:
            self._file = self._open(checkout, playbook)
        except OSError as error:  # the playbook works without a log
            self._file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            self.failure = f"{error.filename}: {error.strerror}"

    def write(self, text: str) -> None:
        """Append lines, each with a timestamp."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = "".join(f"{moment} {line}\n" for line in text.splitlines())
        with suppress(OSError):  # a full disk must not stop the playbook
            os.write(self._file, lines.encode(errors="replace"))

    def _open(self, checkout: Path, playbook: str) -> int:
        folder = checkout / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in _old(folder):
            old.unlink(missing_ok=True)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for number in range(100):  # several may start in the same second
            name = f"{moment}-{playbook}{f'-{number}' if number else ''}.log"
            with suppress(FileExistsError):
                file = os.open(folder / name, _FLAGS, 0o600)
                self.name = f"{FOLDER}/{name}"
                return file
        raise FileExistsError(17, "too many logs of one second", str(folder))


def _old(folder: Path) -> list[Path]:
    """Return the oldest logs to delete before the next one; only files that match our names."""
    ours = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    return ours[: max(0, len(ours) - KEPT + 1)]
