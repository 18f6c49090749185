"""The Docker engine, asked through the ``docker`` command, which knows where the engine is."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias, TypeVar

from tljh_runbook.errors import DockerFailed, DockerUnreachable, RunbookError, ToolMissing

WAIT = 60.0  # seconds that the engine may take to answer
AT_ONCE = 200  # names in one command line
AWAY: tuple[type[RunbookError], ...] = (ToolMissing, DockerUnreachable)
"""What is raised where there is no Docker, or none that answers."""
Done: TypeAlias = "subprocess.CompletedProcess[str]"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Image:
    """One image; ``size`` in bytes, ``created`` as Docker writes it."""

    id: str
    tags: tuple[str, ...]
    size: int
    created: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Container:
    """One running container; ``started`` as Docker writes it, ``image`` its image's id."""

    id: str
    pid: int
    started: str
    image: str


def require() -> None:
    """Ask the engine for a sign of life.

    Raises `ToolMissing` without a docker command, `DockerUnreachable` without an engine that
    answers this user.
    """
    done = run(["version", "--format", "{{.Server.Version}}"])
    if done.returncode:
        raise DockerUnreachable(
            f"The Docker engine does not answer: {_said(done)}",
            hint="Is it running, and may this user ask it? See: sudo docker info",
        )


def images(label: str) -> list[Image]:
    """Return the images that have a tag and this label. Raises what `require` raises."""
    filters = ["--filter", f"label={label}", "--filter", "dangling=false"]
    done = checked(run(["image", "ls", "--no-trunc", "--quiet", *filters]))
    return find(dict.fromkeys(done.stdout.split()))  # an image is listed once for each tag


def find(names: Iterable[str]) -> list[Image]:
    """Return those of these images, by id or tag, that are there."""
    return _understood(_image, _inspect("image", names))


def containers(names: Iterable[str]) -> dict[str, Container]:
    """Return those of these containers that run, by their id."""
    running = (each for each in _inspect("container", names) if each["State"]["Running"])
    return {each.id: each for each in _understood(_container, running)}


def events(container: str, since: float) -> list[dict[str, Any]]:
    """Return what has happened to a container since then (seconds since 1970), the oldest first.

    Docker remembers the last thousand or so of all its events. Raises what `checked` raises.
    """
    span = [f"--since={since:.3f}", f"--until={time.time():.3f}"]
    chosen = ["--filter=type=container", f"--filter=container={container}"]
    done = checked(run(["events", *span, *chosen, "--format={{json .}}"]))
    return _understood(dict, map(json.loads, done.stdout.splitlines()))


def builds() -> list[str]:
    """Return the environments that tljh-repo2docker builds, by the containers that it does it in.

    Raises what `checked` raises.
    """
    label = "repo2docker.build"
    told = f'{{{{json (.Label "{label}")}}}}'
    done = checked(run(["container", "ls", "--filter", f"label={label}", "--format", told]))
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def tag(image: str, name: str) -> None:
    """Let a name mean this image, whatever it meant before."""
    checked(run(["image", "tag", "--", image, name]))


def _image(found: dict[str, Any]) -> Image:
    labels = (found.get("Config") or {}).get("Labels") or {}
    tags = tuple(sorted(found["RepoTags"] or ()))
    return Image(found["Id"], tags, int(found["Size"]), str(found["Created"]), labels)


def _container(found: dict[str, Any]) -> Container:
    state = found["State"]
    return Container(found["Id"], int(state["Pid"]), str(state["StartedAt"]), found["Image"])


def _inspect(kind: str, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    wanted = list(names)
    for start in range(0, len(wanted), AT_ONCE):
        done = run([kind, "inspect", "--", *wanted[start : start + AT_ONCE]])
        # What is gone by now is complained of; the others are answered for all the same.
        if any("no such" not in line.lower() for line in done.stderr.splitlines()):
            checked(done)
        yield from _understood(lambda answer: answer, _answers(done.stdout))


def _answers(text: str) -> Iterator[dict[str, Any]]:
    yield from json.loads(text or "[]")


def _understood(read: Callable[[dict[str, Any]], Found], answers: Iterable[Any]) -> list[Found]:
    try:
        return [read(each) for each in answers]
    except (KeyError, TypeError, ValueError) as error:
        raise DockerFailed(
            f"The docker command answers in a way that is not understood: {error!r}.",
            hint="Is it Docker's own? See: docker version",
        ) from error


def checked(done: Done) -> Done:
    """Return what a command did when it did it. Raises `DockerFailed`, and what `require` does."""
    if done.returncode:
        require()
        raise DockerFailed(
            f"Docker did not do what it was asked: {_said(done)}",
            hint="Try again. If it stays, see: sudo journalctl -u docker -n 50",
        )
    return done


def _said(done: Done) -> str:
    return " ".join(done.stderr.split())[:500] or f"it ended with {done.returncode}"


def run(
    arguments: list[str],
    *,
    wait: float = 0,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
) -> Done:
    """Run one docker command, for at most ``wait`` seconds, `WAIT` where none are named."""
    try:
        return subprocess.run(
            ["docker", *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=wait or WAIT,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolMissing(
            "There is no docker command on this machine.",
            hint="If the hub uses Docker, install it: see the page 'Deploying with Ansible'.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DockerUnreachable(
            f"The Docker engine did not answer within {error.timeout:.0f} s.",
            hint="See what it is doing: sudo systemctl status docker",
        ) from error
