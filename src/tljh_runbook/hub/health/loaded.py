"""The hub's configuration as its own Python loads it, whichever file or plugin sets a value.

It is loaded in an isolated mount namespace: anything it writes below the hub's prefix is discarded,
and the home directories are read-only. The hub is not started: it would manage the users' servers.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies
from tljh_runbook.hub.core.layout import OWN, Hub
from tljh_runbook.hub.system import cause, child, namespace, services
from tljh_runbook.hub.system.namespace import View
from tljh_runbook.hub.versions import interpreter, versions

CONFIG = "tljh/jupyterhub_config.py"
# The first steps of a starting hub: read its settings, let the plugins change them, and import the
# classes that they name.
LOAD = """\
import json
import sys
from jupyterhub.app import JupyterHub
app = JupyterHub()
app.load_config_file(sys.argv[1])
names = ("authenticator_class", "spawner_class", "proxy_class")
found = {name: getattr(app, name).__name__ for name in names}
found["base_url"] = getattr(app, "base_url", "")
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Loaded:
    """The settings in the configuration, or the reason why it does not load."""

    base_url: str = ""
    wrong: str = ""
    """The cause, with file and line if an administrator's own file raises the error."""
    unknown: str = ""
    """The reason why it was not loaded at all."""
    output: str = ""


def present(source: Source) -> Loaded:
    """Load the live configuration with the installed version, without changing the hub."""
    if why := interpreter.gone(source.hub):
        return Loaded(unknown=why)
    file = config_file(source.hub, source.hub)
    if not file or not source.hub.python.exists():
        return Loaded(unknown=f"{source.hub.environment} has no {CONFIG}")
    try:
        with live(source) as (_, view):
            return load(source, view, file)
    except OSError as error:
        return Loaded(unknown=str(error))


def load(source: Source, view: View, file: str, more: dict[str, str] | None = None) -> Loaded:
    """Load the configuration ``file`` in a namespace; ``more`` is added to the environment."""
    environment, directory = surroundings(source)
    command = view.command([str(source.hub.python), "-c", LOAD, file], directory)
    ended = child.run(command, environment | (more or {}), source.hub.work)
    if ended.late:
        return Loaded(wrong=f"it did not load within {child.DEADLINE} s", output=ended.output)
    if ended.code != 0:
        return Loaded(wrong=cause.of(ended.output), output=ended.output)
    return Loaded(_base(ended.output), output=ended.output)


@contextmanager
def live(source: Source) -> Iterator[tuple[Path, View]]:
    """Yield a private folder, and a mount namespace that redirects writes to the live hub into it.

    Raises `OSError` if such a namespace is not possible on this server.
    """
    for name in OWN:
        if os.path.ismount(source.hub.prefix / name):  # an overlay on the prefix would hide it
            raise OSError(f"{source.hub.prefix / name} is a disk of its own")
    parent = namespace.place([source.hub.work, *namespace.memory()])
    if isinstance(parent, str):
        raise OSError(parent)
    with folder(parent) as own:
        homes = Path(source.settings.homes)
        folders = {source.hub.prefix, *map(Path.resolve, (source.hub.state, source.hub.config))}
        apart = [each for each in sorted(folders) if not folders & set(each.parents)]
        yield (
            own,
            View(
                overlays=tuple((own / f"overlay-{n}", each) for n, each in enumerate(apart)),
                read_only=(homes,) if homes.is_dir() else (),
            ),
        )


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Create a folder that only we may read; remove it and its content afterwards."""
    own = Path(tempfile.mkdtemp(dir=parent, prefix="view-"))
    try:
        yield own
    finally:
        copies.remove(own)


def config_file(installed: Hub, seen: Hub) -> str:
    """Return the path that TLJH's configuration file in ``installed`` has in ``seen``, or ''."""
    for folder in versions.site_packages(installed):
        if (folder / CONFIG).exists():
            return str(seen.environment / (folder / CONFIG).relative_to(installed.environment))
    return ""


def surroundings(source: Source) -> tuple[dict[str, str], Path]:
    """Return the environment and the working directory that the hub runs with."""
    declared = source.services.declared(services.HUB)
    path = declared.environment.get("PATH") or os.defpath
    # JupyterHub looks for its own programs in the environment's bin folder.
    own = {"PATH": f"{source.hub.environment / 'bin'}{os.pathsep}{path}"}
    environment = interpreter.environment(source.hub) | declared.environment | own
    return environment, declared.directory or source.hub.state


def _base(output: str) -> str:
    for line in reversed(output.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(line)["base_url"] or "")
    return ""
