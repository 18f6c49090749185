"""The contents of a sandbox besides programs: an administrator's settings, homes, database rows."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from tljh_runbook.sandbox.layout import FAKES, Layout
from tljh_runbook.sandbox.record import Record, write_private

USERS = ["alice", "bob", "carol"]
GROUP = "course"
IMAGES = ["course-python:4f1c2ab", "statistics:9d03e7f"]

# Several servers write to one log, so each line contains the process id.
LOG_FORMAT = "--Application.log_format=[%(levelname)1.1s %(asctime)s %(process)d] %(message)s"

CONFIG = """\
# The students of the course log in here. Ask Alice before you change anything.
users:
  admin:
  - alice
  allowed:
  - alice
  - bob
  - carol
auth:
  type: dummy
  DummyAuthenticator:
    password: {password}
limits:
  # the machine has little memory
  memory: 1G
http:
  address: 127.0.0.1
  port: {http}
traefik_api:
  port: {traefik_api}
services:
  cull:
    timeout: 600
  tljh_plasma:
    port: {tljh_plasma}
  tljh_repo2docker:
    port: {tljh_repo2docker}
"""

SETTINGS = """\
services: supervisor
upgrade:
  tljh: {tljh}
  plugins:
    - "tljh-plasma @ {plugin}"
"""

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": "first",
            "metadata": {},
            "outputs": [],
            "source": ["sum(range(10))"],
        }
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def configure(layout: Layout, record: Record, token: str) -> None:
    """Write the hub's settings as an administrator would, before the first installation."""
    for folder in (layout.state, layout.config, layout.config / "jupyterhub_config.d"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(
        layout.config / "config.yaml", CONFIG.format(password=record.password, **record.ports)
    )
    write_private(layout.token, token + "\n")
    extra = layout.config / "jupyterhub_config.d" / "sandbox.py"
    body = (FAKES / "jupyterhub_config.py").read_text(encoding="utf-8")
    extra.write_text(_constants(layout, record) + body, encoding="utf-8")


def _constants(layout: Layout, record: Record) -> str:
    values = {
        "ROOT": str(layout.root),
        "HUB_PORT": record.ports["hub"],
        "HOMES": f"{layout.homes}/{{username}}",
        "TOKEN_FILE": str(layout.token),
        "SERVERS_LOG": str(layout.logs / "servers.log"),
        # Jupyter Server refuses to run as root without this option.
        "SINGLEUSER_ARGS": [LOG_FORMAT, *(["--allow-root"] if os.geteuid() == 0 else [])],
    }
    lines = [f"{name} = {value!r}\n" for name, value in values.items()]
    return '"""What this hub needs because it lives in a folder."""\n\n' + "".join(lines)


def settle(layout: Layout, plugin: str, tljh: str = "2.0.0") -> None:
    """Write the tool's settings: the service manager and the target versions of the upgrade."""
    layout.settings.parent.mkdir(parents=True, exist_ok=True)
    text = SETTINGS.format(plugin=plugin, tljh=tljh)
    layout.settings.write_text(text, encoding="utf-8")


def furnish_homes(layout: Layout) -> None:
    """Create a home for each user, with typical files."""
    for user in USERS:
        home = layout.homes / user
        files = {
            "lesson.ipynb": json.dumps(NOTEBOOK, indent=1),
            "measurements.csv": "time,value\n0,1.5\n1,2.25\n2,3.125\n",
            ".profile": 'export EDITOR="nano"\n',
            "project/data/notes.txt": f"Notes of {user}\n",
            "my homework.txt": "To be handed in on Friday\n",
            "résumé été.md": "# Été\n",
        }
        for name, text in files.items():
            _write(home / name, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def databases_ready(layout: Layout) -> bool:
    """Return whether the hub's services have created their databases, which only they can do."""
    try:
        with closing(_open(layout, "tljh_repo2docker")) as db:
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
            db.execute("SELECT 1 FROM images")
        with closing(_open(layout, "tljh_plasma")) as db:
            db.execute("SELECT 1 FROM permissions")
    except sqlite3.Error:
        return False
    return bool(mode == "wal")


def _open(layout: Layout, name: str) -> sqlite3.Connection:
    """Open an existing database; wait up to 30 s for a lock."""
    uri = (layout.state / f"{name}.sqlite").as_uri()
    return sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=30)


def fill_databases(layout: Layout) -> None:
    """Add what an administrator would set up in the browser: builds, and permissions for them."""
    with closing(_open(layout, "tljh_plasma")) as db, db:
        if not db.execute("SELECT count(*) FROM permissions").fetchone()[0]:
            db.executemany(
                'INSERT INTO permissions ("group", image) VALUES (?, ?)',
                [(GROUP, image) for image in IMAGES],
            )
    with closing(_open(layout, "tljh_repo2docker")) as db, db:
        db.executemany(
            "INSERT OR IGNORE INTO images VALUES (:uid, :name, :status, :log, :meta)", _builds()
        )


def _builds() -> list[dict[str, str]]:
    return [
        {
            "uid": _uid(image).hex,
            "name": image,
            "status": "built",
            "log": f"Successfully tagged {image}\n",
            "meta": json.dumps(_meta(image)),
        }
        for image in IMAGES
    ]


def _uid(image: str) -> uuid.UUID:
    """Return a stable id for an image: a version 4 UUID, which tljh-repo2docker requires."""
    return uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_URL, image).bytes, version=4)


def _meta(image: str) -> dict[str, object]:
    name, _, ref = image.partition(":")
    return {
        "display_name": name,
        "repo": f"https://git.example.org/{name}",
        "ref": ref,
        "creation_date": "2025-01-02 12:00:00 UTC",
        "owner": "alice",
        "cpu_limit": "1",
        "mem_limit": "1G",
        "node_selector": {},
        "buildargs": "",
    }
