"""The Docker engine, queried with the ``docker`` command, which knows the engine's address."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias, TypeVar

from tljh_runbook.errors import DockerFailed, DockerUnreachable, RunbookError, ToolMissing

WAIT = 60.0  # seconds; the default timeout
AT_ONCE = 200  # names per command line
AWAY: tuple[type[RunbookError], ...] = (ToolMissing, DockerUnreachable)
"""The errors raised if Docker is not installed or does not answer."""
Done: TypeAlias = "subprocess.CompletedProcess[str]"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Image:
    """A Docker image; ``size`` in bytes, ``created`` in Docker's format."""

    id: str
    tags: tuple[str, ...]
    size: int
    created: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Container:
    """A running container; ``started`` in Docker's format, ``image`` is the image's id."""

    id: str
    pid: int
    started: str
    image: str


def require() -> None:
    """Check that the Docker engine answers.

    Raises `ToolMissing` if there is no docker command, `DockerUnreachable` if no engine answers
    this user.
    """
    done = run(["version", "--format", "{{.Server.Version}}"])
    if done.returncode:
        raise DockerUnreachable(
            f"The Docker engine does not answer: {_said(done)}",
            hint="Is it running, and may this user ask it? See: sudo docker info",
        )


def images(label: str) -> list[Image]:
    """Return the tagged images that have this label. Raises what `checked` raises."""
    filters = ["--filter", f"label={label}", "--filter", "dangling=false"]
    done = checked(run(["image", "ls", "--no-trunc", "--quiet", *filters]))
    return find(dict.fromkeys(done.stdout.split()))  # an image is listed once per tag


def find(names: Iterable[str]) -> list[Image]:
    """Return the existing images among these ids or tags."""
    return _understood(_image, _inspect("image", names))


def containers(names: Iterable[str]) -> dict[str, Container]:
    """Return the running containers among these names, by id."""
    running = (each for each in _inspect("container", names) if each["State"]["Running"])
    return {each.id: each for each in _understood(_container, running)}


def events(container: str, since: float) -> list[dict[str, Any]]:
    """Return a container's events since a time (in seconds since 1970), oldest first.

    Docker retains only about the last thousand of all its events. Raises what `checked` raises.
    """
    span = [f"--since={since:.3f}", f"--until={time.time():.3f}"]
    chosen = ["--filter=type=container", f"--filter=container={container}"]
    done = checked(run(["events", *span, *chosen, "--format={{json .}}"]))
    return _understood(dict, map(json.loads, done.stdout.splitlines()))


def builds() -> list[str]:
    """Return the environments that tljh-repo2docker is building, from its build containers.

    Raises what `checked` raises.
    """
    label = "repo2docker.build"
    told = f'{{{{json (.Label "{label}")}}}}'
    done = checked(run(["container", "ls", "--filter", f"label={label}", "--format", told]))
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def tag(image: str, name: str) -> None:
    """Tag an image; a name that is already in use moves to this image."""
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
        # Docker prints an error for what no longer exists, and still returns the others.
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
    """Return ``done`` if the command succeeded.

    Raises `DockerFailed`, and what `require` raises.
    """
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
    """Run a docker command with a timeout of ``wait`` seconds; 0 means `WAIT`."""
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
