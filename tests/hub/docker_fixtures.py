"""A real Docker engine of its own, with its files in a folder that is thrown away."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCKER = shutil.which("docker") or "docker"  # a test may take away the way to it
BUSYBOX = Path("/bin/busybox")
OPTIONS = ("--iptables=false", "--bridge=none", "--containerd-namespace=tljh-runbook-tests")
DRIVERS: tuple[tuple[str, ...], ...] = ((), ("--storage-driver=vfs",))  # some disks take no other
Labels = Mapping[str, str]


@dataclass
class Engine:
    """A Docker engine that the tests have for themselves."""

    process: subprocess.Popen[bytes]
    root: Path

    @property
    def host(self) -> str:
        return f"unix://{self.root}/docker.sock"

    def ask(self, *arguments: str) -> str:
        command = [DOCKER, "--host", self.host, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make(self, images: Mapping[str, Labels], files: Mapping[str, bytes] | None = None) -> None:
        """Make images of these tags and labels, all of the same files."""
        command = [DOCKER, "--host", self.host, "load"]
        archive = _archive(images, _tar(files or {"file": b"text"}))
        subprocess.run(command, input=archive, stdout=subprocess.DEVNULL, check=True)

    def id(self, tag: str) -> str:
        return self.ask("image", "inspect", "--format", "{{.Id}}", tag)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the engine hang: it takes a question and never answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Remove all containers and images."""
        for kind, options in (("container", ("--all",)), ("image", ())):
            found = set(self.ask(kind, "ls", "--quiet", "--no-trunc", *options).split())
            if found:
                self.ask(kind, "rm", "--force", *found)


def environment(name: str, **more: str) -> dict[str, str]:
    """Return the labels that tljh-repo2docker gives to the environment of this name."""
    display, _, ref = name.partition(":")
    labels = {
        "display_name": display,
        "image_name": name,
        "creation_date": "01/02/2026",
        "owner": "alice",
        "mem_limit": "2G",
        "cpu_limit": "1",
        "node_selector": "{}",
    }
    own = {f"tljh_repo2docker.{key}": value for key, value in (labels | more).items()}
    repository = more.get("repo", f"https://git.example.org/{display}")
    return own | {"repo2docker.repo": repository, "repo2docker.ref": ref}


@pytest.fixture(scope="session")
def one_engine() -> Iterator[Engine]:
    """Start an engine; skip, and say why, where none can be had."""
    for command in ("docker", "dockerd"):
        if not shutil.which(command):
            pytest.skip(f"there is no {command} here: apt-get install docker.io")
    if os.geteuid():
        pytest.skip("only root can start a Docker engine")
    with tempfile.TemporaryDirectory(prefix="dock", ignore_cleanup_errors=True) as folder:
        engine = _started(Path(folder))
        try:
            yield engine
        finally:
            _end(engine)


@pytest.fixture
def engine(one_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine without images, which the docker command finds by itself."""
    one_engine.forget()
    monkeypatch.setenv("DOCKER_HOST", one_engine.host)
    yield one_engine
    one_engine.forget()


@pytest.fixture
def busybox() -> dict[str, bytes]:
    """The files of an image that can be run."""
    if not BUSYBOX.exists():
        pytest.skip("there is no static busybox here: apt-get install busybox-static")
    return {"bin/busybox": BUSYBOX.read_bytes()}


def _started(root: Path) -> Engine:
    said = ""
    for driver in DRIVERS:
        engine = _start(root, driver)
        deadline = time.monotonic() + 60
        while engine.process.poll() is None and time.monotonic() < deadline:
            if _answers(engine):
                return engine
            time.sleep(0.05)
        _end(engine)
        said = (root / "log").read_text(errors="replace").strip().rpartition("\n")[2]
    pytest.skip(f"dockerd does not start: {said}")


def _start(root: Path, driver: tuple[str, ...]) -> Engine:
    folders = [f"--data-root={root}/data", f"--exec-root={root}/exec", f"--pidfile={root}/pid"]
    command = ["dockerd", *folders, f"--host=unix://{root}/docker.sock", *OPTIONS, *driver]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    return Engine(process, root)


def _answers(engine: Engine) -> bool:
    command = [DOCKER, "--host", engine.host, "version"]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _end(engine: Engine) -> None:
    engine.process.terminate()
    try:
        engine.process.wait(60)
    except subprocess.TimeoutExpired:
        engine.process.kill()
        engine.process.wait()
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if place.startswith(f"{engine.root}/"):
            subprocess.run(["umount", "--lazy", place], check=False)


def _archive(images: Mapping[str, Labels], layer: bytes) -> bytes:
    """Return what ``docker save`` would have written of such images."""
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    described, files = [], {"layer.tar": layer}
    for number, (tag, labels) in enumerate(images.items()):
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-02-01T00:00:00Z",
            "config": {"Labels": dict(labels), "Cmd": ["/bin/busybox", "sleep", "1000"]},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
        files[f"{number}.json"] = json.dumps(config).encode()
        described.append({"Config": f"{number}.json", "RepoTags": [tag], "Layers": ["layer.tar"]})
    return _tar(files | {"manifest.json": json.dumps(described).encode()})


def _tar(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return written.getvalue()
