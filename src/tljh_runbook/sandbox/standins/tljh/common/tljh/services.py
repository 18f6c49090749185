"""The two services, jupyterhub and traefik.

Supervisor runs them here: a folder has no systemd.
"""

import configparser
import shlex
import sys
import time
import xmlrpc.client
from pathlib import Path
from urllib.parse import quote

from tljh.config import HUB_ENV_PREFIX, INSTALL_PREFIX, ROOT, STATE_DIR

CONFIGURATION = ROOT / "etc" / "supervisor" / "supervisord.conf"
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


def read():
    parser = configparser.RawConfigParser()
    parser.read(CONFIGURATION, encoding="utf-8")
    return parser


def ensure():
    """Have supervisor know the services as they are to be; return whether one was new to it."""
    parser = read()
    for name, settings in programs().items():
        parser[f"program:{name}"] = settings
    with open(CONFIGURATION, "w", encoding="utf-8") as file:
        parser.write(file)
    server = supervisor()
    [[added, changed, removed]] = server.reloadConfig()
    for name in [*changed, *removed]:
        server.stopProcessGroup(name)
        server.removeProcessGroup(name)
    for name in [*added, *changed]:
        server.addProcessGroup(name)
    return bool(added)


def restart(name):
    """Stop a service, wait until it is gone, start it."""
    server = supervisor()
    wait_until_started(server, name)
    try:
        server.stopProcess(name)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise
    # As systemd does, report success as soon as the process exists.
    try:
        server.startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise


def wait_until_started(server, name):
    """Let a service be started before it is stopped.

    A signal that reaches it in its first instant, still as a copy of supervisor, is lost, and
    supervisor would wait in vain for its end.
    """
    while server.getProcessInfo(name)["statename"] == "STARTING":
        time.sleep(0.1)


def supervisor():
    """Return supervisor's XML-RPC interface."""
    section = read()["inet_http_server"]
    login = f"{quote(section['username'])}:{quote(section['password'])}"
    return xmlrpc.client.ServerProxy(f"http://{login}@{section['port']}/RPC2").supervisor
