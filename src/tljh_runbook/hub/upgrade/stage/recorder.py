"""Tools that act on the live server, inside a stage: they record what was asked, and do nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub

# What TLJH's installer, or a plugin, calls to change the server beside its files.
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

# One record: the number of words, then each of them, all ended by a NUL.
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
    """Return where the tools lie on the hub's server; links to them are followed by the kernel."""
    return sorted(set(_places(hub)))


def _places(hub: Hub) -> Iterator[Path]:
    for tool in TOOLS:
        for folder in FOLDERS:
            path = hub.root / folder / tool
            if path.is_file():
                yield path.resolve()
        if (found := shutil.which(tool)) is not None and hub.root != Path("/"):
            # A hub in a folder lives on a server of ours: that one must not be changed either.
            yield Path(found).resolve()


def read(file: Path) -> list[list[str]]:
    """Return what was asked, in order: each a list of words."""
    if not file.exists():
        return []
    words = files.read(file).decode(errors="surrogateescape").split("\0")[:-1]
    found = []
    while words:
        number = int(words[0])
        found.append(words[1 : number + 1])
        words = words[number + 1 :]
    return found
