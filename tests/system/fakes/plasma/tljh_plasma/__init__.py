"""A fake of the Plasma plugin: environments that a group of the server may see, in Docker."""

import grp
import os
import pwd
import sys

from dockerspawner import SystemUserSpawner
from jupyterhub.auth import PAMAuthenticator
from sqlalchemy import Column, Integer, Unicode, create_engine
from sqlalchemy.orm import declarative_base, sessionmaker
from tljh.config import ROOT
from tljh.hooks import hookimpl
from tljh_repo2docker import TLJH_R2D_ADMIN_SCOPE, SpawnerMixin

from tljh_plasma.edition import TITLE

TLJH_PLASMA_DB_URL = os.environ.get("TLJH_PLASMA_DB_URL", "sqlite:///tljh_plasma.sqlite")

Base = declarative_base()


class Permissions(Base):
    """Which group may see which environment."""

    __tablename__ = "permissions"

    id = Column(Integer, primary_key=True, autoincrement=True)
    group = Column(Unicode(255))
    image = Column(Unicode(255))


# On import, in whatever folder that happens: the real plugin does so, and leaves decoys about.
engine = create_engine(TLJH_PLASMA_DB_URL)
Session = sessionmaker(bind=engine)
Base.metadata.create_all(engine)


class PlasmaSpawner(SpawnerMixin, SystemUserSpawner):
    """Starts a user's server in a container, in a folder named after the environment."""

    async def list_images(self):
        groups = [each.gr_name for each in grp.getgrall() if self.user.name in each.gr_mem]
        with Session() as session:
            seen = session.query(Permissions).filter(Permissions.group.in_(groups))
            allowed = {each.image for each in seen}
        return [each for each in await super().list_images() if each["image_name"] in allowed]

    async def start(self, *args, **kwargs):
        await super().set_limits()
        images = await super().list_images()
        chosen = next(each for each in images if each["image_name"] == self.user_options["image"])
        account = pwd.getpwnam(self.user.name)
        folder = os.path.join(account.pw_dir, chosen["display_name"].replace("/", "-"))
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, account.pw_uid, account.pw_gid)
        self.host_homedir_format_string = account.pw_dir
        self.image_homedir_format_string = account.pw_dir
        self.notebook_dir = folder
        return await super().start(*args, **kwargs)


@hookimpl(trylast=True)
def tljh_custom_jupyterhub_config(c):
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.authenticator_class = PAMAuthenticator
    c.Authenticator.allow_all = True
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.spawner_class = PlasmaSpawner
    c.PlasmaSpawner.name_template = "{prefix}-{username}-{servername}"
    c.PlasmaSpawner.start_timeout = 120
    c.PlasmaSpawner.pull_policy = "Never"
    c.PlasmaSpawner.remove = True
    c.PlasmaSpawner.cmd = ["/opt/tljh/user/bin/jupyterhub-singleuser"]
    c.PlasmaSpawner.environment = {
        "JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"
    }
    c.PlasmaSpawner.default_url = "/"
    c.PlasmaSpawner.allowed_images = "*"
    c.PlasmaSpawner.extra_host_config = {"init": True}
    c.JupyterHub.services.extend([service("tljh_plasma", 6788), service("tljh_repo2docker", 6789)])
    c.JupyterHub.custom_scopes = {
        TLJH_R2D_ADMIN_SCOPE: {"description": "Admin access to tljh_repo2docker"},
    }
    c.JupyterHub.load_roles = [
        {
            "name": "tljh-services",
            "description": "What the two services may do",
            "scopes": ["read:users", "read:roles:users", "admin:servers"],
            "services": ["tljh_plasma", "tljh_repo2docker"],
        },
        {"name": "user", "scopes": ["self", "access:services!service=tljh_repo2docker"]},
    ]


# The rest is asked of the installer, which changes the server for it outside the prefix too.
@hookimpl
def tljh_extra_apt_packages():
    return ["tree"]


@hookimpl
def tljh_extra_hub_pip_packages():
    return ["humanize==4.12.3"]


@hookimpl
def tljh_post_install():
    (ROOT / "etc" / "tljh-plasma.conf").write_text(f"title = {TITLE}\n", encoding="utf-8")


def service(name, port):
    """Return the entry of a web service that the hub starts: a module of the same name."""
    return {
        "name": name,
        "url": f"http://127.0.0.1:{port}",
        "display": False,
        "command": [sys.executable, "-m", name, "--ip", "127.0.0.1", "--port", str(port)],
        "environment": {"TLJH_PLASMA_DB_URL": TLJH_PLASMA_DB_URL},
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": [TLJH_R2D_ADMIN_SCOPE],
    }
