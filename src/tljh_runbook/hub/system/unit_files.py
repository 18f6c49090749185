"""The units of the hub and its proxy, their drop-ins, and the files that they refer to.

A drop-in may name an ``EnvironmentFile=``, a script or a credential, without which the unit does
not start. Such a file belongs to the hub, unless a package or TLJH's installer provides it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.core.layout import Hub

FOLDERS = (Path("etc/systemd/system"), Path("etc/systemd/system.control"))
LARGEST = 16 << 20  # bytes; a larger file is not a setting, script or secret
# Provided by packages, TLJH's installer or the kernel.
BROUGHT = ("bin", "dev", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var/log")
OWN = Path("usr/local")
_SETTING = re.compile(r"^\s*[A-Za-z]+\s*=(.*)$", re.MULTILINE)
_PATH = re.compile(r"(?<![\w.%/])(?:/|%[A-Za-z]/)[^\s\"';:,]+")


@dataclass
class UnitFiles:
    """The files and their names in a snapshot, the links, and the reasons for paths left out."""

    files: dict[Path, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def of(hub: Hub, names: tuple[str, ...]) -> UnitFiles:
    """Return the files of the units ``names``: ``NAME.service`` and ``NAME.service.d``."""
    search = _Search(hub)
    for folder in FOLDERS:
        for name in names:
            for place in (f"{name}.service", f"{name}.service.d"):
                search.enter(hub.root / folder / place)
    for path in list(search.found.files):
        search.referred(path)
    return search.found


class _Search:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.found = UnitFiles()

    def enter(self, path: Path) -> None:
        """Add a unit, a folder of drop-ins or a link to either, if it exists."""
        if path.is_symlink():
            self.found.links[str(path)] = os.readlink(path)  # noqa: PTH115 - the raw link text
            target = Path(os.path.realpath(path))
            if target == Path(os.devnull):  # the unit is masked
                return
            if why := self._unsafe(path, target):
                self.found.left_out[str(target)] = f"{path} leads there, but {why}"
                return
            path = target
        if path.is_dir():
            for each in files.walk(path):
                self.enter(each)
        elif os.path.lexists(path):
            self._keep(path)

    def referred(self, unit: Path) -> None:
        """Add the files that a unit refers to, unless something else provides them."""
        for text in self._paths(unit):
            if text.startswith("%"):
                why = f"{unit.name} refers to it by what only systemd knows"
                self.found.left_out[text] = why
                continue
            for path in self._places(text):
                if path.is_file() and not self._is_brought(path):
                    self._keep(path)

    def _paths(self, unit: Path) -> Iterator[str]:
        text = files.read(unit).decode(errors="surrogateescape").replace("\\\n", " ")
        for value in _SETTING.findall(text):
            yield from _PATH.findall(value)

    def _places(self, text: str) -> list[Path]:
        """Return the paths below the server's root that a path or glob pattern refers to."""
        root = self._hub.root
        path = Path(text) if Path(text).is_relative_to(root) else root / text.lstrip("/")
        if not re.search(r"[*?[]", text):
            return [path]
        return sorted(root.glob(str(path.relative_to(root))))

    def _is_brought(self, path: Path) -> bool:
        root = self._hub.root
        if path.is_relative_to(root / OWN):
            return False
        places = [self._hub.prefix, *(root / each for each in BROUGHT)]
        return any(path.is_relative_to(place) for place in places)

    def _keep(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        if why := self._unsafe(path, real):
            self.found.left_out[str(path)] = why
            return
        if path.is_symlink():
            self.found.links[str(path)] = os.readlink(path)  # noqa: PTH115 - the raw link text
        inside = real.is_relative_to(self._hub.root)
        self.found.files[real] = str(real.relative_to(self._hub.root if inside else "/"))

    def _unsafe(self, path: Path, real: Path) -> str:
        """Return why root should not copy what a path leads to, or ''."""
        try:
            if why := trust.doubt(path):
                return why
            return "it is larger than 16 MB" if real.stat().st_size > LARGEST else ""
        except OSError as error:
            return f"{error.filename or path}: {error.strerror}"
