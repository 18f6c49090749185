"""Install packages into an environment."""

import logging
import subprocess
from pathlib import Path

from tljh.config import HUB_ENV_PREFIX

logger = logging.getLogger("tljh")

REQUIREMENTS = Path(__file__).with_name("requirements-hub-env.txt")
UV = HUB_ENV_PREFIX / "bin" / "uv"


def install(prefix, *arguments):
    """Install into the environment at prefix: with uv, which is quick, where the hub has it.

    What matters is pinned, so uv need not look for upgrades of everything else. Compiling is what
    pip does too; without it a service may start so slowly that the hub gives up on it.
    """
    if UV.exists():
        python = prefix / "bin" / "python3"
        run([UV, "pip", "install", "--compile-bytecode", "--python", python, *arguments])
    else:
        pip_install(prefix, *arguments)


def pip_install(prefix, *arguments):
    """Install with pip itself, where what pip does, and does not do, matters."""
    run([prefix / "bin" / "python3", "-m", "pip", "install", "--upgrade", *arguments])


def uninstall(prefix, name):
    run([prefix / "bin" / "python3", "-m", "pip", "uninstall", "--yes", name])


def jupyterhub_requirement():
    """Return the line of the hub's requirements that names JupyterHub's version."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("jupyterhub=="))


def run(command):
    """Run a command; show what it said only when it fails, before a traceback that does not."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        words = [str(word) for word in command]
        logger.error("Ran %s with exit code %d", " ".join(words), done.returncode)
        logger.error("%s", done.stdout)
        raise subprocess.CalledProcessError(done.returncode, words)
    return done.stdout
