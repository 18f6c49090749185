"""The two services, jupyterhub and traefik, as units of systemd."""

import subprocess
import sys
from pathlib import Path

from tljh.config import HUB_ENV_PREFIX, INSTALL_PREFIX, STATE_DIR

UNITS = Path("/etc/systemd/system")
GROUPS = ("jupyterhub-admins", "jupyterhub-users")

HUB = """\
[Unit]
Requires=traefik.service
After=traefik.service

[Service]
User=root
Restart=always
WorkingDirectory={state}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
Environment=TLJH_INSTALL_PREFIX={prefix}
Environment=PATH={hub}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart={python} -m jupyterhub -f {config} --upgrade-db

[Install]
WantedBy=multi-user.target
"""
PROXY = """\
[Unit]
After=network.target

[Service]
User=root
Restart=always
ProtectHome=yes
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ReadWritePaths={state}/rules
ReadWritePaths={state}/acme.json
WorkingDirectory={state}
ExecStart={hub}/bin/traefik --configFile={state}/traefik.toml

[Install]
WantedBy=multi-user.target
"""


def install_units():
    values = {
        "prefix": INSTALL_PREFIX,
        "state": STATE_DIR,
        "hub": HUB_ENV_PREFIX,
        "python": sys.executable,
        "config": Path(__file__).with_name("jupyterhub_config.py"),
    }
    for name, text in {"jupyterhub": HUB, "traefik": PROXY}.items():
        (UNITS / f"{name}.service").write_text(text.format(**values), encoding="utf-8")


def restart_all():
    """Restart both services and enable them, in TLJH's order.

    The hub's unit requires the proxy's, so systemd restarts the hub once more with it.
    """
    restart_service("jupyterhub")
    restart_service("traefik")
    run(["systemctl", "enable", "jupyterhub.service", "traefik.service"])


def reload_daemon():
    run(["systemctl", "daemon-reload"])


def restart_service(name):
    run(["systemctl", "restart", f"{name}.service"])


def run(command):
    subprocess.run(command, check=True)
