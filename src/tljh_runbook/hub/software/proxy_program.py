"""The proxy binary, which is not a package: the one a snapshot recorded, if available."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.software.environment_copy import EnvironmentCopy
from tljh_runbook.hub.software.installer import Say
from tljh_runbook.hub.system import services

PROGRAM = "bin/traefik"
# TLJH's own function: it downloads the version that this TLJH requires and verifies its checksum.
FETCH = "import sys; from tljh.traefik import ensure_traefik_binary as e; e(sys.argv[1])"


def same(environment: Path, recorded: dict[str, Any]) -> bool:
    """Return whether an environment has the recorded binary; True if none was recorded."""
    return not recorded or _is(environment / PROGRAM, recorded)


def bring(
    source: Source, recorded: dict[str, Any], say: Say, beside: EnvironmentCopy | None
) -> list[str]:
    """Copy the recorded binary into the environment, or download the one its TLJH requires.

    Returns what still differs, one line each. Raises `InstallerFailed` if there is no binary.
    """
    environment = (beside.copy if beside else source.hub).environment
    program = environment / PROGRAM
    if same(environment, recorded):
        return []
    for origin in _places(source):
        if _is(origin, recorded):
            _put(origin, program)
            return []
    _fetch(source.hub, program, say, beside)
    if _is(program, recorded):
        return []
    return [f"the proxy's program is another one; it was version {recorded['version']}"]


def _fetch(hub: Hub, program: Path, say: Say, beside: EnvironmentCopy | None) -> None:
    """Have TLJH download the binary; it deletes the old one first, so restore that on failure."""
    say("downloading the proxy")
    aside = program.with_name(f".{program.name}.aside")
    if program.exists():
        _put(program, aside)
    try:
        command = [str(hub.python), "-c", FETCH, str(hub.environment)]
        installer.carry_out(hub, command, say, beside)
    except InstallerFailed as error:
        if not aside.exists():
            raise InstallerFailed(
                f"The proxy's program could not be downloaded: {error.message}",
                hint=f"Put traefik, of the version that the snapshot names, at "
                f"{hub.environment / PROGRAM}, then restore again.",
            ) from error
        _put(aside, program)
    finally:
        aside.unlink(missing_ok=True)


def _places(source: Source) -> Iterator[Path]:
    """Yield possible paths of the binary: live, retained from an upgrade, deleted but running."""
    yield source.hub.environment / PROGRAM
    yield source.hub.previous / "hub" / PROGRAM
    yield source.hub.newer / "hub" / PROGRAM
    pid = source.services.pid(services.PROXY)
    if pid:
        yield Path(f"/proc/{pid}/exe")


def _is(program: Path, recorded: dict[str, Any]) -> bool:
    with suppress(OSError), program.open("rb") as file:  # /proc/PID/exe is a link
        return files.digest_of(file)[1] == str(recorded["sha256"])
    return False


def _put(origin: Path, program: Path) -> None:
    new = program.with_name(f".{program.name}.new")
    with origin.open("rb") as read, new.open("wb") as write:
        shutil.copyfileobj(read, write, files.CHUNK)
    new.chmod(0o755)
    new.replace(program)
