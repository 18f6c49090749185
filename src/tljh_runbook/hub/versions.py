"""Which versions a hub runs, read from its environment without running anything in it.

Nothing is imported and no interpreter is started: a plugin creates a database wherever it is
imported, and after an upgrade of the operating system the environment's Python may be gone.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.requirements import Requirement, canonical

TLJH_NAME = "the-littlest-jupyterhub"
PLUGIN_GROUP = "tljh"
# Installed beside the plugin and upgraded with it, but not itself an entry point everywhere.
COMPANIONS = {"tljh-repo2docker"}


@dataclass(frozen=True)
class Package:
    """One installed distribution; ``commit`` where it was installed from git."""

    name: str
    version: str
    commit: str | None = None
    source: str | None = None

    @property
    def label(self) -> str:
        """Version, and the commit in short: what tells two installations apart."""
        return f"{self.version} ({self.commit[:12]})" if self.commit else self.version

    @property
    def requirement(self) -> str:
        """What pip installs the same thing from."""
        return f"{self.name} @ {self.source}" if self.source else f"{self.name}=={self.version}"

    def satisfies(self, asked: Requirement) -> bool:
        if asked.commit:
            return self.commit == asked.commit
        return self.version == asked.version and self.commit is None


@dataclass(frozen=True)
class Versions:
    """What is installed on a hub."""

    tljh: Package | None
    jupyterhub: Package | None
    plugins: tuple[Package, ...]
    python: str
    system: str

    def rows(self) -> dict[str, str]:
        """Return what a person compares: name and label, in a fixed order."""
        named = {"TLJH": self.tljh, "JupyterHub": self.jupyterhub}
        named |= {plugin.name: plugin for plugin in self.plugins}
        return {name: package.label for name, package in named.items() if package}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def site_packages(hub: Hub) -> list[Path]:
    """Return the hub environment's package folders, that of its own Python first.

    After an upgrade of the operating system there may be more than one.
    """
    own = ".".join(python(hub).split(".")[:2])
    found = sorted((hub.environment / "lib").glob("python3.*/site-packages"))
    return sorted(found, key=lambda path: path.parent.name != f"python{own}")


def python(hub: Hub) -> str:
    """Return the version of Python that the hub's environment was made with, or ''."""
    try:
        text = (hub.environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    values = {key.strip(): value.strip() for key, value in pairs.items()}
    return values.get("version") or values.get("version_info") or ""


def packages(hub: Hub) -> dict[str, Package]:
    """Return all distributions of the hub's environment by canonical name."""
    found: dict[str, Package] = {}
    for item in _distributions(hub):
        package = _package(item)
        found.setdefault(package.name, package)
    return found


def plugins(hub: Hub) -> dict[str, Distribution]:
    """Return the distributions that plug into TLJH, with their files."""
    found: dict[str, Distribution] = {}
    for item in _distributions(hub):
        name = canonical(item.metadata["Name"] or "")
        groups = {point.group for point in item.entry_points}
        if (PLUGIN_GROUP in groups and name != TLJH_NAME) or name in COMPANIONS:
            found.setdefault(name, item)
    return dict(sorted(found.items()))


def installed(hub: Hub) -> Versions:
    """Return the versions that a hub runs."""
    by_name = packages(hub)
    return Versions(
        tljh=by_name.get(TLJH_NAME),
        jupyterhub=by_name.get("jupyterhub"),
        plugins=tuple(by_name[name] for name in plugins(hub)),
        python=python(hub),
        system=_system(),
    )


def _distributions(hub: Hub) -> list[Distribution]:
    found = [item for path in site_packages(hub) for item in distributions(path=[str(path)])]
    return [item for item in found if item.metadata["Name"]]  # a killed pip leaves nameless ones


def _package(item: Distribution) -> Package:
    direct = _direct_url(item)
    commit = direct.get("vcs_info", {}).get("commit_id")
    source = None
    if commit:
        below = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
        source = f"{direct['vcs_info']['vcs']}+{direct['url']}@{commit}{below}"
    return Package(canonical(item.metadata["Name"]), item.version, commit, source)


def _direct_url(item: Distribution) -> dict[str, Any]:
    try:
        found = json.loads(item.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
