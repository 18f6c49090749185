"""What is installed: lists from which the hub's and the users' environments are made again."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tljh_runbook.hub import (
    environment_restore,
    files,
    trust,
    user_environment,
    users_packages,
    versions,
)
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.components import PROXY
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.manifest import Manifest
from tljh_runbook.hub.restoration import Action, Restoration
from tljh_runbook.hub.source import Source

FREEZE, MACHINE = environment_restore.FREEZE, environment_restore.MACHINE
CONDA, PIP = users_packages.EXPLICIT, users_packages.BY_PIP
SECONDS = 10  # that the proxy may take to tell its version


class Software:
    """Lists of packages with versions, commits and checksums; not the packages themselves."""

    name = "software"
    title = "Software"
    order = 80
    downtime = f"{PROXY} where the proxy's program is missing or another one"
    kept = (
        "the version, or the commit, of every package of the hub's environment",
        "the address and checksum of every conda package of the users' environment, and what pip "
        "installed beside",
        "the proxy's version and checksum; the versions of Python, of the system and its kernel",
    )
    left_out = (
        (
            "the environments themselves",
            "They are large. A restore installs the hub's packages again, one by one as they are "
            "listed, and what is missing of the users'; it names what cannot be had any more.",
        ),
        ("the installer's log", "It tells what was done once, and nothing that is needed."),
    )

    def size(self, source: Source) -> int:
        del source
        return 64 << 10  # lists of a few hundred lines

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
        return {**counts, **({"note": _note(left)} if left else {})}

    def give_back(self, restoration: Restoration) -> Iterable[Action]:
        if not restoration.paths:
            yield from environment_restore.actions(restoration)
            yield from users_packages.actions(restoration, restoration.kept.path / self.name)

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        prefix = shlex.quote(manifest.hub)
        kept = {Path(entry.path).name for entry in manifest.of(self.name)}
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
    """Return the version of the proxy that is installed; '' where none is told."""
    program = hub.environment / "bin" / "traefik"
    return _version(program) if program.exists() else ""


def _version(program: Path) -> str:
    """Return what the proxy says of itself; nothing where it will not run, or is not root's."""
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
