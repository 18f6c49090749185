"""Queries to git repositories, and to the package index that pip is configured for.

Every query has a timeout and is optional: one that fails raises `Unknown` with the reason. git and
pip use the same configuration on this server as TLJH's installer (mirrors, credentials, proxies),
but never prompt.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import canonical
from tljh_runbook.hub.versions import interpreter

SECONDS = 20  # the timeout of one query
OLDER, NEWER, APART = "older", "newer", "apart"
GIT = ["git", "-c", "gc.auto=0", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]
# No prompts, neither in the terminal nor from a desktop's askpass program.
SILENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GCM_INTERACTIVE": "never",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
    "LC_ALL": "C",
}
# Variables that point git to the caller's own repository.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


class Unknown(Exception):
    """A query has no answer now; the message says why."""


def commit(address: str, ref: str) -> str:
    """Return the commit of a repository's branch or tag. Raises `Unknown`."""
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"]
    found = _references(address, names)
    for name in (names[0], names[2], names[1]):  # an annotated tag is not the commit itself
        if name in found:
            return found[name]
    raise Unknown(f"{address} has no branch and no tag {ref}")


def newest_release(address: str) -> tuple[str, str]:
    """Return the version and the commit of a repository's newest release tag.

    Raises `Unknown`.
    """
    tags = _references(address, ["refs/tags/*"])
    releases = {}
    for name in tags:
        text = name.removeprefix("refs/tags/").removesuffix("^{}")
        version = _version(text)
        if version and not version.is_prerelease:
            releases[version] = text
    if not releases:
        raise Unknown(f"{address} has no tag that is a release")
    newest = max(releases)
    name = f"refs/tags/{releases[newest]}"
    return str(newest), tags.get(f"{name}^{{}}") or tags[name]


def order(address: str, one: str, other: str) -> str:
    """Return how the commit ``one`` relates to ``other``: `OLDER`, `NEWER` or `APART`.

    Raises `Unknown` if the repository is unreachable, or does not contain one of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        _fetch(folder, address, ["--filter=tree:0"], [one, other])
        for first, second, answer in ((one, other, OLDER), (other, one, NEWER)):
            with suppress(Unknown):  # git exits with 1 if it is not an ancestor
                _git(folder, "merge-base", "--is-ancestor", first, second)
                return answer
    return APART


def file(address: str, ref: str, path: str) -> str:
    """Return the text of a file at a commit, branch or tag. Raises `Unknown`."""
    with tempfile.TemporaryDirectory() as folder:
        _fetch(folder, address, ["--depth=1", "--filter=blob:none"], [ref])
        return _git(folder, "show", f"FETCH_HEAD:{path}")


def newest(hub: Hub, requirements: Sequence[str]) -> dict[str, str]:
    """Return the newest fitting version of each package that is not at it yet.

    ``requirements`` are pip requirements, such as ``jupyterhub>=5.2,<6``. The query uses pip of the
    hub's environment, which knows this server's index and the hub's Python. It installs nothing,
    and runs no package code, because it only considers wheels. Raises `Unknown`.
    """
    if why := interpreter.gone(hub) or ("" if hub.python.exists() else "the hub has no Python"):
        raise Unknown(why)
    words = ["install", "--dry-run", "--upgrade", "--no-deps", "--only-binary", ":all:"]
    words += ["--report", "-", "--", *requirements]
    first = re.split("[<>=!~ ]", requirements[0], maxsplit=1)[0]
    with ThreadPoolExecutor() as pool:
        # Without the index, pip accepts what is installed: check separately that it can be reached.
        reached = pool.submit(_pip, hub, ["index", "versions", first])
        said = _pip(hub, words)
        reached.result()
    try:
        about = [each["metadata"] for each in json.loads(said)["install"]]
        return {canonical(each["name"]): each["version"] for each in about}
    except (ValueError, KeyError, TypeError) as error:
        raise Unknown("the hub's pip is too old to say what it would install") from error


def _pip(hub: Hub, words: Sequence[str]) -> str:
    how = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries=0", "--timeout=5"]
    command = [str(hub.python), "-m", "pip", words[0], *how, *words[1:]]
    return _run(command, interpreter.environment(hub), hub.prefix)


def _references(address: str, names: Sequence[str]) -> dict[str, str]:
    """Return the commits or tag objects of a repository's refs, by full name."""
    said = _git("/", "ls-remote", "--", address, *names)
    pairs = (line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    return {name: sha for sha, name in pairs}


def _fetch(folder: str, address: str, how: list[str], what: list[str]) -> None:
    """Fetch commits into a new bare repository in ``folder``."""
    _git(folder, "init", "--quiet", "--bare", "--template=")
    _git(folder, "remote", "add", "--", "origin", address)
    _git(folder, "fetch", "--quiet", "--no-tags", *how, "origin", *what)


def _git(folder: str, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return _run([*GIT, "-C", folder, *words], kept | SILENT, Path(folder))


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """Return the output of a command. Raises `Unknown` with its error message."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # no terminal for prompts; its children are killed with it
        )
    except OSError as error:
        raise Unknown(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        said, complaint = process.communicate(timeout=SECONDS)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the PID is still its own
        process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise Unknown(f"no answer within {SECONDS} s") from error
    if process.returncode:
        raise Unknown(_reason(complaint) or f"{command[0]} ended with {process.returncode}")
    return said


def _reason(complaint: str) -> str:
    """Return the first error line, otherwise the last line."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    wrong = [line for line in lines if line.lower().startswith(("fatal: ", "error: "))]
    return wrong[0].partition(": ")[2] if wrong else " ".join(lines[-1:])


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
