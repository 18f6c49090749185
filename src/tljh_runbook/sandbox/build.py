"""Build, start and take down a sandbox."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import uv

from tljh_runbook.errors import SandboxFailed
from tljh_runbook.sandbox import (
    contents,
    ports,
    processes,
    record,
    repositories,
    servers,
    supervisor,
)
from tljh_runbook.sandbox.layout import FAKES, Layout
from tljh_runbook.sandbox.progress import Progress
from tljh_runbook.sandbox.record import Record

PORTS = ["http", "traefik_api", "hub", "tljh_plasma", "tljh_repo2docker", "supervisor"]


def up(layout: Layout, progress: Progress) -> Record:
    """Build and start the sandbox as needed, whatever its state; return its record."""
    claim(layout)
    known = record.read(layout)
    if known is None:
        return build(layout, progress)
    resume(layout, known, progress)
    return known


def claim(layout: Layout) -> None:
    """Mark the directory as a sandbox, before anything else is written to it.

    Raises SandboxFailed if it is neither empty nor a sandbox.
    """
    if layout.marker.exists():
        return
    if any(layout.root.iterdir()):
        raise SandboxFailed(
            f"{layout.root} is not empty, and what is in it is not a sandbox. Nothing was changed.",
            hint="Name a new folder, or an empty one.",
        )
    layout.marker.write_text("A sandbox of tljh-runbook: all in this folder may be deleted.\n")


def build(layout: Layout, progress: Progress) -> Record:
    """Build from scratch; the remains of an interrupted build are removed first."""
    empty(layout)
    numbers = ports.free(PORTS)
    password = secrets.token_urlsafe(9)
    known = Record(f"http://{ports.HOST}:{numbers['http']}", numbers, contents.USERS, password)
    with progress("Writing settings and homes"):
        commits = furnish(layout, known)
    with progress("Installing TLJH 1.0.0 and the Plasma plugin"):
        supervisor.start(layout)
        install(layout, plugin=f"{layout.url('plasma')}@{commits['older']}")
        detach(layout)
    with progress("Waiting for the hub"):
        servers.wait_for_hub(layout, known)
        contents.fill_databases(layout)
        servers.group(layout, known)
    with progress("Starting the servers of alice and bob"):
        servers.start(layout, known)
    record.write(layout, known)
    return known


def furnish(layout: Layout, known: Record) -> dict[str, str]:
    """Write everything that the first installation needs; return the commits by tag."""
    for folder in (layout.logs, layout.run, layout.root / "var" / "backups"):
        folder.mkdir(parents=True)
    commits = repositories.build(layout)
    shutil.copyfile(FAKES / "bootstrap.py", layout.installer)
    contents.configure(layout, known, secrets.token_hex(32))
    contents.settle(layout, f"{layout.url('plasma')}@{commits['newer']}")
    contents.furnish_homes(layout)
    supervisor.configure(layout, known.ports["supervisor"])
    supervisor.bring_command(layout)
    supervisor.bring_systemd(layout)
    return commits


def install(layout: Layout, *, plugin: str) -> None:
    """Run the installer as an administrator does on a new server.

    It runs in its own session, so that Ctrl-C reaches only this process, which then ends it.
    """
    tools = Path(uv.find_uv_bin()).parent
    environment = processes.environment(layout)
    path = [str(tools), environment.get("PATH", os.defpath), str(layout.systemd.parent)]
    environment["PATH"] = os.pathsep.join(path)
    environment["UV_LINK_MODE"] = "hardlink"
    log = layout.logs / "install.log"
    command: list[str | Path] = [sys.executable, layout.installer, "--version", "1.0.0"]
    command += ["--plugin", f"tljh-plasma @ {plugin}", "--admin", "alice"]
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            env=environment,
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        raise SandboxFailed(
            "TLJH could not be installed in the sandbox.",
            hint=f"The end of {log} says why; most often a package index cannot be reached.",
        )


def detach(layout: Layout) -> None:
    """Replace hard links by copies for the files that people break in order to learn.

    uv installs hard links to its cache, so a change to such a file would also change the cache and
    the next sandbox.
    """
    hub = layout.prefix / "hub"
    packages = ("jupyterhub", "tljh", "tljh_plasma", "tljh_repo2docker")
    found = (path for name in packages for path in hub.glob(f"lib/python3*/site-packages/{name}"))
    files = [path for folder in found for path in folder.rglob("*") if path.is_file()]
    for path in [*files, hub / "bin" / "traefik"]:
        if path.stat().st_nlink > 1:
            copy = path.with_name(f".{path.name}.copy")
            shutil.copy2(path, copy)
            copy.replace(path)


def resume(layout: Layout, known: Record, progress: Progress) -> None:
    """Start the parts of a complete sandbox that are not running, for example after a reboot."""
    if not supervisor.processes(layout):
        with progress("Starting the hub"):
            processes.end_all(layout)
            refuse_taken_ports(known)
            supervisor.start(layout)
    if not (layout.state / "jupyterhub.sqlite").exists():
        progress.say("The hub's state is gone: there is something to restore.")
        return
    servers.wait_for_hub(layout, known)
    servers.start(layout, known)


def refuse_taken_ports(known: Record) -> None:
    taken = ports.taken(known.ports)
    if taken:
        raise SandboxFailed(
            f"Another program has taken a port of the sandbox: {taken}.",
            hint="Stop that program; or take the sandbox down and up again: it gets other ports.",
        )


def down(layout: Layout) -> None:
    """End every process of the sandbox and remove its directory.

    The caller checks that it is a sandbox. Raises SandboxFailed if processes do not end.
    """
    empty(layout)
    layout.marker.unlink()
    layout.root.rmdir()


def empty(layout: Layout) -> None:
    """End every process, then remove everything except the marker, sandbox.json first."""
    processes.end_all(layout)
    layout.record.unlink(missing_ok=True)
    for path in layout.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != layout.marker:
            path.unlink()
