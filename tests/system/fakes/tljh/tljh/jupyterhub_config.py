"""JupyterHub's configuration: defaults, config.yaml, plugins, then the administrator's own files."""

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
