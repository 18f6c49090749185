"""What all stories share: the sources, what is put in place, and servers made of both."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import machines
import sources
from controller import Controller
from engine import docker
from hub import Hub
from machines import Server
from sources import Repository
from story import Web

NOTE = "PLACED.txt"
"""A file at the top of that folder: one line for each thing in it that is not real."""
BOOTSTRAP = "bootstrap/bootstrap.py"
KEYS = "/home/ada/.ssh/authorized_keys"
APT = "/etc/apt/sources.list.d/*.sources"
# A newer one brings no greenlet, without which no JupyterHub starts: a new server needs it by hand.
OF_ITS_TIME = "sqlalchemy<2.1\n"
# An overlay file system cannot rename a folder that comes from the image.
OWN = """
set -e
systemctl stop jupyterhub traefik
cp -a /opt/tljh /opt/own
rm -rf /opt/tljh
mv /opt/own /opt/tljh
systemctl start traefik jupyterhub
"""


@dataclass
class World:
    """The machines of all stories, and where the real software comes from."""

    folder: Path
    cache: Path
    stack: ExitStack
    web: Web
    tljh: Repository
    plasma: Repository
    place: Path | None
    images: set[str] = field(default_factory=set)

    @property
    def bootstrap(self) -> bytes:
        """TLJH's installer, as its documentation lets people download it."""
        return self.tljh.read("HEAD", BOOTSTRAP)

    def controller(self, name: str) -> Controller:
        """Return the machine of an administrator of one server."""
        return Controller.make(self.folder / f"checkout-{name}")

    def boot(self, name: str, key: str, release: str = "bookworm") -> Server:
        """Boot a bare server, and put in place what it cannot download."""
        made_of = f"{machines.IMAGE}-{release}"
        if made_of not in self.images:
            machines.image(self.cache, release, made_of)
            self.images.add(made_of)
        server = machines.boot(name, key, made_of)
        self._until_end(name)
        here = platform.freedesktop_os_release()["VERSION_CODENAME"]
        server.run("sh", "-c", f"sed -i s/{here}/{release}/g {APT}")
        sources.hand_over(server, (self.tljh, self.plasma))
        self.put_in_place(server)
        return server

    def put_in_place(self, server: Server, part: str = "") -> None:
        """Copy the folder of ``--place``, or a folder in it, to the server's root."""
        if self.place and (self.place / part).exists():
            server.run("mkdir", "-p", f"/{part}")
            docker("cp", f"{self.place / part}/.", f"{server.name}:/{part}")
            server.run("rm", "-f", f"/{NOTE}")

    def copy(self, server: Server, name: str, key: str) -> Server:
        """Boot a copy of a server's disk; the server itself is switched off and on for it."""
        docker("stop", "--time", "60", server.name)
        docker("commit", server.name, f"copy-{name}")
        docker("start", server.name)
        server.wait()
        return self._start(name, f"copy-{name}", key)

    def _start(self, name: str, made_of: str, key: str) -> Server:
        """Boot a server of a disk; let the administrator with this key in."""
        made = machines.start(name, made_of)
        self._until_end(name)
        made.run("sh", "-c", OWN)
        made.run("sh", "-c", f"cat > {KEYS}", stdin=key.encode())
        return made

    def installed(
        self, name: str, key: str, disk: str, install: Callable[[Server], None]
    ) -> Server:
        """Boot a server of a disk on which ``install`` has installed a hub, once a day."""
        commits = f"{self.tljh.commit('HEAD')[:12]}-{self.plasma.commit('HEAD')[:12]}"
        file = self.cache / f"{disk}-{commits}.tar"
        if not file.exists() or time.time() - file.stat().st_mtime > machines.DAY:
            self._write_disk(disk, key, file, install)
        docker("load", "--input", str(file))
        return self._start(name, disk, key)

    def _write_disk(
        self, disk: str, key: str, file: Path, install: Callable[[Server], None]
    ) -> None:
        server = self.boot("first", key)
        install(server)
        docker("stop", "--time", "60", server.name)
        docker("commit", server.name, disk)
        self.drop(server)
        docker("save", "--output", f"{file}.new", disk)
        Path(f"{file}.new").rename(file)

    def tljh_1(self, name: str, key: str) -> Server:
        """Boot a server with TLJH 1.0.0, by its own installer."""
        options = ("--version", "1.0.0", "--admin", "admin")

        def install(server: Server) -> None:
            Hub(server).install(self.bootstrap, *options, pip=OF_ITS_TIME)

        return self.installed(name, key, "tljh-1.0.0", install)

    def drop(self, server: Server) -> None:
        """Remove a server that is no longer needed."""
        docker("rm", "--force", "--volumes", server.name)

    def not_real(self) -> list[str]:
        """Return what of these servers is not as on a server that anyone would rent."""
        lines = ["each server is a container, with systemd, sshd and Docker in it"]
        for each in (self.tljh, self.plasma):
            if each.source.elsewhere:
                lines.append(f"{each.source.upstream} is a local clone of it")
        if self.place:
            note = self.place / NOTE
            lines += (
                note.read_text(encoding="utf-8").splitlines()
                if note.exists()
                else [f"put in place: /{each}" for each in sorted(_parts(self.place))]
            )
        return lines

    def _until_end(self, name: str) -> None:
        self.stack.callback(docker_rm, name)


def docker_rm(name: str) -> None:
    """Remove a server, unless that was done."""
    docker("rm", "--force", "--volumes", name)


def _parts(folder: Path) -> list[str]:
    """Return what is put in place, three folders deep."""
    return [str(each.relative_to(folder)) for each in folder.glob("*/*/*")]
