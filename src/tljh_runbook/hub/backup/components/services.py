"""How the hub is started: units, sudo rule, the ``tljh-config`` link, configured TLS files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.backup.components import PROXY
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, files, trust
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots import exchange, placed
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.system import services, unit_files

UNITS = Path("etc/systemd/system")
MANAGED = Path("etc/systemd")  # changes here need ``systemctl daemon-reload``
NAMES = (services.HUB, services.PROXY)
UNIT_NAMES = (*NAMES, "jupyter-")  # drop-ins of jupyter-.service apply to every user server
SUDOERS = Path("etc/sudoers.d/jupyterhub-admins")
SUPERVISOR = Path("etc/supervisor/supervisord.conf")
LINKS = (
    Path("usr/bin/tljh-config"),
    *(UNITS / "multi-user.target.wants" / f"{name}.service" for name in NAMES),
)
TLS_FILES = "tls"  # the folder in a snapshot
TLS = ("https.tls.key", "https.tls.cert")


class Services:
    """Units, drop-ins, and everything else that the hub needs outside its own folder."""

    name = "services"
    title = "Services"
    order = 65
    downtime = f"{PROXY} where the proxy's unit, or a TLS file, is missing or differs"
    kept = (
        "the units `jupyterhub.service` and `traefik.service`, their drop-ins, those of "
        "`jupyter-.service`, and whether they start with the server; links as links, with what "
        "they lead to",
        "the files that units and drop-ins refer to: `EnvironmentFile=`, credentials, your own "
        "scripts",
        "the sudo rule of the hub's administrators, and where `tljh-config` leads",
        "the key and the certificate that `config.yaml` names",
        "the settings of supervisor, in a sandbox",
    )
    left_out = (
        (
            "programs that a unit starts and that a package or TLJH brings",
            "They are installed again.",
        ),
        (
            "a file that a unit refers to, in a folder that users can write to, larger than 16 MB, "
            "or by a specifier such as `%E`",
            "The output of the backup names each.",
        ),
        (
            "a key or certificate in a folder that users can write to",
            "Root does not follow where others may lead it; a note names it.",
        ),
        (
            "what a certificate is made with, such as all of `/etc/letsencrypt`",
            "It belongs to the program that makes it. What TLJH gets by itself is in "
            "`state/acme.json`, kept with the configuration.",
        ),
    )

    def size(self, source: Source) -> int:
        units = unit_files.of(source.hub, UNIT_NAMES).files
        return sum(map(files.size, (*units, *_others(source), *_tls(source)[0])))

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        root = source.hub.root
        units = unit_files.of(source.hub, UNIT_NAMES)
        for path, name in units.files.items():
            folder.copy(path, name)
        for path in _others(source):
            folder.copy(path, str(path.relative_to(root)))
        tls, links, doubts = _tls(source)
        for path in tls:
            folder.copy(path, f"{TLS_FILES}{path}")
        links += [root / name for name in LINKS if (root / name).is_symlink()]
        details: dict[str, Any] = {
            "files": len(folder.entries),
            "links": units.links | {str(link): str(link.readlink()) for link in links},
            "left_out": units.left_out,
            "reload": source.services.reload_line,
        }
        return details | ({"note": " ".join(doubts)} if doubts else {})

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        manifest = restoration.kept.manifest
        entries = list(placed.safe(restoration, restoration.entries(self.name)))
        tls = {each.origin for each in entries if each.path.startswith(f"{self.name}/{TLS_FILES}/")}
        actions = list(exchange.actions(restoration, entries))
        for action in actions:
            yield replace(action, proxy=action.what in tls or _is_of_proxy(action.what))
        links = manifest.components[self.name]["links"]
        yield from placed.links(restoration, links, missing_only=True)
        manager = restoration.source.services
        if any(_is_unit(restoration.source.hub, each.what) for each in actions) or manager.stale():
            yield Action(
                what="service manager",
                before="knows the units as they are",
                after="reads them again",
                carry_out=manager.reload,
                undo=manager.reload,
                stopped=True,
            )

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            origin = entry.origin or ""
            yield f"mkdir -p {shlex.quote(str(Path(origin).parent))}"
            yield entry.install_line
        kept = manifest.components[self.name]
        yield from placed.links_by_hand(kept["links"])
        if manifest.of(self.name):
            yield kept["reload"]


def _others(source: Source) -> list[Path]:
    """Return the other files to back up; links are skipped."""
    root = source.hub.root
    supervisor = [SUPERVISOR] if source.settings.services == "supervisor" else []
    places = [root / each for each in (SUDOERS, *supervisor)]
    return [path for path in places if path.is_file() and not path.is_symlink()]


def _tls(source: Source) -> tuple[list[Path], list[Path], list[str]]:
    """Return the TLS files, the links to them, and the reasons why any are not backed up."""
    found: list[Path] = []
    links: list[Path] = []
    doubts: list[str] = []
    try:
        flat = config.read(source.hub)
    except ConfigBroken as error:
        return found, links, [f"Which TLS files there are is not known: {error.message}"]
    for setting in TLS:
        if named := str(flat.get(setting) or ""):
            path = Path(named)
            if reason := _doubt(path):
                doubts.append(f"{setting} is not kept: {reason}. Keep {named} yourself.")
                continue
            found += [path.resolve()] if path.resolve() not in found else []
            links += [path] if path.is_symlink() and path not in links else []
    return found, links, doubts


def _doubt(path: Path) -> str:
    if not path.is_absolute():
        return f"{path} is no absolute path"
    try:
        return trust.doubt(path) or ("" if path.is_file() else f"{path} is no file")
    except OSError as error:
        return f"{error.filename or path}: {error.strerror}"


def _is_of_proxy(path: str) -> bool:
    """Return whether a file is the proxy's unit or one of its drop-ins."""
    return any(part.startswith(f"{services.PROXY}.service") for part in Path(path).parts)


def _is_unit(hub: Hub, path: str) -> bool:
    return any(Path(path).is_relative_to(hub.root / each) for each in (MANAGED, SUPERVISOR))


COMPONENT = Services()
