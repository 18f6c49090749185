"""One Docker image in a file: saved, checked, loaded again."""

from __future__ import annotations

import errno
import json
import os
import tarfile
from pathlib import Path
from typing import IO

from tljh_runbook.errors import DockerFailed
from tljh_runbook.hub.system import docker
from tljh_runbook.hub.system.docker import Image

SLOWEST = 4 << 20  # bytes a second: images move faster than this, or do not move at all


def write(image: Image, path: Path) -> None:
    """Write an image to a file that must not exist yet, whole and on the disk.

    Raises `DockerFailed`, and OSError when the disk is full.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        save(image, file)
        os.fsync(file.fileno())
    require_whole(path)


def save(image: Image, file: IO[bytes]) -> None:
    """Write an image to an open file, without a tag: those that it has may move meanwhile.

    Raises `DockerFailed` when it is gone, and OSError when the disk of ``file`` is full.
    """
    wait = docker.WAIT + image.size / SLOWEST
    done = docker.run(["image", "save", "--", image.id], wait=wait, stdout=file)
    # The engine has a disk of its own; what it says of that one is told as it is.
    if "no space left on device" in done.stderr and "daemon" not in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    docker.checked(done)


def require_whole(file: Path) -> None:
    """Raise `DockerFailed` when a saved image lacks a layer.

    An engine that fails half way may end the stream as if all were well.
    """
    try:
        with tarfile.open(file, "r:") as saved:
            names = set(saved.getnames())
            described = saved.extractfile("manifest.json")
            parts = json.load(described) if described else []
        needed = {name for part in parts for name in (part["Config"], *part["Layers"])}
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise _incomplete(f"it cannot be read ({error})") from error
    if not needed or needed - names:
        raise _incomplete(f"{len(needed - names)} of its parts are missing")


def load(image: str, file: IO[bytes], size: int) -> None:
    """Load a saved image, ``size`` bytes of it. Raises `DockerFailed` when it is not that one."""
    docker.checked(
        docker.run(["image", "load", "--quiet"], wait=docker.WAIT + size / SLOWEST, stdin=file)
    )
    if not docker.find([image]):
        raise DockerFailed(
            f"An image was loaded, but Docker gave it another id than {image}.",
            hint=(
                "Docker stores its images in another way than before. List them: docker image ls",
                "Give the new image its name: docker tag ID NAME",
            ),
        )


def _incomplete(why: str) -> DockerFailed:
    return DockerFailed(
        f"Docker saved an image that is not whole: {why}.",
        hint="Try again. If it stays, see: sudo journalctl -u docker -n 50",
    )
