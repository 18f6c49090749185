"""A hub whose database is on a PostgreSQL server, kept and restored with a real server."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live
from postgres_cluster import ESCAPED, PASSWORD, Cluster, running

from tljh_runbook.errors import (
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseMissing,
    RestoreFailed,
    ToolMissing,
)
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import hubdb, postgres_address, postgres_dump, sql
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade import guarantees
from tljh_runbook.hub.upgrade.stage import stage


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as made:
        yield made


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.database("jupyterhub")


@pytest.fixture
def server(url: str) -> Server:
    return postgres_address.parse(url)


@pytest.fixture
def foreign(source: Source, url: str) -> Source:
    """A hub whose users are on the server, and a stale file where they once were."""
    return replace(source, settings=replace(source.settings, databases={"jupyterhub": url}))


def names(cluster: Cluster) -> str:
    return cluster.psql("SELECT string_agg(name, ' ' ORDER BY name) FROM users", "jupyterhub")


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["database"]))


def actions(source: Source, kept: Snapshot) -> list[Action]:
    (component,) = components.chosen(["database"])
    return list(component.restore(Restoration(source, kept)))


def test_users_and_groups_are_read_as_from_a_file(server: Server, source: Source) -> None:
    file = source.hub.state / "jupyterhub.sqlite"
    assert hubdb.users(server) == hubdb.users(file) == hub_folder.PEOPLE
    assert hubdb.groups(server) == hubdb.groups(file)
    assert hubdb.servers(server) == []


def test_values_come_as_they_are(server: Server) -> None:
    odd = "SELECT 'a\"b\nc|,é' AS x, NULL AS x, true, 7"
    assert sql.query(server, odd) == [('a"b\nc|,é', None, True, 7)]
    assert sql.query(server, "SELECT 1 WHERE false") == []


def test_a_question_cannot_write(server: Server, cluster: Cluster) -> None:
    cluster.psql(
        "SET ROLE hub; CREATE FUNCTION forget() RETURNS int LANGUAGE sql AS"
        " 'DELETE FROM user_group_map RETURNING 1';",
        "jupyterhub",
    )
    with pytest.raises(DatabaseMissing, match="read-only transaction"):
        sql.query(server, "SELECT forget()")


def test_rows_are_counted(server: Server) -> None:
    counted = sql.rows(server)
    assert (counted["users"], counted["user_group_map"], counted["spawners"]) == (3, 2, 0)
    assert sql.size(server) > 1 << 20


def test_a_dump_is_private_and_tells_what_is_in_it(server: Server, tmp_path: Path) -> None:
    found = postgres_dump.dump(server, tmp_path / "dump")
    assert (tmp_path / "dump").stat().st_mode & 0o777 == 0o600
    assert found.revision == "4621fec11365"
    assert found.rows == sql.rows(server)


def test_a_table_of_any_name_and_content_is_counted(
    server: Server, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.psql(
        'SET ROLE hub; CREATE SCHEMA more; CREATE TABLE more."odd "" na.me" (x text);'
        "INSERT INTO more.\"odd \"\" na.me\" VALUES (E'\\\\.\\n\\\\.'), (''), (NULL);"
        "CREATE TABLE copied (x text); INSERT INTO copied VALUES ('COPY a (b) FROM stdin;');",
        "jupyterhub",
    )
    found = postgres_dump.dump(server, tmp_path / "dump")
    assert found.rows == sql.rows(server)
    assert found.rows['more.odd " na.me'] == 3


def test_a_dump_that_was_cut_short_is_found(server: Server, tmp_path: Path) -> None:
    whole = tmp_path / "dump"
    postgres_dump.dump(server, whole)
    data = whole.read_bytes()
    for size in (0, 3, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:size])
        with pytest.raises(DatabaseDamaged, match="cannot be read back"):
            postgres_dump.contents(whole)


def test_a_snapshot_holds_the_dump_and_not_the_stale_file(foreign: Source) -> None:
    kept = backup(foreign)
    paths = {entry.path for entry in kept.manifest.files}
    assert {"database/jupyterhub.pgdump", "database/jupyterhub.pgpass"} <= paths
    assert "database/jupyterhub.sqlite" not in paths
    about = kept.manifest.components["database"]["jupyterhub"]
    assert (about["rows"]["users"], about["revision"]) == (3, "4621fec11365")
    assert about["origin"].startswith("postgresql://hub@127.0.0.1:")


def test_the_password_is_in_one_private_file_alone(foreign: Source) -> None:
    kept = backup(foreign)
    for path in sorted(kept.path.rglob("*")):
        if path.is_file() and path.suffix != ".pgpass":
            data = path.read_bytes()
            assert ESCAPED.encode() not in data, path
            assert PASSWORD.encode() not in data, path
    assert (kept.path / "database/jupyterhub.pgpass").stat().st_mode & 0o777 == 0o600


def test_the_password_is_in_no_command_line(server: Server, tmp_path: Path) -> None:
    """Whoever may look at the commands that run sees no secret."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        sql.query(server, "SELECT pg_sleep(0.5)::text")
        postgres_dump.restore(server, _dumped(server, tmp_path))
    finally:
        over.set()
        looking.join()
    assert any(b"psql" in line and b"pg_sleep" in line for line in seen)
    assert not any(PASSWORD.encode() in line or ESCAPED.encode() in line for line in seen)


def _dumped(server: Server, folder: Path) -> Path:
    postgres_dump.dump(server, folder / "dump")
    return folder / "dump"


def test_what_is_as_kept_is_left_alone(foreign: Source) -> None:
    assert actions(foreign, backup(foreign)) == []


def test_what_was_lost_comes_back_and_what_was_there_is_kept(
    foreign: Source, cluster: Cluster
) -> None:
    kept = backup(foreign)
    cluster.psql("DELETE FROM user_group_map; DELETE FROM users WHERE id > 1;", "jupyterhub")
    (action,) = actions(foreign, kept)
    assert action.stopped
    assert PASSWORD not in action.what
    assert names(cluster) == "alice"
    action.carry_out()
    assert names(cluster) == "alice bob carol"
    assert actions(foreign, kept) == []
    (replaced,) = (foreign.hub.work / "replaced").rglob("*.pgdump")
    assert postgres_dump.contents(replaced).rows["users"] == 1
    assert replaced.stat().st_mode & 0o777 == 0o600


def test_tables_of_a_newer_hub_go(foreign: Source, cluster: Cluster) -> None:
    kept = backup(foreign)
    cluster.psql(
        "SET ROLE hub; CREATE TABLE newer (user_id integer REFERENCES users (id));"
        "ALTER TABLE users ADD COLUMN more text; UPDATE alembic_version SET version_num = 'new';",
        "jupyterhub",
    )
    (action,) = actions(foreign, kept)
    action.carry_out()
    assert "newer" not in sql.rows(postgres_address.parse(cluster.url("jupyterhub")))
    assert actions(foreign, kept) == []


def test_a_restore_that_fails_changes_nothing(foreign: Source, cluster: Cluster) -> None:
    kept = backup(foreign)
    cluster.psql(
        "DELETE FROM users WHERE id = 3; ALTER TABLE servers OWNER TO super;"
        "GRANT SELECT ON servers, servers_id_seq TO hub;",
        "jupyterhub",
    )
    (action,) = actions(foreign, kept)
    with pytest.raises(RestoreFailed, match="left as it was") as told:
        action.carry_out()
    assert "\n" not in told.value.message
    assert names(cluster) == "alice bob"


def test_an_empty_database_on_a_new_server_is_filled(foreign: Source, cluster: Cluster) -> None:
    kept = backup(foreign)
    cluster.psql("DROP DATABASE jupyterhub;")
    cluster.psql("CREATE DATABASE jupyterhub OWNER hub;")
    # The new server's hub has a file so far; the snapshot itself says where the database was.
    fresh = replace(foreign, settings=replace(foreign.settings, databases={}))
    (action,) = actions(fresh, kept)
    action.carry_out()
    assert names(cluster) == "alice bob carol"


def test_the_notes_give_it_back_as_typed(foreign: Source, cluster: Cluster) -> None:
    kept = backup(foreign)
    cluster.psql("DELETE FROM users WHERE id = 3;", "jupyterhub")
    (component,) = components.chosen(["database"])
    lines = [line for line in component.by_hand(kept.manifest) if "pg_restore" in line]
    assert len(lines) == 1
    done = subprocess.run(
        ["bash", "-ec", lines[0]], cwd=kept.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert names(cluster) == "alice bob carol"


def test_an_empty_database_is_not_taken_for_a_backup(foreign: Source, cluster: Cluster) -> None:
    cluster.psql("DROP DATABASE jupyterhub;")
    cluster.psql("CREATE DATABASE jupyterhub OWNER hub;")
    with pytest.raises(DatabaseDamaged, match="no table at all"):
        backup(foreign)
    assert snapshot.listed(foreign.backups) == []


def test_a_wrong_password_is_said_without_it(url: str, tmp_path: Path) -> None:
    wrong = postgres_address.parse(url.replace(ESCAPED, "not-it"))
    with pytest.raises(DatabaseMissing, match="password authentication failed") as told:
        postgres_dump.dump(wrong, tmp_path / "dump")
    assert "not-it" not in told.value.message + told.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_missing_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="pg_dump is not installed") as told:
        postgres_dump.dump(server, tmp_path / "dump")
    assert told.value.hint == "Install it: sudo apt-get install postgresql-client"


def test_an_older_program_says_so_in_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pg_dump itself prints to a server that is newer than it."""
    said = "pg_dump: error: aborting because of server version mismatch"
    more = "pg_dump: detail: server version: 16.1; pg_dump version: 15.14"
    old = f"#!/bin/sh\necho '{said}' >&2\necho '{more}' >&2\nexit 1\n"
    hub_folder.keep(tmp_path / "pg_dump", old, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DatabaseMissing, match=r"version mismatch .*pg_dump version: 15"):
        postgres_dump.dump(server, tmp_path / "dump")


def test_the_guarantees_are_measured_on_the_server(live: Live, url: str) -> None:
    settings = live.hub.settings_file
    settings.write_text(f"{settings.read_text()}databases:\n  jupyterhub: {url}\n")
    (live.hub.state / "jupyterhub.sqlite").unlink()
    measured = guarantees.measure(live.source)
    assert measured["users and groups"]["users"] == hub_folder.PEOPLE
    assert measured["user servers"] == {}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hub:secret-word@[::1/db",
        "postgresql://hub:secret-word@host:secret-word/db",
        "postgresql://hub@host/db?password=secret-word&nonsense=secret-word",
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(DatabaseForeign) as told:
        postgres_address.parse(url)
    assert "secret-word" not in told.value.message + told.value.hint
    assert told.value.__cause__ is None


def test_an_address_means_what_libpq_takes_it_for() -> None:
    found = postgres_address.parse("postgresql://me@/db?host=/run/postgresql&sslmode=require")
    assert found.variables == {
        "PGUSER": "me",
        "PGDATABASE": "db",
        "PGHOST": "/run/postgresql",
        "PGSSLMODE": "require",
    }
    assert "word" not in repr(postgres_address.parse("postgresql://me:word@h/db"))


@pytest.mark.parametrize("kind", ["mysql+pymysql", "oracle", "mssql+pyodbc"])
def test_any_other_kind_is_refused_by_name(source: Source, kind: str) -> None:
    named = {"jupyterhub": f"{kind}://hub:secret-word@db.example.org/hub"}
    other = replace(source, settings=replace(source.settings, databases=named))
    with pytest.raises(DatabaseForeign, match=kind.split("+", maxsplit=1)[0]) as told:
        backup(other)
    said = told.value.message + told.value.hint
    assert "secret-word" not in said
    assert "example.org" not in said


def test_a_hub_on_a_server_is_not_rehearsed(foreign: Source) -> None:
    """No private view of files contains a server: its migration would be the live one."""
    assert stage.upper(foreign) == "the database 'jupyterhub' lies on a PostgreSQL server"
