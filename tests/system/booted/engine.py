"""The Docker engine that the servers of these tests run in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
}
GROUPS = Path("/sys/fs/cgroup")
# The share of Docker's containers, where one process has 1024 (version 1) or a group 100.
SHARES = {"cpu/docker/cpu.shares": "16384", "docker/cpu.weight": "1600"}


@dataclass(frozen=True)
class Network:
    """A network of our own: another engine on this machine keeps its own."""

    bridge: str
    gateway: str


SYSTEM = Network("tljh-test0", "10.213.113.1")


def upstream(number: int) -> Network:
    """Return a network for the tests of the real TLJH; several can run beside one another."""
    return Network(f"tljh-test{number}", f"10.213.{113 + number}.1")


def docker(*arguments: str, stdin: bytes | None = None) -> str:
    """Run one docker command; return what it printed. Fails with what it complained of."""
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


def require() -> None:
    """Skip, and say why, where no server can be booted."""
    if os.geteuid():
        pytest.skip("only root can boot a server")
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            pytest.skip(f"there is no {program} here: apt-get install {package}")


@contextmanager
def running(folder: Path, network: Network = SYSTEM) -> Iterator[str]:
    """Start an engine with this network; yield its address."""
    address = f"unix://{folder}/docker.sock"
    command = ["dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    command += [f"--pidfile={folder}/pid", f"--host={address}", f"--bridge={network.bridge}"]
    _give_share()
    with _alone(network.bridge), _bridge(network), (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, address, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait(120)
            _unmount(folder)


def _give_share() -> None:
    """Give all containers together as much of the processor as sixteen processes get.

    A control group counts as one process beside those of the machine: while other tests run, a
    whole server would get less than one of them, and JupyterHub gives up a service that does not
    answer within ten seconds.
    """
    for name, share in SHARES.items():
        with suppress(OSError):  # it is a group of the other version
            (GROUPS / name).parent.mkdir(exist_ok=True)
            (GROUPS / name).write_text(share)


def _unmount(folder: Path) -> None:
    """Let go of what an engine that was ended in the middle has left mounted."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=False)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold a name in this network that the kernel lets go of however a run ends."""
    with socket.socket(socket.AF_UNIX) as held:
        try:
            held.bind(f"\0{name}")
        except OSError:
            # To skip here would pass for a machine that cannot boot servers.
            pytest.fail(f"Another run has {name}: wait until it has ended")
        yield


@contextmanager
def _bridge(network: Network) -> Iterator[None]:
    _ip("link", "delete", network.bridge)  # of a run that was killed: with the lock held, nobody's
    made = _ip("link", "add", "name", network.bridge, "type", "bridge")
    if made.returncode:
        pytest.skip(f"no network can be made here: {made.stderr.strip()}")
    try:
        _ip("addr", "add", f"{network.gateway}/24", "dev", network.bridge)
        _ip("link", "set", network.bridge, "up")
        yield
    finally:
        _ip("link", "delete", network.bridge)


def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    ask = ["docker", "--host", address, "version"]
    while subprocess.run(ask, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = log.read_text(errors="replace").strip().rpartition("\n")[2]
            pytest.skip(f"dockerd does not start: {said}")
        time.sleep(0.1)
