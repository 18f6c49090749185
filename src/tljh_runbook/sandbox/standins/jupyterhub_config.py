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

# The account that started the users' servers and made their group.
with open(TOKEN_FILE, encoding="utf-8") as file:
    c.JupyterHub.services.append({"name": "sandbox", "admin": True, "api_token": file.read().strip()})
