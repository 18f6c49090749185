"""The changes that an upgrade would make, as seen in a rehearsal."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub.backup.components import software
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import DEFAULTS
from tljh_runbook.hub.upgrade.logins.requirement import Compared
from tljh_runbook.hub.upgrade.rehearse import rehearsal, system_packages
from tljh_runbook.hub.upgrade.rehearse.rehearsal import Kept
from tljh_runbook.hub.upgrade.report import outage
from tljh_runbook.hub.upgrade.report.outage import Outage
from tljh_runbook.hub.upgrade.stage import managed_files
from tljh_runbook.hub.upgrade.stage.hand_edits import Edits
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.versions import versions

TOKENS = ("api_tokens", "oauth_clients", "oauth_codes")
GROUPS = {"groupadd", "addgroup"}
USUAL = {"systemctl"}  # every installation calls it, to restart the services that it changed


@dataclass(frozen=True)
class Forecast:
    """The predicted changes. ``size`` is in bytes; ``files`` maps paths to textual diffs."""

    packages: list[list[str]]
    settings: list[list[str]]
    files: dict[str, str]
    overwritten: dict[str, str]
    """The ``files`` that were edited by hand, each with the edits that would be lost."""
    left: list[str]
    """Other files under ``/etc`` that the installer would change; they are not managed files."""
    databases: list[Kept]
    asked: list[list[str]]
    """The system commands that the installer called, except restarts of its services."""
    complaints: list[str]
    proxy: bool
    """Whether the proxy restarts, which cuts users off briefly."""
    proxy_versions: list[str]
    """The proxy's versions before and after the upgrade; '' if unknown."""
    away: Outage
    """The expected downtime of the hub and of the users' servers."""
    size: int
    logins: Compared

    @property
    def tokens(self) -> int:
        """The number of tokens that would be revoked."""
        pairs = [each.rows.get(table, (0, 0)) for each in self.databases for table in TOKENS]
        return sum(max(0, before - after) for before, after in pairs)

    @property
    def apt(self) -> list[str]:
        """The system packages that the installer needs and that are not installed."""
        names = {name for words in self.asked for name in apt_packages(words)}
        return sorted(name for name in names if not system_packages.installed(name))

    @property
    def not_done(self) -> list[list[str]]:
        """The deferred commands that concern neither packages nor groups, and are never run."""
        return [words for words in self.asked if words[0] not in {"apt-get", "apt", *GROUPS}]

    def to_json(self) -> dict[str, Any]:
        return {
            "packages": self.packages,
            "settings": self.settings,
            "files": self.files,
            "overwritten": self.overwritten,
            "left": self.left,
            "databases": [each.to_json() for each in self.databases],
            "tokens_revoked": self.tokens,
            "apt": self.apt,
            "not_done": self.not_done,
            "complaints": self.complaints,
            "proxy_restarts": self.proxy,
            "proxy_versions": self.proxy_versions,
            "away": self.away.to_json(),
            "size": self.size,
            "logins": self.logins.to_json(),
        }


def of(
    source: Source, stage: Stage, kept: list[Kept], compared: Compared, edits: Edits
) -> Forecast:
    """Compare the staged upgrade with the live hub, and return what it would change."""
    carried = managed_files.changed(source, stage)
    proxy = managed_files.restarts_proxy(source, stage, carried)
    return Forecast(
        packages=list(_packages(source.hub, stage)),
        settings=_settings(source.hub, stage.copy),
        # The installer always writes its log, so that is not worth reporting.
        files={
            str(each.live): _diff(each)
            for each in carried
            if each.live.name != managed_files.LOG.name
        },
        overwritten={str(each.live): edits[each.live] for each in carried if each.live in edits},
        left=managed_files.other_files(source, stage),
        databases=kept,
        asked=[words for words in stage.asked if words and words[0] not in USUAL],
        complaints=rehearsal.complaints(source, stage),
        proxy=proxy,
        proxy_versions=[software.proxy_version(each) for each in (source.hub, stage.copy)],
        away=outage.expected(source, proxy=proxy),
        size=copies.size(stage.copy.prefix),
        logins=compared,
    )


def apt_packages(words: list[str]) -> Iterator[str]:
    """Yield the system packages that a recorded command would install."""
    if words[:1] in (["apt-get"], ["apt"]) and "install" in words:
        for word in words[words.index("install") + 1 :]:
            if not word.startswith("-"):
                yield word


def _packages(hub: Hub, stage: Stage) -> Iterator[list[str]]:
    pythons = [versions.python(each) for each in (hub, stage.copy)]
    if pythons[0] != pythons[1]:
        yield ["hub", "python", *pythons]
    for name in stage.prints:
        live, staged = (_labels(each.prefix / name) for each in (hub, stage.copy))
        for package in sorted({*live, *staged}):
            before, after = live.get(package, "not installed"), staged.get(package, "removed")
            if before != after:
                yield [name, package, before, after]


def _labels(environment: Path) -> dict[str, str]:
    folders = sorted((environment / "lib").glob("python3.*/site-packages"))
    return {package.name: package.label for package, _ in reversed(versions.found(folders))}


def _settings(live: Hub, staged: Hub) -> list[list[str]]:
    """Return the settings that would change.

    Only values of settings with a default of ours are shown: any other may be a secret.
    """
    before, after = config.read(live), config.read(staged)
    rows = []
    for name in sorted({*before, *after}):
        pair = [before.get(name, "unset"), after.get(name, "unset")]
        if pair[0] != pair[1]:
            shown = pair if name in DEFAULTS else [_veiled(value) for value in pair]
            rows.append([name, *map(str, shown)])
    return rows


def _veiled(value: object) -> str:
    return "unset" if value == "unset" else "set"


def _diff(each: managed_files.Carried) -> str:
    """Return the diff of a file; empty if the file may hold secrets."""
    if each.live.suffix not in {".service", ".conf"} and each.live.name != "jupyterhub-admins":
        return ""
    before, after = _lines(each.live), _lines(each.staged)
    lines = difflib.unified_diff(before, after, str(each.live), str(each.live), lineterm="", n=0)
    return "\n".join(lines)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = files.read(path).decode(errors="replace")
    # Supervisor's configuration holds a password.
    return [line for line in text.splitlines() if not line.startswith("password")]
