"""The two services, jupyterhub and traefik.

Supervisor runs them here: a folder has no systemd. What it must know is in one file and not in two
units; it is told with a systemctl of the folder's own.
"""

import configparser
import shlex
import subprocess
import sys
from pathlib import Path

from tljh.config import HUB_ENV_PREFIX, INSTALL_PREFIX, ROOT, STATE_DIR

CONFIGURATION = ROOT / "etc" / "supervisor" / "supervisord.conf"
SYSTEMCTL = ROOT / "usr" / "bin" / "systemctl"
LOGS = ROOT / "var" / "log"


def programs():
    """Return what supervisor must know of each service, by name."""
    hub_config = Path(__file__).with_name("jupyterhub_config.py")
    traefik = [HUB_ENV_PREFIX / "bin" / "traefik", f"--configFile={STATE_DIR / 'traefik.toml'}"]
    hub = [sys.executable, "-m", "jupyterhub", "-f", hub_config, "--upgrade-db"]
    # traefik keeps open connections for up to ten seconds before it ends.
    return {
        "traefik": program("traefik", traefik, priority=1, stopwaitsecs=15),
        "jupyterhub": program("jupyterhub", hub, priority=2, stopwaitsecs=30),
    }


def program(name, command, **settings):
    # Only the service itself is signalled: the users' servers are its children and stay.
    path = f"{HUB_ENV_PREFIX / 'bin'}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "command": shlex.join(map(str, command)),
        "directory": str(STATE_DIR),
        "environment": f'TLJH_INSTALL_PREFIX="{INSTALL_PREFIX}",PATH="{path}"',
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "1",
        "stopasgroup": "false",
        "killasgroup": "false",
        "redirect_stderr": "true",
        "stdout_logfile": str(LOGS / f"{name}.log"),
        **{key: str(value) for key, value in settings.items()},
    }


def ensure():
    """Write the services anew, restart both and enable them, in TLJH's order."""
    first = write_programs()
    systemctl("daemon-reload")
    restart("jupyterhub")
    restart("traefik")
    if not first:
        # The hub's unit requires the proxy's, so systemd restarts it once more.
        restart("jupyterhub")
    systemctl("enable", "jupyterhub", "traefik")


def write_programs():
    """Write what supervisor must know; return whether it has known nothing of it."""
    parser = configparser.RawConfigParser()
    parser.read(CONFIGURATION, encoding="utf-8")
    first = not parser.has_section("program:jupyterhub")
    for name, settings in programs().items():
        parser[f"program:{name}"] = settings
    with open(CONFIGURATION, "w", encoding="utf-8") as file:
        parser.write(file)
    return first


def restart(name):
    systemctl("restart", name)


def systemctl(*arguments):
    subprocess.run([SYSTEMCTL, *arguments], check=True)
