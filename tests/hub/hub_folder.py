"""Build a folder that looks like a TLJH server: real databases, real settings, no processes."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tljh_runbook.hub.core.layout import Hub

PYTHON = "3.11"
OLD_COMMIT = "4e54be5b4ea0a838c49485ce948332383b40ef81"
NEW_COMMIT = "a" * 40
WORKS = "alice"  # whose server runs
PEOPLE = {"alice": True, "bob": False, "carol": False}
BUILT_WITH = "s3cret-of-a-build"
IMAGES = ["course-python:4f1c2ab", "statistics:9d03e7f"]

CONFIG = """\
# The students of the course log in here. Ask Alice before you change anything.
users:
  admin:
  - alice   # she knows the machine
  allowed: [alice, "bob", 'carol']
limits:
  # the machine has little memory
  memory: '1G'
http:
  address: 127.0.0.1
  port: {port}
services:
  cull:
    enabled: true
"""

SETTINGS = """\
services: supervisor
upgrade:
  tljh: 2.0.0
  plugins: ["tljh-plasma==0.3.0"]
  healthy_within: 20
  in_place: true
  healthy_for: 0
"""

# No test cuts the power: what it writes itself need not be on the disk yet.
QUICK = "PRAGMA synchronous = OFF"

HUB_TABLES = """
CREATE TABLE users (
  id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN,
  created DATETIME, last_activity DATETIME, cookie_id VARCHAR(255) NOT NULL UNIQUE,
  state TEXT, encrypted_auth_state BLOB);
CREATE TABLE groups (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) UNIQUE, properties TEXT);
CREATE TABLE user_group_map (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  PRIMARY KEY (user_id, group_id));
CREATE TABLE servers (
  id INTEGER NOT NULL PRIMARY KEY, proto VARCHAR(15), ip VARCHAR(255), port INTEGER,
  base_url VARCHAR(255), cookie_name VARCHAR(255));
CREATE TABLE spawners (
  id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
  server_id INTEGER REFERENCES servers (id) ON DELETE SET NULL, state TEXT, name VARCHAR(255),
  started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255));
CREATE TABLE oauth_clients (
  id INTEGER NOT NULL PRIMARY KEY, identifier VARCHAR(255) UNIQUE, description VARCHAR(1023),
  secret VARCHAR(255), redirect_uri VARCHAR(1023), allowed_scopes TEXT);
CREATE TABLE api_tokens (
  id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
  service_id INTEGER, hashed VARCHAR(255) UNIQUE, prefix VARCHAR(16), client_id VARCHAR(255),
  session_id VARCHAR(255), created DATETIME, expires_at DATETIME, last_activity DATETIME,
  note VARCHAR(1023), scopes TEXT);
CREATE TABLE services (
  id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN,
  _server_id INTEGER REFERENCES servers (id) ON DELETE SET NULL);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('4621fec11365');
"""
PLUGIN_TABLES = """
CREATE TABLE permissions (
  id INTEGER NOT NULL PRIMARY KEY, "group" VARCHAR, image VARCHAR, UNIQUE ("group", image));
"""
BUILD_TABLES = """
PRAGMA journal_mode = wal;
CREATE TABLE images (
  uid VARCHAR(36) NOT NULL PRIMARY KEY, name VARCHAR(4096) NOT NULL, status VARCHAR(10),
  log TEXT, image_meta TEXT NOT NULL);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('ac1b4e7e52f3');
"""


def build(root: Path, *, port: int = 9) -> Hub:
    """Make a whole hub below ``root``. Nothing listens on port 9."""
    hub = Hub(root / "opt" / "tljh")
    for folder in (hub.state, hub.config):
        folder.mkdir(mode=0o700, parents=True)
    write_config(hub, port)
    write_state(hub)
    write_databases(hub)
    write_environment(hub)
    write_homes(root / "home")
    keep(hub.settings_file, SETTINGS, 0o644)
    return hub


def keep(path: Path, text: str | bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)


def write_config(hub: Hub, port: int) -> None:
    keep(hub.config_file, CONFIG.format(port=port), 0o600)
    keep(hub.config / ".lock", "", 0o600)
    keep(hub.config / "jupyterhub_config.d" / "extra.py", "c.Spawner.debug = True\n", 0o640)


def write_state(hub: Hub) -> None:
    keep(hub.state / "jupyterhub_cookie_secret", os.urandom(32).hex(), 0o600)
    keep(hub.state / "tljh_repo2docker_cookie_secret", os.urandom(32), 0o600)
    keep(hub.state / "traefik-api.secret", "secret\n", 0o644)
    keep(hub.state / "acme.json", "", 0o600)
    keep(hub.state / "rules" / "rules.toml", "[http]\n", 0o600)
    (hub.state / "rules").chmod(0o700)


def write_databases(hub: Hub) -> None:
    hub_database = hub.state / "jupyterhub.sqlite"
    script(hub_database, HUB_TABLES)
    for number, (name, admin) in enumerate(PEOPLE.items(), start=1):
        values = (number, name, admin, f"cookie-{number}")
        change(
            hub_database, "INSERT INTO users (id, name, admin, cookie_id) VALUES (?,?,?,?)", values
        )
    change(hub_database, "INSERT INTO groups (id, name) VALUES (1, 'course')")
    change(hub_database, "INSERT INTO user_group_map VALUES (1, 1), (2, 1)")
    script(hub.state / "tljh_plasma.sqlite", PLUGIN_TABLES)
    script(hub.state / "tljh_repo2docker.sqlite", BUILD_TABLES)
    for number, image in enumerate(IMAGES):
        allow = "INSERT INTO permissions (\"group\", image) VALUES ('course', ?)"
        change(hub.state / "tljh_plasma.sqlite", allow, (image,))
        write_build(hub, str(number), image, "built")


def write_build(hub: Hub, uid: str, image: str, status: str) -> None:
    """Record a build as tljh-repo2docker does."""
    name, _, ref = image.partition(":")
    about = {
        "display_name": name,
        "repo": f"https://git.example.org/{name}",
        "ref": ref,
        "creation_date": "01/02/2026",
        "owner": WORKS,
        "cpu_limit": "1",
        "mem_limit": "2",
        "node_selector": {},
        "buildargs": f"TOKEN={BUILT_WITH}\nLANGUAGE=fr",
    }
    built = "INSERT INTO images (uid, name, status, image_meta) VALUES (?, ?, ?, ?)"
    database = hub.state / "tljh_repo2docker.sqlite"
    change(database, built, (uid, image, status, json.dumps(about)))


def write_server(hub: Hub, user: str, pid: int | None) -> None:
    """Enter a running user server into the hub's database."""
    database = hub.state / "jupyterhub.sqlite"
    number = list(PEOPLE).index(user) + 1
    change(database, "INSERT INTO servers (id, base_url) VALUES (?, ?)", (number, f"/user/{user}/"))
    state = json.dumps({"pid": pid} if pid else {"container_id": "c0ffee"})
    values = (number, number, number, state)
    columns = "(id, user_id, server_id, state, name)"
    change(database, f"INSERT INTO spawners {columns} VALUES (?, ?, ?, ?, '')", values)  # noqa: S608


def write_service(hub: Hub, name: str) -> None:
    """Enter a service that has pages into the hub's database."""
    database = hub.state / "jupyterhub.sqlite"
    change(database, "INSERT INTO servers (id, base_url) VALUES (90, ?)", (f"/services/{name}/",))
    change(database, "INSERT INTO services (name, _server_id) VALUES (?, 90)", (name,))


def write_environment(hub: Hub) -> None:
    keep(hub.environment / "pyvenv.cfg", f"home = /usr/bin\nversion = {PYTHON}.2\n", 0o644)
    distribution(hub, "the-littlest-jupyterhub", "1.0.0", group="console_scripts")
    distribution(hub, "jupyterhub", "4.1.6")
    distribution(hub, "tljh-plasma", "0.2.0", commit=OLD_COMMIT, group="tljh")


def distribution(
    hub: Hub,
    name: str,
    version: str,
    *,
    commit: str = "",
    group: str = "",
    python: str = PYTHON,
    folder: str = "",
) -> Path:
    """Write what pip leaves of an installed distribution; return its dist-info."""
    module = name.replace("-", "_")
    site = hub.environment / "lib" / f"python{python}" / "site-packages"
    info = site / (folder or f"{module}-{version}.dist-info")
    keep(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", 0o644)
    if group:
        keep(info / "entry_points.txt", f"[{group}]\n{module} = {module}\n", 0o644)
    if commit:
        keep(info / "direct_url.json", json.dumps(direct_url(name, commit)), 0o644)
    keep(site / module / "__init__.py", f"version = {version!r}\n", 0o644)
    names = [f"{module}/__init__.py", f"{info.name}/METADATA", f"{info.name}/RECORD"]
    keep(info / "RECORD", "".join(f"{each},,\n" for each in names), 0o644)
    return info


def direct_url(name: str, commit: str) -> dict[str, object]:
    url = f"https://git.example.org/{name}"
    return {"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}, "subdirectory": "below"}


def write_homes(homes: Path) -> None:
    for user in PEOPLE:
        keep(homes / user / "lesson.ipynb", "{}", 0o644)
        keep(homes / user / "project" / "résumé été.md", "# Été\n", 0o644)


def script(database: Path, text: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(QUICK)
        connection.executescript(text)


def change(database: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    """Carry out one statement and commit it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(QUICK)
        connection.execute(statement, values)


def ask(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def metadata(path: Path) -> dict[str, int]:
    """Return a file's metadata without the access time, which a mere read changes."""
    status = path.stat()
    names = ("st_ino", "st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_ctime_ns")
    return {name: getattr(status, name) for name in names}


def without_retained(hub: Hub) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what is in the hub's prefix, but for what a rollback has replaced and retains."""
    retained = f"{hub.newer.name}/"
    found = contents(hub.prefix)
    return {name: about for name, about in found.items() if not name.startswith(retained)}


def contents(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return mode, owner, group and bytes of every file below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            about = (status.st_mode & 0o7777, status.st_uid, status.st_gid)
            found[str(path.relative_to(folder))] = (*about, path.read_bytes())
    return found
