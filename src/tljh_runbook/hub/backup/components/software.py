"""Installed software: lists to recreate the hub's and the users' environments."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tljh_runbook.hub.backup.components import PROXY
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots import exchange, placed
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.software import (
    environment_restore,
    user_environment,
    user_environment_files,
    user_packages,
)
from tljh_runbook.hub.versions import versions

FREEZE, MACHINE = environment_restore.FREEZE, environment_restore.MACHINE
CONDA, PIP = user_packages.EXPLICIT, user_packages.BY_PIP
SECONDS = 10  # that the proxy may take to print its version


class Software:
    """Lists of packages with versions, commits and checksums, and files added besides them."""

    name = "software"
    title = "Software"
    order = 80
    downtime = f"{PROXY} where the proxy's program is missing or another one"
    kept = (
        "the version, or the commit, of every package of the hub's environment",
        "the address and checksum of every conda package of the users' environment, and what pip "
        "installed beside",
        "what was put into the users' environment besides packages, below `etc` and "
        "`share/jupyter`: kernels, settings of Jupyter and of its extensions; links as links",
        "the proxy's version and checksum; the versions of Python, of the system and its kernel",
    )
    left_out = (
        (
            "the environments themselves",
            "They are large. A restore installs the hub's packages again, one by one as they are "
            "listed, and what is missing of the users'; it names what cannot be had any more.",
        ),
        (
            "other files in the users' environment, what a link in it leads to, files larger than "
            "16 MB, more than 128 MB or 2000 files together, and files in folders that others than "
            "root may change",
            "The output names what is left out below `etc` and `share/jupyter`. To back up all of "
            "the environment, set `user_data.environment`.",
        ),
        ("the installer's log", "It tells what was done once, and nothing that is needed."),
    )

    def size(self, source: Source) -> int:
        found = user_environment_files.of(source.hub).files
        lists = 64 << 10  # of a few hundred lines
        return lists + sum(files.size(path) for path in found)

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        hub = source.hub
        known = versions.packages(hub)
        folder.write(
            FREEZE, user_environment.requirements([each for _, each in sorted(known.items())])
        )
        users = hub.prefix / "user"
        records = user_environment.conda(users)
        text, left = user_environment.explicit(records)
        pip = user_environment.by_pip(users)
        if records:
            folder.write(CONDA, text)
        if pip:
            folder.write(PIP, user_environment.requirements(pip))
        folder.write(MACHINE, json.dumps(_machine(hub, records), indent=2) + "\n")
        counts = {"hub": len(known), "conda": len(records), "pip": len(pip)}
        about = _capture_files(hub, folder)
        return {**counts, **about, **({"note": _note(left)} if left else {})}

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        packages: list[Action] = []
        if not restoration.paths:
            packages += environment_restore.actions(restoration)
            packages += user_packages.actions(restoration, restoration.kept.path / self.name)
        yield from packages
        # Packages also write there, so files added besides them come last.
        for action in _files(restoration):
            yield replace(action, stopped=bool(packages))

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        prefix = shlex.quote(manifest.hub)
        kept = {Path(entry.path).name for entry in manifest.of(self.name)}
        kept_files = [each for each in manifest.of(self.name) if each.origin]
        commands = {
            FREEZE: f"{prefix}/hub/bin/python -m pip install --no-deps --requirement",
            CONDA: f"{prefix}/user/bin/conda install --yes --prefix {prefix}/user --file",
            PIP: f"{prefix}/user/bin/python -m pip install --no-deps --requirement",
        }
        yield "# On a new server, after TLJH was installed, these bring the other packages back."
        yield "# Take away the first sign of a line to use it. The first is for the hub, the"
        yield "# others for its users:"
        for file, command in commands.items():
            if file in kept:
                yield f"# {command} {self.name}/{file}"
        about = manifest.components[self.name]
        yield from placed.folders_by_hand(about.get("folders", {}))
        yield from (each.install_line for each in kept_files)
        yield from placed.links_by_hand(about.get("links", {}))


def _capture_files(hub: Hub, folder: Folder) -> dict[str, Any]:
    """Copy files added to the users' environment besides packages; return their details."""
    found = user_environment_files.of(hub)
    for path, name in found.files.items():
        with suppress(FileNotFoundError):  # a temporary file that is already gone
            folder.copy(path, name)
    folder.unread |= found.unread
    return {"links": found.links, "folders": found.folders, "left_out": found.left_out}


def _files(restoration: Restoration) -> Iterator[Action]:
    """Yield the actions that restore the files, links and folders besides packages."""
    about = restoration.kept.manifest.components[COMPONENT.name]
    yield from placed.folders(restoration, about.get("folders", {}))
    copied = [each for each in restoration.entries(COMPONENT.name) if each.origin]
    yield from exchange.actions(restoration, list(placed.safe(restoration, copied)))
    yield from placed.links(restoration, about.get("links", {}))


def _machine(hub: Hub, records: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {record["name"]: record.get("version") for record in records}
    return {
        "hub_python": versions.python(hub),
        "user_python": by_name.get("python"),
        "conda": by_name.get("conda"),
        "system": versions.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "proxy": _proxy(hub.environment / "bin" / "traefik"),
    }


def _proxy(program: Path) -> dict[str, Any]:
    with suppress(OSError):
        real = program.resolve(strict=True)
        size, sha = files.digest(real)
        return {"version": _version(real), "size": size, "sha256": sha}
    return {}


def proxy_version(hub: Hub) -> str:
    """Return the version of the installed proxy, or '' if it is unknown."""
    program = hub.environment / "bin" / "traefik"
    return _version(program) if program.exists() else ""


def _version(program: Path) -> str:
    """Return the version that the proxy prints; '' if it fails or non-root users can change it."""
    with suppress(OSError, subprocess.SubprocessError):
        if trust.doubt(program):
            return ""
        done = subprocess.run(
            [str(program), "version"],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        for line in done.stdout.decode(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "version":
                return value.strip()
    return ""


def _note(left: list[str]) -> str:
    return (
        f"Where these packages of the users came from is not known: {', '.join(left)}. "
        "Keep a note of how you install them."
    )


COMPONENT = Software()
