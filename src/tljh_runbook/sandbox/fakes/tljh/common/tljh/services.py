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
# A folder has no groups of its own, and those of the machine are nobody's to change.
GROUPS = ()


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


def restart_all():
    """Restart both services and enable them, in TLJH's order."""
    first = not is_active("jupyterhub")
    restart_service("jupyterhub")
    restart_service("traefik")
    if not first:
        # The hub's unit requires the proxy's, so systemd restarts it once more.
        restart_service("jupyterhub")
    systemctl("enable", "jupyterhub", "traefik")


def install_units():
    """Write again what supervisor must know."""
    parser = configparser.RawConfigParser()
    parser.read(CONFIGURATION, encoding="utf-8")
    for name, settings in programs().items():
        parser[f"program:{name}"] = settings
    with open(CONFIGURATION, "w", encoding="utf-8") as file:
        parser.write(file)


def reload_daemon():
    systemctl("daemon-reload")


def restart_service(name):
    systemctl("restart", name)


def is_active(name):
    command = [SYSTEMCTL, "is-active", name]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def systemctl(*arguments):
    run([SYSTEMCTL, *arguments])


def run(command):
    subprocess.run(command, check=True)
