"""Make JupyterHub's configuration out of config.yaml."""

import copy
import sys

from tljh import config
from tljh.config import STATE_DIR

default = {
    "base_url": "/",
    "auth": {"type": "dummy"},
    "users": {"allowed": [], "banned": [], "admin": []},
    "limits": {"memory": None, "cpu": None},
    "http": {"address": "", "port": 80},
    "https": {
        "enabled": False,
        "address": "",
        "port": 443,
        "tls": {"cert": "", "key": ""},
        "letsencrypt": {"email": "", "domains": []},
    },
    "traefik_api": {"ip": "127.0.0.1", "port": 8099, "username": "api_admin", "password": ""},
    "services": {
        "cull": {
            "enabled": True,
            "timeout": 600,
            "every": 60,
            "concurrency": 5,
            "max_age": 0,
        },
    },
}


def load_config():
    """Return the defaults, with what config.yaml says laid over them."""
    merged = merge(copy.deepcopy(default), config.read())
    secret = STATE_DIR / "traefik-api.secret"
    if secret.exists():
        merged["traefik_api"]["password"] = secret.read_text(encoding="utf-8").strip()
    return merged


def merge(base, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


def apply_config(settings, c):
    """Apply merged settings to JupyterHub's configuration object."""
    c.JupyterHub.base_url = settings["base_url"]
    apply_auth(settings["auth"], c)
    c.Authenticator.allowed_users = set(settings["users"]["allowed"])
    c.Authenticator.blocked_users = set(settings["users"]["banned"])
    c.Authenticator.admin_users = set(settings["users"]["admin"])
    c.Spawner.mem_limit = settings["limits"]["memory"]
    c.Spawner.cpu_limit = settings["limits"]["cpu"]
    api = settings["traefik_api"]
    c.TraefikProxy.traefik_api_url = f"http://{api['ip']}:{api['port']}"
    c.TraefikProxy.traefik_api_username = api["username"]
    c.TraefikProxy.traefik_api_password = api["password"]
    c.TraefikProxy.traefik_entrypoint = "https" if settings["https"]["enabled"] else "http"
    c.JupyterHub.services = []
    if settings["services"]["cull"]["enabled"]:
        c.JupyterHub.services.append(culler(settings["services"]["cull"]))


def apply_auth(auth, c):
    c.JupyterHub.authenticator_class = auth["type"]
    for section, values in auth.items():
        if isinstance(values, dict):
            for key, value in values.items():
                if value is not None:
                    c[section][key] = value


def culler(settings):
    """Return the service that stops idle servers."""
    command = [
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        f"--timeout={settings['timeout']}",
        f"--cull-every={settings['every']}",
        f"--concurrency={settings['concurrency']}",
        f"--max-age={settings['max_age']}",
    ]
    return {"name": "cull-idle", "admin": True, "command": command}
