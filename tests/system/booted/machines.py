"""Servers that are booted: Debian with systemd, sshd and sudo, each in a container of Docker's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uv
from engine import docker

from tljh_runbook.hub.system import http_client

IMAGE = "tljh-runbook-test-server"
RELEASE = "bookworm"
DAY = 86400  # seconds
ADMIN = "ada"
SERVICES = ("tljh_plasma", "tljh_repo2docker")
# What a provider's server has; all else is for the playbooks to bring.
PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,sudo,python3,ca-certificates,iproute2,procps,iptables"
)
# systemd needs them; --privileged asks for more than some machines have.
BOOT = (
    *("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined"),
    *("--security-opt=apparmor=unconfined", "--security-opt=systempaths=unconfined"),
    *("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
    *("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec,mode=1777"),
    # An engine inside cannot keep its layers on an overlay.
    *("--volume=/var/lib/docker", "--volume=/var/lib/containerd"),
)
# How this machine reaches packages; it is never written down anywhere else.
INDEXES = ("etc/apt", "etc/pip.conf", "usr/local/share/ca-certificates")
PIP = ("index-url", "extra-index-url", "trusted-host")
PREPARE = """
set -e
[ ! -e /etc/apt/sources.list.d/debian.sources ] || rm -f /etc/apt/sources.list
update-ca-certificates >/dev/null 2>&1
useradd --create-home --shell /bin/bash ada
install --directory --mode 700 --owner ada --group ada /home/ada/.ssh
install --mode 600 --owner ada --group ada /dev/stdin /home/ada/.ssh/authorized_keys
echo 'ada ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ada
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/test-server  # it is quicker
"""
Condition = Callable[[], Any]


def until(condition: Condition, what: str, seconds: float = 120) -> Any:
    """Wait for a condition; return what it gave. Fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
    return found


@dataclass(frozen=True)
class Server:
    """One booted server."""

    name: str
    address: str

    def run(self, *command: str, stdin: bytes | None = None) -> str:
        """Run a command there as root; return what it printed. Fails when it fails."""
        done = self.tried(*command, stdin=stdin)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def tried(self, *command: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, whatever becomes of it."""
        line = ["docker", "exec", "--interactive", self.name, *command]
        text = (stdin or b"").decode()
        return subprocess.run(
            line, input=text, capture_output=True, text=True, errors="replace", check=False
        )

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def tool(self, *arguments: str) -> Any:
        """Run ``tljh-runbook`` there; return its answer as data."""
        return json.loads(self.run("tljh-runbook", *arguments, "--json"))

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return id, pid and start of each running container there, by name."""
        ids = self.run("docker", "ps", "--quiet", "--no-trunc").split()
        found = json.loads(self.run("docker", "inspect", *ids)) if ids else []
        return {
            each["Name"].lstrip("/"): {
                "id": each["Id"],
                "pid": each["State"]["Pid"],
                "started": each["State"]["StartedAt"],
            }
            for each in found
        }

    def images(self) -> dict[str, str]:
        """Return the id of each image there, by tag."""
        lines = self.run(
            "docker", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"
        )
        return dict(line.split() for line in lines.splitlines())

    def units(self) -> dict[str, str]:
        """Return the pid of the hub and of its proxy."""
        show = ("systemctl", "show", "--property=MainPID", "--value")
        return {name: self.run(*show, name) for name in ("jupyterhub", "traefik")}

    def reboot(self) -> None:
        """Switch the server off and on."""
        docker("restart", "--time", "60", self.name)
        self.wait()

    def serves(self) -> bool:
        """Say whether the hub has started its services as well: until then it may give up."""
        pages = (f"http://{self.address}/services/{name}/" for name in SERVICES)
        return all(http_client.get(page).there for page in pages)

    def cut_off(self) -> None:
        """Take its power away in this moment, and switch it on again."""
        docker("kill", self.name)
        docker("start", self.name)
        self.wait()

    def seen(self, path: str) -> str:
        """Return what a file says in this moment, quicker than a command there; nothing if none."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", self.name)
        try:
            return Path(f"/proc/{pid}/root{path}").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def wait(self) -> None:
        """Wait until it has booted."""
        until(lambda: self._state() in {"running", "degraded"}, f"{self.name} boots")

    def _state(self) -> str:
        return self.tried("systemctl", "is-system-running").stdout.strip()


def image(cache: Path, release: str = RELEASE, name: str = IMAGE) -> None:
    """Make the servers' image of Debian's packages; skip where these cannot be downloaded.

    They are unpacked once a day, and stored in the folder ``cache``.
    """
    key = f"{release} {PACKAGES}"
    archive = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:12]}.tar"
    if not archive.exists() or time.time() - archive.stat().st_mtime > DAY:
        made = archive.with_suffix(".new.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
        command += [release, str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Debian's packages are not to be had: {done.stderr.strip()[-300:]}")
        made.rename(archive)
    docker("import", str(archive), name)


def start(name: str, made_of: str) -> Server:
    """Boot a server of an image, as it is."""
    docker("run", "--detach", "--name", name, "--hostname", name, *BOOT, made_of, "/sbin/init")
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
    server = Server(name, address)
    server.wait()
    return server


def boot(name: str, key: str, made_of: str = IMAGE) -> Server:
    """Boot a server that lets ``key`` (a public one) in as the user ada, who may sudo."""
    server = start(name, made_of)
    _copy(server, INDEXES)
    _settle_pip(server)
    server.run("sh", "-c", PREPARE, stdin=key.encode())
    return server


def _copy(server: Server, paths: tuple[str, ...]) -> None:
    with tempfile.TemporaryFile() as made:
        with tarfile.open(fileobj=made, mode="w") as archive:
            for path in paths:
                if Path("/", path).exists():
                    archive.add(f"/{path}", path)
        made.seek(0)
        give(server, made.read())


def _settle_pip(server: Server) -> None:
    """Write what pip is told by this machine's environment into the server's own settings."""
    told = {name: os.environ.get(f"PIP_{name.upper().replace('-', '_')}") for name in PIP}
    lines = [f"{name} = {value}" for name, value in told.items() if value]
    if lines:
        text = "\n".join(["[global]", *lines, ""]).encode()
        server.run("sh", "-c", "mkdir -p /etc/xdg/pip; cat > /etc/xdg/pip/pip.conf", stdin=text)


def bring_uv(server: Server) -> None:
    """Let the fake's installer find uv, which takes a tenth of the time that pip does."""
    server.run("mkdir", "-p", "/etc/uv")
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    lines = ["native-tls = true", f'[[index]]\nurl = "{index}"\ndefault = true' if index else ""]
    server.run("sh", "-c", "cat > /etc/uv/uv.toml", stdin="\n".join([*lines, ""]).encode())
    docker("cp", uv.find_uv_bin(), f"{server.name}:/usr/local/bin/uv")


def give(server: Server, archive: bytes) -> None:
    """Unpack a tar archive at the server's root, as root's own files."""
    command = ["docker", "exec", "--interactive", server.name]
    unpack = ["tar", "--extract", "--no-same-owner", "--directory", "/"]
    subprocess.run([*command, *unpack], input=archive, check=True)
