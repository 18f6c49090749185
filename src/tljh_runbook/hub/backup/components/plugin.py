"""The TLJH plugins: the version and commit of each, and its installed files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from tljh_runbook.hub.backup.components import PROXY
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.software import environment_restore, installer
from tljh_runbook.hub.versions import interpreter, versions


class Plugin:
    """What pip needs to reinstall each plugin, and a copy of its files in case that fails."""

    name = "plugin"
    title = "Plugins"
    order = 70
    downtime = f"{PROXY}: TLJH's installer restarts the proxy"
    kept = (
        "what pip needs to install each plugin again: its version, repository and commit",
        "a copy of the installed files of each plugin, in case its repository is gone",
    )
    left_out = (
        ("compiled `.pyc` files", "Python makes them again."),
        ("the plugin's own database", "It is kept with the databases."),
        ("the list of all other packages", "It is kept with the software."),
    )

    def size(self, source: Source) -> int:
        found = versions.plugins(source.hub).values()
        return sum(path.stat().st_size for item in found for path in _files(item))

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        known = versions.packages(source.hub)
        plugins = versions.plugins(source.hub)
        for item in plugins.values():
            for path in _files(item):
                folder.copy(path, str(path.relative_to(source.hub.prefix)))
        requirements = {name: known[name].requirement for name in plugins if name in known}
        folder.write("requirements.txt", "".join(f"{text}\n" for text in requirements.values()))
        return {
            "tljh": found.version if (found := known.get(TLJH_NAME)) else None,
            "tljh_requirement": found.requirement if found else None,
            "installer": source.settings.upgrade.installer,
            "requirements": requirements,
            "copied": {
                name: _top(source.hub, item)
                for name, item in plugins.items()
                if name in known and known[name].local
            },
        }

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        if "software" in restoration.components and environment_restore.recorded(restoration.kept):
            return  # restored with all other packages of the hub
        kept = restoration.kept.manifest.components[self.name]
        known = versions.packages(restoration.source.hub)
        given = {
            name: text for name, text in kept["requirements"].items() if name not in kept["copied"]
        }
        now = {name: known[name].requirement for name in given if name in known}
        if any(each.origin and each.gone for each in restoration.entries(self.name)):
            now = {}  # a plugin with missing files is useless, so reinstall all
        tljh, recorded = known.get(TLJH_NAME), _tljh(kept)
        same = _is(restoration.source, recorded) if recorded else tljh is None
        if same and now == given:
            return
        yield Action(
            what="TLJH and plugins",
            before=_told(tljh.version if tljh else None, tljh.requirement if tljh else "", now),
            after=_told(kept["tljh"], recorded, given),
            prepare=lambda: _require_installer(restoration.source),
            carry_out=lambda: _install(restoration, recorded, given, now),
            stopped=True,
            proxy=True,
        )

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        kept = manifest.components[self.name]
        prefix = shlex.quote(manifest.hub)
        given = dict(kept["requirements"])
        index = [shlex.quote(text) for name, text in given.items() if name not in kept["copied"]]
        if recorded := _tljh(kept):
            plugins = f" --plugin {' '.join(index)}" if index else ""
            yield "# This line only if TLJH was upgraded since; it also starts the hub:"
            reference = installer.git_reference(recorded)
            spec = "" if reference else f"TLJH_BOOTSTRAP_PIP_SPEC={shlex.quote(recorded)} "
            version = f" --version {shlex.quote(reference)}" if reference else ""
            line = f"python3 {shlex.quote(kept['installer'])}{version}{plugins}"
            systemd = shlex.quote(str(Hub(Path(manifest.hub)).root / interpreter.SYSTEMD))
            yield f"{spec}TLJH_INSTALL_PREFIX={prefix} PATH=$PATH:{systemd} {line}"
        for text in index:
            yield f"{prefix}/hub/bin/python -m pip install --force-reinstall --no-deps {text}"
        if kept["copied"]:
            yield f"# No index has {', '.join(kept['copied'])}: the files were kept."
        for top in (top for tops in kept["copied"].values() for top in tops):
            below = shlex.quote(str(Path(top).parent))
            yield f"cp -R {shlex.quote(f'plugin/{top}')} {prefix}/{below}/"


def _tljh(kept: dict[str, Any]) -> str:
    """Return the pip requirement of the recorded TLJH, or ''. Older snapshots have its version.

    The version of a TLJH from a branch is not a release, so only its commit can be installed.
    """
    known = kept.get("tljh_requirement") or kept["tljh"]
    if not known:
        return ""
    return str(known) if known.startswith(TLJH_NAME) else _pinned(known)


def _is(source: Source, requirement: str) -> bool:
    now = versions.packages(source.hub).get(TLJH_NAME)
    return now is not None and requirement in {now.requirement, _pinned(now.version)}


def _pinned(version: str) -> str:
    return f"{TLJH_NAME}=={version}"


def _told(tljh: str | None, requirement: str, plugins: dict[str, str]) -> str:
    commit = f" ({_version(requirement)})" if " @ " in requirement else ""
    told = [f"{name} {_version(text)}" for name, text in plugins.items()]
    return ", ".join([f"TLJH {tljh or 'not installed'}{commit}", *told])


def _version(requirement: str) -> str:
    """Return what distinguishes two installations: the version, or the abbreviated commit."""
    _, pinned, version = requirement.partition("==")
    return version if pinned else requirement.rpartition("@")[2].partition("#")[0][:12]


def _require_installer(source: Source) -> None:
    installer.script(source)


def _install(
    restoration: Restoration, tljh: str, given: dict[str, str], now: dict[str, str]
) -> None:
    """Install the recorded versions; pip must be forced to replace an equal version."""
    source, say = restoration.source, restoration.say
    if tljh:
        installer.install_recorded(tljh, list(given.values()), source, say)
        if not _is(source, tljh):  # pip skips another commit of the same version
            installer.force([tljh], source, say)
            installer.install_recorded(tljh, list(given.values()), source, say)
    installer.force([text for name, text in given.items() if now.get(name) != text], source, say)


def _top(hub: Hub, item: Distribution) -> list[str]:
    """Return the top-level folders and files of a plugin, relative to the hub's prefix."""
    base = Path(str(item.locate_file("")))
    tops = {base / path.relative_to(base).parts[0] for path in _files(item)}
    return sorted(str(path.relative_to(hub.prefix)) for path in tops)


def _files(item: Distribution) -> Iterator[Path]:
    base = Path(str(item.locate_file("")))
    for file in item.files or []:
        path = Path(str(item.locate_file(file)))
        inside = path.is_relative_to(base) and ".." not in file.parts
        if inside and path.suffix != ".pyc" and path.is_file() and not path.is_symlink():
            yield path


COMPONENT = Plugin()
