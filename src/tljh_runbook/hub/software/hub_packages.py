"""The hub's environment as recorded in a snapshot: package by package, including commits.

Only pip is used. TLJH's installer would start a hub before everything is in place, and in the
newest version at that, which would migrate the database. The environment is built next to the live
one, in a copy that is bind-mounted over it for pip, and then exchanged with it in one step.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME, canonical
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.software.environment_copy import EnvironmentCopy, sound
from tljh_runbook.hub.software.installer import Say
from tljh_runbook.hub.versions import interpreter, versions

LIST = "restore.txt"
LOCAL = "# from a folder or a file: "
OF_PYTHON = {"pip", "setuptools", "wheel", "pkg-resources"}  # these depend on the Python version
NEEDED = {TLJH_NAME, "jupyterhub"}
NAMED = 4  # maximum number of packages listed in a line
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Recorded:
    """The hub's environment as recorded in a snapshot."""

    requirements: Mapping[str, str]
    """The pip requirement of each package, by canonical name."""
    python: str
    """The version of Python, such as 3.11.2; empty if unknown."""
    copies: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Files and folders in the snapshot of packages that are on no index, by name."""


@dataclass(frozen=True)
class Difference:
    """A package that differs; ``now`` or ``recorded`` is empty if it is on one side only.

    ``damaged`` means that the version matches but files are missing.
    """

    name: str
    now: str
    recorded: str
    damaged: bool = False

    @property
    def label(self) -> str:
        """The installed version, for display."""
        if self.damaged:
            return f"{self.name} (files missing)"
        return f"{self.name} {short(self.now) or 'missing'}"


def parse(text: str) -> dict[str, str]:
    """Return the pip requirement of each package in a list that `software` wrote."""
    lines = [line.removeprefix(LOCAL) for line in text.splitlines()]
    found = ((_NAME.match(line), line) for line in lines)
    return {canonical(name[0]): line for name, line in found if name}


def short(requirement: str) -> str:
    """Return what distinguishes two installations: the version or the short commit."""
    _, pinned, version = requirement.partition("==")
    return version if pinned else requirement.rpartition("@")[2].partition("#")[0][:12]


def differences(hub: Hub, recorded: Recorded) -> list[Difference]:
    """Return the packages of a hub's environment that differ from the record."""
    there = _installed(hub)
    now = {name: package.requirement for name, (package, _) in there.items()}
    wanted = recorded.requirements
    if _minor(versions.python(hub)) != _minor(recorded.python):
        now, wanted = (
            {name: each for name, each in side.items() if name not in OF_PYTHON}
            for side in (now, wanted)
        )
    found = []
    for name in sorted({*now, *wanted}):
        damaged = name in now and _damaged(there[name][1])
        if damaged or now.get(name) != wanted.get(name):
            other = now.get(name) != wanted.get(name)
            each = Difference(name, now.get(name, ""), wanted.get(name, ""), damaged and not other)
            found.append(each)
    return found


def told(found: Sequence[Difference]) -> tuple[str, str]:
    """Return the installed and the recorded packages, as two short lines."""
    named = found[:NAMED]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    then = [f"{each.name} {short(each.recorded) or 'removed'}" for each in named]
    return ", ".join([*(each.label for each in named), *more]), ", ".join([*then, *more])


def bring(hub: Hub, recorded: Recorded, say: Say, beside: EnvironmentCopy | None) -> list[str]:
    """Install the recorded packages into the environment and remove all others.

    Works in the copy ``beside`` if one is given. Returns what still differs, one line each. Raises
    `InstallerFailed` if TLJH or JupyterHub can't be installed.
    """
    place = beside.copy if beside else hub
    if not sound(place):
        say("making the hub's environment")
        python = interpreter.require(hub)
        installer.carry_out(hub, [python, "-m", "venv", str(hub.environment)], say, beside)
    found = differences(place, recorded)
    _install([each for each in found if each.recorded], hub, recorded, say, beside)
    gone = [each.name for each in found if not each.recorded and each.name != "pip"]
    if gone:
        say(f"removing {', '.join(gone)}")
        _pip(["uninstall", "--yes", *gone], hub, say, beside)
    left = differences(place, recorded)
    missing = [each.label for each in left if each.name in NEEDED and not each.now]
    if missing:
        raise InstallerFailed(
            f"The hub's environment was not restored, because it would lack {', '.join(missing)}.",
            hint=f"Read {hub.work / installer.LOG}: is the network there? Then restore again.",
        )
    return [*_of_python(place, recorded), *(_line(each) for each in left)]


INSTALL = ("install", "--no-deps", "--force-reinstall")


def _install(
    found: Sequence[Difference],
    hub: Hub,
    recorded: Recorded,
    say: Say,
    beside: EnvironmentCopy | None,
) -> None:
    """Install packages all at once; if that fails, one by one."""
    indexed = [each for each in found if each.name not in recorded.copies]
    if indexed and not _all_at_once(indexed, hub, say, beside):
        say("installing one package after the other: not all can be had as recorded")
        for each in indexed:
            for requirement in (each.recorded, each.name):  # any version is better than none
                if _one(requirement, hub, say, beside):
                    break
    place = beside.copy if beside else hub
    for each in found:
        _copy_in(recorded.copies.get(each.name, ()), place)


def _all_at_once(
    found: Sequence[Difference], hub: Hub, say: Say, beside: EnvironmentCopy | None
) -> bool:
    say(f"installing {len(found)} packages as recorded")
    listed = hub.work / LIST
    files.replace(listed, "".join(f"{each.recorded}\n" for each in found).encode())
    try:
        _pip([*INSTALL, "--requirement", str(listed)], hub, say, beside)
    except InstallerFailed:
        return False
    finally:
        listed.unlink()
    return True


def _one(requirement: str, hub: Hub, say: Say, beside: EnvironmentCopy | None) -> bool:
    try:
        _pip([*INSTALL, requirement], hub, say, beside)
    except InstallerFailed:
        return False
    return True


def _pip(words: Iterable[str], hub: Hub, say: Say, beside: EnvironmentCopy | None) -> None:
    pip = [str(hub.python), "-m", "pip", "--disable-pip-version-check"]
    installer.carry_out(hub, [*pip, *words], say, beside)


def _copy_in(saved: Iterable[Path], place: Hub) -> None:
    """Copy files that a snapshot saved, readable by root only, into site-packages."""
    site = versions.site_packages(place)[0]
    for path in saved:
        for file in [path] if path.is_file() else files.walk(path):
            target = site / path.name / file.relative_to(path) if file != path else site / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            target.chmod(0o644)


def _installed(hub: Hub) -> dict[str, tuple[versions.Package, Distribution]]:
    found = reversed(versions.found(versions.site_packages(hub)))
    return {package.name: (package, item) for package, item in found}


def _damaged(item: Distribution) -> bool:
    """Return whether code files of a package are missing; edited files are not damage."""
    try:
        code = [file for file in item.files or [] if file.suffix in {".py", ".so"}]
    except (OSError, ValueError):
        return True
    return any(not os.path.lexists(str(file.locate())) for file in code)


def _of_python(place: Hub, recorded: Recorded) -> list[str]:
    now = versions.python(place)
    if _minor(now) == _minor(recorded.python):
        return []
    return [f"Python is {now}; it was {recorded.python}"]


def _minor(number: str) -> str:
    return interpreter.minor(number)


def _line(each: Difference) -> str:
    was = f"it was {short(each.recorded)}" if each.recorded else "it was not there"
    return f"{each.label}; {was}"
