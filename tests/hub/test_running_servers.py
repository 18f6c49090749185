"""User servers that were started since an upgrade are known to the older database, too."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub.database import hubdb, running_servers
from tljh_runbook.hub.upgrade.swap import rollback_plan
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way

# What the two versions of JupyterHub have in common of these tables, and one column more.
TABLES = """
CREATE TABLE users (
  id INTEGER PRIMARY KEY, name VARCHAR(255) UNIQUE, admin BOOLEAN, created DATETIME,
  last_activity DATETIME, cookie_id VARCHAR(255) NOT NULL UNIQUE, state TEXT,
  encrypted_auth_state BLOB);
CREATE TABLE servers (
  id INTEGER PRIMARY KEY, proto VARCHAR(15), ip VARCHAR(255), port INTEGER,
  base_url VARCHAR(255), cookie_name VARCHAR(255));
CREATE TABLE oauth_clients (
  id INTEGER PRIMARY KEY, identifier VARCHAR(255) UNIQUE, description VARCHAR(1023),
  secret VARCHAR(255), redirect_uri VARCHAR(1023), allowed_scopes TEXT);
CREATE TABLE spawners (
  id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER, state TEXT, name VARCHAR(255),
  started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255){more});
CREATE TABLE api_tokens (
  id INTEGER PRIMARY KEY, user_id INTEGER, service_id INTEGER, hashed VARCHAR(255) UNIQUE,
  prefix VARCHAR(16), client_id VARCHAR(255), session_id VARCHAR(255), created DATETIME,
  expires_at DATETIME, last_activity DATETIME, note VARCHAR(1023), scopes TEXT);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('{revision}');
"""


@dataclass(frozen=True)
class Two:
    """The database before an upgrade, and the migrated one."""

    old: Path
    newer: Path


@pytest.fixture
def two(tmp_path: Path) -> Two:
    made = Two(tmp_path / "kept, été" / "old", tmp_path / "newer")
    made.old.parent.mkdir()
    hub_folder.script(made.old, TABLES.format(more="", revision="old"))
    hub_folder.script(made.newer, TABLES.format(more=", born_with_five TEXT", revision="new"))
    for database in (made.old, made.newer):
        enter(database, 1, "alice", pid=11, by="of-alice")
    return made


def enter(
    database: Path,
    number: int,
    user: str,
    *,
    pid: int,
    by: str,
    name: str = "",
    user_id: int = 0,
) -> None:
    """Enter a running server as JupyterHub does."""
    base = f"/user/{user}/{name}/" if name else f"/user/{user}/"
    client = f"jupyterhub-user-{user}-{name}"
    if not user_id:
        row = (number, user, f"cookie-{user}")
        hub_folder.change(database, "INSERT INTO users (id, name, cookie_id) VALUES (?,?,?)", row)
    address = (number, 8000 + pid, base)
    hub_folder.change(database, "INSERT INTO servers (id, port, base_url) VALUES (?,?,?)", address)
    hub_folder.change(
        database, "INSERT INTO oauth_clients (identifier, secret) VALUES (?,?)", (client, by)
    )
    hub_folder.change(
        database,
        "INSERT INTO spawners (id, user_id, server_id, state, name, oauth_client_id)"
        " VALUES (?,?,?,?,?,?)",
        (number, user_id or number, number, json.dumps({"pid": pid}), name, client),
    )
    for client_id, note, hashed in (
        ("jupyterhub", f"Server at {base}", by),
        (client, "", f"browser-{by}"),
        ("jupyterhub", "a script of the user", f"own-{by}"),
    ):
        hub_folder.change(
            database,
            "INSERT INTO api_tokens (user_id, hashed, client_id, note) VALUES (?,?,?,?)",
            (user_id or number, hashed, client_id, note),
        )


def tokens(database: Path) -> set[tuple[object, ...]]:
    asked = "SELECT users.name, hashed FROM api_tokens JOIN users ON users.id = user_id"
    return set(hub_folder.ask(database, asked))


def test_what_both_know_is_left_alone(two: Two) -> None:
    before = two.old.read_bytes()
    assert running_servers.started_since(two.old, two.newer) == []
    running_servers.enter(two.old, two.newer)
    assert two.old.read_bytes() == before


def test_a_server_of_a_new_user_is_entered_with_its_tokens(two: Two) -> None:
    # Their numbers are others' in the older database.
    hub_folder.change(two.old, "INSERT INTO users (id, name, cookie_id) VALUES (2, 'zoe', 'z')")
    hub_folder.change(two.old, "INSERT INTO servers (id, base_url) VALUES (2, '/services/a/')")
    enter(two.newer, 2, "carol", pid=22, by="of-carol")
    assert [each.label for each in running_servers.started_since(two.old, two.newer)] == ["carol"]
    assert running_servers.unfit(two.old, two.newer) == ""
    running_servers.enter(two.old, two.newer)
    assert running_servers.started_since(two.old, two.newer) == []
    assert hubdb.servers(two.old) == hubdb.servers(two.newer)
    assert {("carol", "of-carol"), ("carol", "browser-of-carol")} <= tokens(two.old)
    assert ("carol", "own-of-carol") not in tokens(two.old)  # it is no part of the server
    assert ("zoe",) in hub_folder.ask(two.old, "SELECT name FROM users WHERE id = 2")
    assert hub_folder.ask(two.old, "SELECT base_url FROM servers WHERE id = 2") == [
        ("/services/a/",)
    ]
    cookies = "SELECT cookie_id FROM users WHERE name = 'carol'"
    assert hub_folder.ask(two.old, cookies) == [("cookie-carol",)]


def test_a_server_that_was_started_anew_takes_the_place_of_the_one_before(two: Two) -> None:
    for statement in (
        "UPDATE spawners SET state = '{\"pid\": 33}'",
        "UPDATE servers SET port = 9000",
        "UPDATE oauth_clients SET secret = 'of-alice-2'",
        "UPDATE api_tokens SET hashed = hashed || '-2' WHERE note LIKE 'Server%'",
    ):
        hub_folder.change(two.newer, statement)
    running_servers.enter(two.old, two.newer)
    (server,) = hubdb.servers(two.old)
    assert server.state == {"pid": 33}
    assert hub_folder.ask(two.old, "SELECT port FROM servers") == [(9000,)]
    assert hub_folder.ask(two.old, "SELECT secret FROM oauth_clients") == [("of-alice-2",)]
    assert ("alice", "of-alice-2") in tokens(two.old)


def test_a_server_that_was_started_anew_in_the_same_unit_is_another(two: Two) -> None:
    """Its state is the same: the name of its systemd unit."""
    hub_folder.change(two.newer, "UPDATE servers SET port = 9000")
    assert [each.label for each in running_servers.started_since(two.old, two.newer)] == ["alice"]


def test_a_named_server_of_a_known_user_is_entered_beside_the_others(two: Two) -> None:
    enter(two.newer, 2, "alice", pid=44, by="named", name="lab", user_id=1)
    running_servers.enter(two.old, two.newer)
    assert [each.label for each in hubdb.servers(two.old)] == ["alice", "alice/lab"]
    assert ("alice", "named") in tokens(two.old)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX one ON spawners (IFNULL(started, 0))",
        "ALTER TABLE oauth_clients RENAME TO clients",
        "CREATE TRIGGER no BEFORE INSERT ON api_tokens BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
def test_where_the_two_do_not_fit_nothing_is_entered(two: Two, statement: str) -> None:
    enter(two.newer, 2, "carol", pid=22, by="of-carol")
    hub_folder.change(two.old, statement)
    before = hub_folder.ask(two.old, "SELECT * FROM users, spawners, servers")
    assert running_servers.unfit(two.old, two.newer)
    with pytest.raises(sqlite3.Error):
        running_servers.enter(two.old, two.newer)
    assert hub_folder.ask(two.old, "SELECT * FROM users, spawners, servers") == before


@pytest.mark.parametrize("fit", [True, False], ids=["they fit", "they do not"])
def test_the_way_back_tells_the_old_database_where_it_can(two: Two, *, fit: bool) -> None:
    way = Way(str(two.old.parent / "stage"), {}, databases={"jupyterhub": str(two.newer)})
    target = way.database("jupyterhub")
    target.parent.mkdir(parents=True)
    if not fit:
        hub_folder.change(two.old, "ALTER TABLE oauth_clients RENAME TO clients")
    two.old.rename(target)
    enter(two.newer, 2, "carol", pid=22, by="of-carol")
    assert rollback_plan.return_database(way, "jupyterhub")
    labels = ["alice", "carol"] if fit else ["alice"]
    assert [each.label for each in hubdb.servers(two.newer)] == labels
    assert hub_folder.ask(two.newer, "SELECT * FROM alembic_version") == [("old",)]
    assert not rollback_plan.return_database(way, "jupyterhub")
