"""Wrappers for tools that act on the live server: in a stage, they only record the call."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub

# Tools that TLJH's installer, or a plugin, runs to change the server itself.
TOOLS = (
    "systemctl",
    "apt-get",
    "apt",
    "dpkg",
    "groupadd",
    "useradd",
    "usermod",
    "gpasswd",
    "adduser",
    "addgroup",
    "service",
    "reboot",
    "shutdown",
)
FOLDERS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
ASKED = "TLJH_RUNBOOK_ASKED"

# A record: the number of words, then each word, all terminated by NUL.
SCRIPT = f"""\
#!/bin/sh
# Stands in the place of a tool while an upgrade is staged: it only writes down what was asked.
case "${{0##*/}} $1" in
"dpkg -l" | "dpkg -s" | "dpkg -L" | "dpkg -S" | "dpkg -W") exec dpkg-query "$@" ;;
esac
printf '%s\\0' "$(($# + 1))" "${{0##*/}}" "$@" >> "${{{ASKED}:?}}"
"""


def write(folder: Path) -> Path:
    """Write the recorder into ``folder`` and return its path."""
    path = folder / "recorder"
    files.write_new(path, SCRIPT.encode(), mode=0o700)
    return path


def places(hub: Hub) -> list[Path]:
    """Return the paths of the tools on the hub's server; the kernel follows links to them."""
    return sorted(set(_places(hub)))


def _places(hub: Hub) -> Iterator[Path]:
    for tool in TOOLS:
        for folder in FOLDERS:
            path = hub.root / folder / tool
            if path.is_file():
                yield path.resolve()
        if (found := shutil.which(tool)) is not None and hub.root != Path("/"):
            # If the hub's root is a folder, the server around it must not be changed either.
            yield Path(found).resolve()


def read(file: Path) -> list[list[str]]:
    """Return the recorded calls in order, each as a list of words."""
    if not file.exists():
        return []
    words = files.read(file).decode(errors="surrogateescape").split("\0")[:-1]
    found = []
    while words:
        number = int(words[0])
        found.append(words[1 : number + 1])
        words = words[number + 1 :]
    return found
