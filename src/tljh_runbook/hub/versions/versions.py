"""The versions that a hub runs, read from its environment without running anything in it.

Nothing is imported and no interpreter is started: a plugin creates a database when it is imported,
and after an upgrade of the operating system the environment's Python may be missing.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME, canonical

ADDRESS = "/:@%?&=+~#!$'(),;*[]"  # characters not to quote in a URL
PLUGIN_GROUP = "tljh"
# Installed and upgraded with the plugin, but not in every version with its own entry point.
COMPANIONS = {"tljh-repo2docker"}


@dataclass(frozen=True)
class Package:
    """An installed distribution; ``commit`` is set if it was installed from git."""

    name: str
    version: str
    commit: str | None = None
    source: str | None = None
    local: bool = False
    """Whether it was installed from a folder or a file, so that no index has it."""

    @property
    def label(self) -> str:
        """The version and the short commit, which tell two installations apart."""
        return f"{self.version} ({self.commit[:12]})" if self.commit else self.version

    @property
    def requirement(self) -> str:
        """The pip requirement that installs the same version."""
        return f"{self.name} @ {self.source}" if self.source else f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Versions:
    """The versions that are installed on a hub."""

    tljh: Package | None
    jupyterhub: Package | None
    plugins: tuple[Package, ...]
    python: str
    system: str

    def rows(self) -> dict[str, str]:
        """Return the name and label of each package to show, in a fixed order."""
        named = {"TLJH": self.tljh, "JupyterHub": self.jupyterhub}
        named |= {plugin.name: plugin for plugin in self.plugins}
        return {name: package.label for name, package in named.items() if package}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def site_packages(hub: Hub) -> list[Path]:
    """Return the hub environment's site-packages folders, starting with that of its Python.

    After an upgrade of the operating system there may be more than one.
    """
    own = ".".join(python(hub).split(".")[:2])
    found = sorted((hub.environment / "lib").glob("python3.*/site-packages"))
    return sorted(found, key=lambda path: path.parent.name != f"python{own}")


def python(hub: Hub) -> str:
    """Return the Python version that the hub's environment was created with, or ''."""
    try:
        text = (hub.environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    values = {key.strip(): value.strip() for key, value in pairs.items()}
    return values.get("version") or values.get("version_info") or ""


def packages(hub: Hub) -> dict[str, Package]:
    """Return all distributions in the hub's environment, by canonical name."""
    return {package.name: package for package, _ in reversed(found(site_packages(hub)))}


def plugins(hub: Hub) -> dict[str, Distribution]:
    """Return the distributions of TLJH plugins, with their files, by canonical name."""
    return {
        package.name: item
        for package, item in reversed(found(site_packages(hub)))
        if _plugs_in(package, item)
    }


def requires(hub: Hub, name: str) -> list[str]:
    """Return the requirements of an installed distribution, as pip requirements; [] for none."""
    items = [item for package, item in found(site_packages(hub)) if package.name == name]
    try:
        return list(items[0].requires or []) if items else []
    except (OSError, ValueError):  # pip is writing it at this moment
        return []


def installed(hub: Hub) -> Versions:
    """Return the versions that a hub runs."""
    by_name = packages(hub)
    return Versions(
        tljh=by_name.get(TLJH_NAME),
        jupyterhub=by_name.get("jupyterhub"),
        plugins=tuple(by_name[name] for name in sorted(plugins(hub)) if name in by_name),
        python=python(hub),
        system=system(),
    )


def found(folders: list[Path]) -> list[tuple[Package, Distribution]]:
    """Return the distributions in these folders; if a name occurs twice, the first one counts."""
    places = [place for path in folders for place in sorted(path.iterdir())]
    items = [Distribution.at(place) for place in places if _may_tell(place)]
    return [(package, item) for item in items if (package := _package(item))]


def _may_tell(place: Path) -> bool:
    """Return whether ``place`` may hold package metadata; a killed pip leaves ``~`` names."""
    return place.suffix in {".dist-info", ".egg-info"} and not place.name.startswith("~")


def _plugs_in(package: Package, item: Distribution) -> bool:
    try:
        groups = {point.group for point in item.entry_points}
    except (OSError, ValueError):  # pip is writing it at this moment
        groups = set()
    return (PLUGIN_GROUP in groups and package.name != TLJH_NAME) or package.name in COMPANIONS


def _package(item: Distribution) -> Package | None:
    """Return the package; None if its metadata is incomplete, because pip failed or is running."""
    try:
        known, direct = item.metadata, _direct_url(item)
    except (OSError, ValueError):
        return None
    if known is None or not ("Name" in known and "Version" in known):
        return None
    commit, source = _commit(direct)
    local = bool(direct) and commit is None
    return Package(canonical(known["Name"]), known["Version"], commit, source, local)


def _commit(direct: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the commit in a ``direct_url.json``, and the URL that pip installs it from."""
    try:
        told = direct["vcs_info"]
        below = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
        # pip writes the URL unquoted, but cannot read one with spaces or non-ASCII characters.
        url = quote(direct["url"], safe=ADDRESS)
        return told["commit_id"], f"{told['vcs']}+{url}@{told['commit_id']}{below}"
    except (KeyError, TypeError):
        return None, None


def _direct_url(item: Distribution) -> dict[str, Any]:
    try:
        found = json.loads(item.read_text("direct_url.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def system() -> str:
    """Return the name of the operating system."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
