"""The Python of the hub's environment, which an upgrade of the operating system may remove.

The environment only links to the system's Python, and its packages are in a folder that is named
after the Python version. Another version does not find them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tljh_runbook.errors import ToolMissing
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions import versions

# TLJH's bootstrap.py refuses a server without a program `systemd` on the PATH. Debian 12 has a link
# to it in /usr/bin; Debian 13 has it only here.
SYSTEMD = Path("usr/lib/systemd")
# Run with -S, which disables site-packages, so that nothing in the environment is imported.
TELL = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def gone(hub: Hub) -> str:
    """Return why nothing can run in the hub's environment any more, or ''."""
    python = hub.python
    if not python.exists():
        real = os.path.realpath(python)
        return f"{python} leads to {real}, which is not there" if python.is_symlink() else ""
    number = version(str(python))
    if not number:
        return f"{python} does not start"
    folders = {path.parents[1].name for path in _installed(hub)}
    if folders and f"python{minor(number)}" not in folders:
        return f"it was made with Python {versions.python(hub)}, and {python} is {number} now"
    return ""


def version(python: str) -> str:
    """Return the version of a Python, '' if it does not start."""
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", TELL],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def minor(number: str) -> str:
    """Return the part of a version that names the package folder: 3.12 for 3.12.3."""
    return ".".join(number.split(".")[:2])


def there(hub: Hub) -> str:
    """Return an existing Python: the one that the environment links to, otherwise the system's."""
    own = hub.python.resolve()
    return str(own) if own.exists() and hub.environment not in own.parents else "python3"


def environment(hub: Hub) -> dict[str, str]:
    """Return environment variables for the hub's Python, without those for our own."""
    foreign = ("PYTHON", "VIRTUAL_ENV", "CONDA", "PIP_REQUIRE_VIRTUALENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    path = os.pathsep.join([kept.get("PATH", os.defpath), str(hub.root / SYSTEMD)])
    return kept | {"PATH": path, "TLJH_INSTALL_PREFIX": str(hub.prefix)}


def require(hub: Hub) -> str:
    """Return a Python that can recreate the hub's environment. Raises `ToolMissing`."""
    python = there(hub)
    number = version(python)
    try:
        done = subprocess.run(
            [python, "-I", "-c", "import ensurepip, venv"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        done = None
    if done is None or done.returncode or not number:
        raise ToolMissing(
            f"{python} cannot make environments, so the hub's, whose Python is gone, cannot be "
            "made again. Nothing was changed.",
            hint="Install what it lacks: sudo apt-get install python3-venv",
        )
    return python


def _installed(hub: Hub) -> list[Path]:
    """Return where JupyterHub is installed, for any Python version."""
    return sorted((hub.environment / "lib").glob("python3.*/site-packages/jupyterhub"))
