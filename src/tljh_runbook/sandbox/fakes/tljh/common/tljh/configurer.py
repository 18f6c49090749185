"""Make JupyterHub's configuration out of config.yaml."""

import copy
import sys

from tljh import config
from tljh.config import STATE_DIR

default = {
    "base_url": "/",
    "auth": {
        "type": "firstuseauthenticator.FirstUseAuthenticator",
        "FirstUseAuthenticator": {"create_users": False},
    },
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
    update_auth(c, settings)
    update_userlists(c, settings)
    c.Spawner.mem_limit = settings["limits"]["memory"]
    c.Spawner.cpu_limit = settings["limits"]["cpu"]
    api = settings["traefik_api"]
    c.TraefikProxy.traefik_api_url = f"http://{api['ip']}:{api['port']}"
    c.TraefikProxy.traefik_api_username = api["username"]
    c.TraefikProxy.traefik_api_password = api["password"]
    c.TraefikProxy.traefik_entrypoint = "https" if settings["https"]["enabled"] else "http"
    update_services(c, settings)


def update_auth(c, settings):
    c.JupyterHub.authenticator_class = settings["auth"]["type"]
    for section, values in settings["auth"].items():
        if isinstance(values, dict):
            for key, value in values.items():
                if value is not None:
                    c[section][key] = value


def update_userlists(c, settings):
    """Set who may log in. From JupyterHub 5 on, nobody may whom no setting allows.

    TLJH lets everyone in with its own default authenticator alone; with any other the
    administrator has to.
    """
    users = settings["users"]
    its_own = settings["auth"]["type"] == default["auth"]["type"]
    if its_own and not users["allowed"] and "allow_all" not in c.FirstUseAuthenticator:
        c.FirstUseAuthenticator.allow_all = True
    c.Authenticator.allowed_users = set(users["allowed"])
    c.Authenticator.blocked_users = set(users["banned"])
    c.Authenticator.admin_users = set(users["admin"])


def update_services(c, settings):
    c.JupyterHub.services = []
    if settings["services"]["cull"]["enabled"]:
        c.JupyterHub.services.append(set_cull_idle_service(settings["services"]["cull"]))


def set_cull_idle_service(settings):
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
