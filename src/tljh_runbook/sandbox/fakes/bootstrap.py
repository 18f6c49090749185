"""A fake of TLJH's bootstrap.py: make the hub's environment, put TLJH in it, run its installer.

    python3 srv/tljh-installer.py --version 2.0.0 --plugin "tljh-plasma @ git+file:///…@<commit>"

Unknown options go on to the installer.  TLJH comes from the git repository beside this file.
TLJH_INSTALL_PREFIX names the prefix; without it, it is the opt/tljh beside the folder of this file.
Without --version, TLJH_BOOTSTRAP_PIP_SPEC names what pip installs TLJH from, as in TLJH.
Standard library only: nothing is installed yet when this runs.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE / "git" / "tljh"
PREFIX = Path(os.environ.get("TLJH_INSTALL_PREFIX") or HERE.parent / "opt" / "tljh")
HUB = PREFIX / "hub"
PYTHON = HUB / "bin" / "python3"

logger = logging.getLogger("tljh")


def main():
    require_systemd()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default="", help="a tag, a branch or a commit of TLJH")
    args, installer_args = parser.parse_known_args()
    log_to_file_and_terminal()
    if PYTHON.exists():
        logger.info("Existing TLJH installation detected, upgrading...")
    else:
        logger.info("Existing TLJH installation not detected, installing...")
        make_environment()
    logger.info("Installing TLJH...")
    spec = os.environ.get("TLJH_BOOTSTRAP_PIP_SPEC")
    if args.version or not spec:
        version = args.version or newest_tag()
        spec = f"the-littlest-jupyterhub @ git+file://{quote(str(REPOSITORY))}@{version}"
    pip_install(spec)
    logger.info("Running TLJH installer...")
    environment = {**os.environ, "TLJH_INSTALL_PREFIX": str(PREFIX)}
    os.execve(PYTHON, [PYTHON, "-m", "tljh.installer", *installer_args], environment)


def require_systemd():
    """End where no program of that name is in PATH; Debian 13 has it in usr/lib/systemd alone."""
    if not shutil.which("systemd"):
        print("Systemd is required to run TLJH")
        sys.exit(1)


def log_to_file_and_terminal():
    PREFIX.mkdir(parents=True, exist_ok=True)
    path = PREFIX / "installer.log"
    to_file = logging.FileHandler(path, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    path.chmod(0o600)
    logger.addHandler(to_file)
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)


def make_environment():
    logger.info("Setting up virtual environment at %s", HUB)
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--seed", "--python", sys.executable, HUB])
        run([uv, "pip", "install", "--python", PYTHON, "uv"])
    else:
        run([sys.executable, "-m", "venv", HUB])
        run([PYTHON, "-m", "pip", "install", "--upgrade", "pip"])


def pip_install(requirement):
    uv = HUB / "bin" / "uv"
    found = str(uv) if uv.exists() else shutil.which("uv")
    if found:
        run([found, "pip", "install", "--python", PYTHON, requirement])
    else:
        run([PYTHON, "-m", "pip", "install", "--upgrade", requirement])


def newest_tag():
    tags = run(["git", "-C", REPOSITORY, "tag", "--sort=version:refname"])
    return tags.split()[-1]


def run(command):
    """Run a command; what it prints is shown when it fails, before a traceback that does not."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        words = [str(word) for word in command]
        logger.error("Ran %s with exit code %d", " ".join(words), done.returncode)
        logger.error("%s", done.stdout)
        raise subprocess.CalledProcessError(done.returncode, words)
    return done.stdout


if __name__ == "__main__":
    main()
