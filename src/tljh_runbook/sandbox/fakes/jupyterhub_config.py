
import os

from jupyterhub.objects import Server

c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = HUB_PORT

c.Spawner.environment = {
    # By it, taking the sandbox down finds every process.
    "TLJH_SANDBOX": ROOT,
    "JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp",
}
c.Spawner.args = SINGLEUSER_ARGS
c.Spawner.default_url = "/"
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 120
c.SimpleLocalProcessSpawner.home_dir_template = HOMES

# Users' servers outlive the hub. What they print must not go into a pipe that ends with it: their
# kernels would die of the first word.
said = os.open(SERVERS_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
c.LocalProcessSpawner.popen_kwargs = {"stdout": said, "stderr": said}

# JupyterHub gives a service ten seconds to answer, in tries of one, and ends itself otherwise.
# A small machine with several sandboxes needs longer.
_wait_up = Server.wait_up


def wait_patiently(self, timeout=10, **options):
    return _wait_up(self, timeout=max(timeout, 12), **options)


Server.wait_up = wait_patiently

# The account that started the users' servers and made their group.
with open(TOKEN_FILE, encoding="utf-8") as file:
    c.JupyterHub.services.append({"name": "sandbox", "admin": True, "api_token": file.read().strip()})
