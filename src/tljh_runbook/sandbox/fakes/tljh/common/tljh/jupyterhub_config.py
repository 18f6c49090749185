"""JupyterHub's configuration: defaults, config.yaml, plugins, then the administrator's own files."""

import os
import sys

from tljh import configurer, hooks
from tljh.config import CONFIG_DIR, STATE_DIR

c = get_config()  # noqa: F821

c.JupyterHub.cleanup_servers = False
c.JupyterHub.hub_port = 15001
c.JupyterHub.proxy_class = "traefik_file"
c.TraefikProxy.should_start = False
c.TraefikFileProviderProxy.dynamic_config_file = str(STATE_DIR / "rules" / "rules.toml")

configurer.apply_config(configurer.load_config(), c)
hooks.plugins().hook.tljh_custom_jupyterhub_config(c=c)

for extra in sorted(CONFIG_DIR.glob("jupyterhub_config.d/*.py")):
    load_subconfig(str(extra))  # noqa: F821

# Not in TLJH: services end with the hub, as systemd sees to it, and carry the marker by which a
# sandbox finds its processes.
for service in c.JupyterHub.services:
    if "command" in service:
        service["command"] = [sys.executable, "-m", "tljh.attached", *service["command"]]
        marker = {key: os.environ[key] for key in ["TLJH_SANDBOX"] if key in os.environ}
        service["environment"] = {**service.get("environment", {}), **marker}
