"""A Docker image as a file: save it, check it, load it again."""

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

SLOWEST = 4 << 20  # bytes per second: a transfer that is slower than this is stuck


def write(image: Image, path: Path) -> None:
    """Write a complete image to a new file, and flush that to disk.

    Raises `DockerFailed`, and OSError if the disk is full or the file exists.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        save(image, file)
        os.fsync(file.fileno())
    require_whole(path)


def save(image: Image, file: IO[bytes]) -> None:
    """Write an image to an open file, without its tags: they may be moved in the meantime.

    Raises `DockerFailed` if the image is gone, and OSError if the disk of ``file`` is full.
    """
    wait = docker.WAIT + image.size / SLOWEST
    done = docker.run(["image", "save", "--", image.id], wait=wait, stdout=file)
    # Docker's own disk may be full as well; an error about that one is reported unchanged.
    if "no space left on device" in done.stderr and "daemon" not in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    docker.checked(done)


def require_whole(file: Path) -> None:
    """Raise `DockerFailed` if a saved image lacks a layer.

    If Docker fails halfway, it may end the stream as if nothing had happened.
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
    """Load a saved image of ``size`` bytes. Raises `DockerFailed`, also if it gets another ID."""
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
