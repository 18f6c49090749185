"""Reinstallation of packages that are missing from the users' environment.

A package with another version is left as it is: it is managed by administrators and users, and an
older version may break what was built on the newer one. The preview lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.software import hub_packages, installer, user_environment

EXPLICIT, BY_PIP = "user-explicit.txt", "user-pip.txt"
# TLJH's own function: it downloads conda if it is missing and installs what TLJH needs there.
MAKE = "from tljh.installer import ensure_user_environment as e; e('')"


@dataclass(frozen=True)
class Listed:
    """Packages by name: conda's with their versions, pip's with their requirements."""

    conda: Mapping[str, str]
    pip: Mapping[str, str]

    def without(self, other: Listed) -> Listed:
        """Return the packages whose names are not in another list."""
        names = {*other.conda, *other.pip}
        conda, pip = (
            {name: each for name, each in side.items() if name not in names}
            for side in (self.conda, self.pip)
        )
        return Listed(conda, pip)

    @property
    def labels(self) -> dict[str, str]:
        """Versions or short commits by name."""
        return {**self.conda, **{name: hub_packages.short(each) for name, each in self.pip.items()}}


def actions(restoration: Restoration, folder: Path) -> Iterator[Action]:
    """Yield the action that installs missing packages; note those with another version."""
    users = restoration.source.hub.prefix / "user"
    recorded, now = _recorded(folder), _installed(users)
    missing = recorded.without(now)
    other = [
        f"{name} {now.labels[name]} (it was {label})"
        for name, label in recorded.labels.items()
        if name in now.labels and now.labels[name] != label
    ]
    if other:
        restoration.notes.append(
            f"{len(other)} packages of the users' environment have another version, and stay so: "
            f"{_few(other)}."
        )
    if missing.labels:
        yield Action(
            what="the users' packages",
            before=f"missing: {_few(list(missing.labels))}",
            after="as recorded",
            carry_out=lambda: _bring(restoration, folder, recorded),
            stopped=True,  # it uses TLJH's own Python, which the same restore may recreate
            undo=lambda: None,  # the added packages do no harm
        )


def _bring(restoration: Restoration, folder: Path, recorded: Listed) -> None:
    """Install missing packages; report those that are unavailable and continue."""
    source, say = restoration.source, restoration.say
    users = source.hub.prefix / "user"
    if (
        not (users / "bin/python").exists()
        or "jupyterhub" in recorded.without(_installed(users)).pip
    ):
        say("making the users' environment")
        _try(source, [str(source.hub.python), "-c", MAKE], restoration)
    if recorded.without(_installed(users)).conda and (users / "bin/conda").exists():
        words = ["install", "--yes", "--prefix", str(users), "--file", str(folder / EXPLICIT)]
        _try(source, [str(users / "bin/conda"), *words], restoration)
    for requirement in recorded.without(_installed(users)).pip.values():
        pip = [str(users / "bin/python"), "-m", "pip", "install", "--no-deps", requirement]
        _try(source, pip, restoration)
    left = recorded.without(_installed(users)).labels
    restoration.left.extend(f"{name} {each} of the users is missing" for name, each in left.items())


def _try(source: Source, command: list[str], restoration: Restoration) -> None:
    """Run a command of an environment; if it can't run or fails, report why."""
    reason = trust.doubt(Path(command[0]))
    if reason:
        restoration.left.append(f"{command[0]} was not run: {reason}")
        return
    try:
        installer.carry_out(source.hub, command, restoration.say, None)
    except InstallerFailed as error:
        restoration.say(error.message)


def _recorded(folder: Path) -> Listed:
    return Listed(_explicit(_text(folder / EXPLICIT)), hub_packages.parse(_text(folder / BY_PIP)))


def _explicit(text: str) -> dict[str, str]:
    """Return names and versions from a list for ``conda install --file``."""
    found = (line.partition("#")[0].rpartition("/")[2].rsplit("-", 2) for line in text.splitlines())
    return {parts[0]: parts[1] for parts in found if len(parts) == 3}


def _installed(users: Path) -> Listed:
    conda = {str(each["name"]): str(each.get("version")) for each in user_environment.conda(users)}
    pip = {each.name: each.requirement for each in user_environment.by_pip(users)}
    return Listed(conda, pip)


def _text(path: Path) -> str:
    return files.read(path).decode() if path.exists() else ""


def _few(items: list[str]) -> str:
    named = ", ".join(items[: hub_packages.NAMED])
    more = len(items) - hub_packages.NAMED
    return f"{named} and {more} more" if more > 0 else named
