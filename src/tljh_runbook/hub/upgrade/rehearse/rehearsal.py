"""The staged version, tried on copies: it loads the configuration and migrates the databases."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.errors import RehearsalFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import disk
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import canonical
from tljh_runbook.hub.database import databases, sql, sqlite
from tljh_runbook.hub.health import loaded
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.system import cause
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.versions import interpreter, versions

Say = Callable[[str], None]
# `A 1 requires B, which …`, `A 1 has requirement B>=2, but …`
UNMET = re.compile(r"(\S+) \S+ (?:requires|has requirement) ([\w.-]+)")


@dataclass(frozen=True)
class Kept:
    """The revisions and row counts of a database, before and after migrating its copy."""

    name: str
    revisions: tuple[str, str]
    rows: dict[str, tuple[int, int]]

    @property
    def lost(self) -> int:
        """The number of rows that the migration removes."""
        return sum(max(0, before - after) for before, after in self.rows.values())

    def to_json(self) -> dict[str, Any]:
        changed = {name: pair for name, pair in self.rows.items() if pair[0] != pair[1]}
        return {"name": self.name, "revisions": self.revisions, "rows": changed}


def rehearse(source: Source, stage: Stage, say: Say) -> list[Kept]:
    """Load the configuration and migrate the copies with the staged versions.

    Raises `RehearsalFailed` with the cause from the output; the live hub is not touched.
    """
    before = _databases(source, stage)
    config = loaded.config_file(stage.copy, stage.hub)
    if not config:
        raise RehearsalFailed(
            f"The staged TLJH has no {loaded.CONFIG}. The live hub was not touched.",
            hint="Is upgrade.tljh in the settings file a version of TLJH?",
        )
    say("loading the configuration")
    _load(source, stage, config)
    say("migrating copies of the databases")
    _migrate(source, stage, config)
    after = _databases(source, stage)
    return [_kept(name, before[name], after[name]) for name in before if name in after]


def require_targets(source: Source, stage: Stage) -> None:
    """Raise `RehearsalFailed` if the installer did not install the target versions."""
    if wrong := source.targets.unmet(versions.packages(stage.copy)):
        raise RehearsalFailed(
            f"TLJH's installer brought other versions: {'; '.join(wrong)}. The live hub was not "
            "touched.",
            hint=f"Read {source.hub.work / installer.LOG}. Another package may ask for that "
            "version: name in the settings file what you want, then rehearse again: "
            "tljh-runbook rehearse",
        )


def complaints(source: Source, stage: Stage) -> list[str]:
    """Return the ``pip check`` errors of the staged packages that the live ones do not have.

    ``pip check`` reports errors on every TLJH server, and its lines contain versions, so they are
    compared by package and requirement only.
    """
    check = [str(source.hub.python), "-m", "pip", "check"]
    live = set() if interpreter.gone(source.hub) else _lines(check, source.hub)
    staged = _lines(stage.command(check, source.hub.work), source.hub)
    known = {unmet(line) for line in live}
    return sorted(line for line in staged if unmet(line) not in known)


def unmet(line: str) -> str:
    """Return the package and the requirement in a line of ``pip check``, without versions."""
    found = UNMET.match(line)
    return " ".join(map(canonical, found.groups())) if found else line


def _lines(command: Sequence[str], hub: Hub) -> set[str]:
    done = subprocess.run(
        command,
        env=interpreter.environment(hub),
        cwd=hub.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    return set(done.stdout.splitlines())


def _load(source: Source, stage: Stage, config: str) -> None:
    found = loaded.load(source, stage.view(), config, stage.environment)
    installer.note(source.hub, found.output)
    if found.wrong:
        raise _failed(source, "The configuration does not load", found.wrong, found.output)


def _migrate(source: Source, stage: Stage, config: str) -> None:
    environment, directory = loaded.surroundings(source)
    command = [str(source.hub.python), "-m", "jupyterhub", "upgrade-db", "-f", config]
    done = stage.run(command, environment, directory)
    installer.note(source.hub, done.stdout)
    if done.returncode:
        reason = cause.of(done.stdout)
        raise _failed(source, "The database cannot be migrated", reason, done.stdout)


def _failed(source: Source, wrong: str, reason: str, output: str) -> RehearsalFailed:
    reason += disk.blamed(output, *installer.written(source.hub)).rstrip(".")
    return RehearsalFailed(
        f"{wrong} with the new versions: {reason}. The live hub was not touched.",
        hint=f"Read {source.hub.work / installer.LOG}. Choose other versions in the settings "
        "file, or correct the cause; then rehearse again: tljh-runbook rehearse",
    )


Seen = tuple[str, dict[str, int]]


def _databases(source: Source, stage: Stage) -> dict[str, Seen]:
    """Return the revision and the row counts of each copy, by database name."""
    found = databases.find(source.hub, source.services, source.settings)
    places = {name: path.resolve() for name, path in found.items() if isinstance(path, Path)}
    copies = {
        name: stage.copy.state / path.relative_to(source.hub.state)
        for name, path in places.items()
        if path.is_relative_to(source.hub.state)
    }
    return {name: (sqlite.revision(path) or "", sql.rows(path)) for name, path in copies.items()}


def _kept(name: str, before: Seen, after: Seen) -> Kept:
    rows = {
        table: (before[1].get(table, 0), after[1].get(table, 0))
        for table in sorted({*before[1], *after[1]})
    }
    return Kept(name, (before[0], after[0]), rows)
