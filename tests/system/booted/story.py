"""What the tests of the booted servers share: who is there, and what must stay secret."""

from __future__ import annotations

import hashlib
import io
import secrets
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from controller import Controller
from machines import Server, give
from visitor import Visitor

from tljh_runbook.sandbox import layout, repositories
from tljh_runbook.sandbox.layout import FAKES

OWN_FAKES = Path(__file__).parents[1] / "fakes"
GROUP = "students"
USERS = ("alice", "bob")
ENVIRONMENT = "course:4f1c2ab"
ABSENT = "statistics:9d03e7f"
# What of a server an image of its users' environment is made of.
PARTS = "bin sbin lib lib64 usr etc/passwd etc/group etc/ssl opt/tljh/user"
LEFT_OUT = ("usr/share/*", "usr/libexec", "usr/lib/gcc", "usr/bin/docker*", "usr/sbin/dockerd")


@dataclass
class Story:
    """An administrator, two servers, and a machine elsewhere that has what they download."""

    controller: Controller
    one: Server
    two: Server
    web: Web
    commits: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.one, self.two

    def secret(self, name: str) -> str:
        """Return a secret of this name, made when it is first asked for."""
        return self.secrets.setdefault(name, secrets.token_urlsafe(18))

    def want(self, tljh: str, plasma: str) -> None:
        """Write the inventory: which versions the servers are to have, and their users."""
        users = [{"name": name, "password": self.secret(name), "groups": [GROUP]} for name in USERS]
        self.controller.inventory(
            self.servers,
            {
                "tljh_installer_url": f"{self.web.address}/bootstrap.py",
                "tljh_installer_checksum": f"sha256:{self.web.checksum('bootstrap.py')}",
                "tljh_version": tljh,
                "tljh_plugins": [
                    f"tljh-plasma @ git+file:///srv/git/plasma@{self.commits[plasma]}",
                    "tljh-repo2docker==3.0.15",
                ],
                "tljh_hub_packages": [],  # the fake pins what the real one lacks
                "tljh_admins": ["alice"],
                "tljh_groups": [GROUP],
                "tljh_users": users,
                **self.more,
            },
        )

    more: dict[str, Any] = field(default_factory=dict)
    """Variables that a test adds to the inventory."""

    def visitor(self, server: Server, name: str) -> Visitor:
        """Return a user of a server's hub, logged in."""
        found = Visitor(f"http://{server.address}", name, self.secret(name))
        found.log_in()
        return found


@dataclass
class Working:
    """Users at work on a server: their containers, and their open websockets."""

    server: Server
    visitors: dict[str, Visitor]
    sockets: dict[str, Any]
    containers: dict[str, dict[str, Any]]


class Web:
    """The machine elsewhere: the installer to download, and an address that takes pings."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.asked: list[str] = []
        handler = partial(_Handler, asked=self.asked, directory=str(folder))
        self.server = ThreadingHTTPServer((host, 0), handler)
        self.address = f"http://{host}:{self.server.server_port}"

    def checksum(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    @contextmanager
    def listening(self) -> Iterator[None]:
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, asked: list[str], **options: Any) -> None:
        self.asked = asked
        super().__init__(*arguments, **options)

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name upstream
        """Say nothing: what was asked is in the list."""


def publish(folder: Path, servers: tuple[Server, ...]) -> dict[str, str]:
    """Put the fakes where TLJH and the plugin are had from; return the plugin's commits."""
    commits = repositories.build(layout.layout(folder), OWN_FAKES)
    shutil.copyfile(FAKES / "bootstrap.py", folder / "bootstrap.py")
    hand_over(folder, servers)
    return commits


def hand_over(folder: Path, servers: tuple[Server, ...]) -> None:
    """Give the servers the repositories as they are now."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.add(layout.layout(folder).repositories, "srv/git")
    for server in servers:
        give(server, written.getvalue())


def build_environments(server: Server) -> None:
    """Make the Docker images of two environments, labelled as tljh-repo2docker does.

    One is made of the server's own environment for users, so that a user's server can run in it;
    the other is only there.
    """
    left_out = " ".join(f"--exclude={each}" for each in LEFT_OUT)
    whole = f"tar --create --one-file-system --directory / {left_out} {PARTS}"
    for name, files in ((ENVIRONMENT, whole), (ABSENT, "tar --create --directory / etc/hostname")):
        labels = " ".join(f"--change 'LABEL {label}'" for label in _labels(name))
        server.run("sh", "-c", f"{files} | docker import {labels} - {name}")
    server.run("/opt/tljh/hub/bin/python", "-c", _ALLOW, GROUP, ENVIRONMENT)


_ALLOW = """
import sqlite3, sys
with sqlite3.connect("/opt/tljh/state/tljh_plasma.sqlite") as database:
    database.execute('INSERT INTO permissions ("group", image) VALUES (?, ?)', sys.argv[1:])
"""


def _labels(image: str) -> list[str]:
    name, _, ref = image.partition(":")
    own = {
        "display_name": name,
        "image_name": image,
        "creation_date": "01/02/2026",
        "owner": "alice",
        "mem_limit": "1G",
        "cpu_limit": "1",
    }
    labels = [f"tljh_repo2docker.{key}={value}" for key, value in own.items()]
    return [*labels, f"repo2docker.repo=https://git.example.org/{name}", f"repo2docker.ref={ref}"]
