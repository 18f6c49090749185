"""The restore of the hub's environment: compared, prepared next to the live one, exchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.software import (
    environment_copy,
    hub_packages,
    proxy_program,
    user_environment,
)
from tljh_runbook.hub.software.environment_copy import EnvironmentCopy
from tljh_runbook.hub.software.hub_packages import Recorded
from tljh_runbook.hub.versions import interpreter, versions

FOLDER = "software"  # in a snapshot; it contains the files below
FREEZE, MACHINE = "hub-freeze.txt", "machine.json"


def recorded(saved: Snapshot) -> Recorded | None:
    """Return the hub's environment as a snapshot recorded it; None if it did not."""
    if not any(entry.path == f"{FOLDER}/{FREEZE}" for entry in saved.manifest.files):
        return None
    text = files.read(saved.path / FOLDER / FREEZE).decode()
    python = str(_machine(saved).get("hub_python") or "")
    return Recorded(hub_packages.parse(text), python, _copies(saved)) if text else None


def actions(restoration: Restoration) -> Iterator[Action]:
    """Yield the action that restores the environment, or nothing if it is as recorded."""
    wanted = recorded(restoration.kept)
    if wanted is None:
        return
    hub = restoration.source.hub
    proxy = _machine(restoration.kept).get("proxy") or {}
    found = hub_packages.differences(hub, wanted)
    same_proxy = proxy_program.same(hub.environment, proxy)
    if not found and same_proxy and not interpreter.gone(hub):
        return
    before, after = hub_packages.told(found)
    if not versions.packages(hub):
        before, after = "missing", f"{len(wanted.requirements)} packages as recorded"
    work = _Work(restoration, wanted, proxy)
    beside = environment_copy.possible()
    yield Action(
        what="the hub's packages",
        before=before or "the proxy's program differs",
        after=after or "as recorded",
        prepare=work.prepare if beside else lambda: None,
        carry_out=work.exchange if beside else work.in_place,
        discard=EnvironmentCopy(hub).discard if beside else lambda: None,
        undo=work.undo if beside else None,
        stopped=True,
        proxy=not same_proxy,
    )


@dataclass
class _Work:
    """The environment of one restore."""

    restoration: Restoration
    wanted: Recorded
    proxy: dict[str, Any]
    exchanged: bool = False

    def prepare(self) -> None:
        """Build the environment next to the live one while the hub is running."""
        beside = EnvironmentCopy(self.restoration.source.hub)
        try:
            beside.begin()
            self._bring(beside)
        except RunbookError as error:
            error.add("Nothing was changed.")
            raise

    def in_place(self) -> None:
        """Fix the packages in the live environment, if this server can't bind-mount a copy."""
        self._keep_list()
        files.make_private(self.restoration.source.hub.work)
        self._bring(None)

    def exchange(self) -> None:
        self._keep_list()
        EnvironmentCopy(self.restoration.source.hub).exchange()
        self.exchanged = True

    def undo(self) -> None:
        if self.exchanged:
            EnvironmentCopy(self.restoration.source.hub).exchange()
            self.exchanged = False

    def _bring(self, beside: EnvironmentCopy | None) -> None:
        source, say = self.restoration.source, self.restoration.say
        left = hub_packages.bring(source.hub, self.wanted, say, beside)
        left += proxy_program.bring(source, self.proxy, say, beside)
        self.restoration.left.extend(left)

    def _keep_list(self) -> None:
        """Save the list of the replaced packages, so that they can be reinstalled."""
        known = versions.packages(self.restoration.source.hub)
        if known:
            text = user_environment.requirements([each for _, each in sorted(known.items())])
            files.make_private(self.restoration.replaced)
            files.write_new(self.restoration.replaced / FREEZE, text.encode())


def _machine(saved: Snapshot) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files.read(saved.path / FOLDER / MACHINE))
    return found


def _copies(saved: Snapshot) -> dict[str, Sequence[Path]]:
    """Return the paths in the snapshot of the plugins that are on no index."""
    about = saved.manifest.components.get("plugin", {})
    return {
        name: [saved.path / "plugin" / top for top in tops]
        for name, tops in about.get("copied", {}).items()
    }
