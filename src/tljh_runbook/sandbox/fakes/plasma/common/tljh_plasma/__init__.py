"""A fake of the Plasma plugin: environments that a group may see; without Docker."""

import os
import sys

from jupyterhub.spawner import SimpleLocalProcessSpawner
from sqlalchemy import Column, Integer, Unicode, create_engine
from sqlalchemy.orm import declarative_base, sessionmaker
from tljh import configurer
from tljh.config import USER_ENV_PREFIX
from tljh.hooks import hookimpl
from tljh_repo2docker import TLJH_R2D_ADMIN_SCOPE

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


class PlasmaSpawner(SimpleLocalProcessSpawner):
    """Starts a user's server as a process out of the users' environment."""


@hookimpl(trylast=True)
def tljh_custom_jupyterhub_config(c):
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.spawner_class = PlasmaSpawner
    c.JupyterHub.allow_named_servers = True
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
    c.Spawner.cmd = [str(USER_ENV_PREFIX / "bin" / "jupyterhub-singleuser")]


def service(name, port):
    """Return the entry of a web service that the hub starts: a module of the same name.

    The real plugin's ports are fixed; here config.yaml may name others, for several hubs at once.
    """
    port = configurer.load_config()["services"].get(name, {}).get("port", port)
    return {
        "name": name,
        "url": f"http://127.0.0.1:{port}",
        "display": False,
        "command": [sys.executable, "-m", name, "--ip", "127.0.0.1", "--port", str(port)],
        "environment": {"TLJH_PLASMA_DB_URL": TLJH_PLASMA_DB_URL},
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": [TLJH_R2D_ADMIN_SCOPE],
    }
