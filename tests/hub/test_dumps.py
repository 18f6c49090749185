"""Upgrades of a hub whose users are on a PostgreSQL server: it comes back with the old version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_fixtures import Cli, Live, until
from postgres_cluster import PASSWORD, Cluster, running
from test_staging import PREPARING, done, start, texts

from tljh_runbook.errors import DatabaseMissing, RestoreFailed, UpgradeRolledBack
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.database import hubdb, postgres_address, postgres_dump
from tljh_runbook.hub.runs import journal, lock
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.swap import dumps
from tljh_runbook.hub.versions import versions

# As a newer JupyterHub migrates it, and then takes in somebody new.
MIGRATED = """
SET ROLE hub;
ALTER TABLE users ADD COLUMN more text;
CREATE TABLE newer (user_id integer REFERENCES users (id));
UPDATE alembic_version SET version_num = 'newer';
INSERT INTO users (id, name, admin, cookie_id) VALUES (4, 'dave', false, 'cookie-4');
"""
LOST = "DELETE FROM user_group_map WHERE user_id = 2; DELETE FROM users WHERE id = 2;"
OLD = "4621fec11365"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as made:
        yield made


@pytest.fixture
def served(live: Live, cluster: Cluster) -> Live:
    """A hub with a snapshot, and its users on a PostgreSQL server."""
    settings = live.hub.settings_file
    url = cluster.database("jupyterhub")
    settings.write_text(f"{settings.read_text()}databases:\n  jupyterhub: {url}\n")
    (live.hub.state / "jupyterhub.sqlite").unlink()
    capture.create(live.source, components.every())
    return live


def names(cluster: Cluster) -> str:
    return cluster.psql("SELECT string_agg(name, ' ' ORDER BY name) FROM users", "jupyterhub")


def revision(cluster: Cluster) -> str:
    return cluster.psql("SELECT version_num FROM alembic_version", "jupyterhub")


def migrating(live: Live, cluster: Cluster, sql: str) -> None:
    """Begin an upgrade whose new version migrates the database, and let it go on."""
    (live.hub.root / "srv" / "wait").touch()
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    cluster.psql(sql, "jupyterhub")
    (live.hub.root / "srv" / "wait").unlink()


def ended(live: Live) -> bool:
    return bool(journal.state(live.hub, "upgrade")["end"]) and not lock.held(live.hub)


def test_a_broken_guarantee_rolls_the_database_back_too(served: Live, cluster: Cluster) -> None:
    live = served
    migrating(live, cluster, MIGRATED + LOST)
    until(lambda: ended(live))
    end = journal.state(live.hub, "upgrade")["end"]
    assert end["code"] == UpgradeRolledBack.code
    assert "bob" in end["error"]["message"]
    assert versions.installed(live.hub).rows()["TLJH"] == "1.0.0"
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")
    assert state_file.read(live.hub) is None


def test_it_is_rolled_back_by_hand_and_the_newer_one_is_kept(
    served: Live, cluster: Cluster, cli: Cli
) -> None:
    live = served
    migrating(live, cluster, MIGRATED)
    until(lambda: ended(live))
    assert (revision(cluster), names(cluster)) == ("newer", "alice bob carol dave")
    preview = cli("rollback", "--dry-run", "--json", "--hub", live.hub.prefix)
    assert json.loads(preview.stdout)["lost"] == {"jupyterhub: users": 1}
    assert done(live, "rollback", "--yes")["error"] is None
    assert "Only the newer database knows: user dave is gone" in texts(live, "rollback")
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")
    (newer,) = live.hub.work.glob("taken-back-*/jupyterhub")
    assert newer.stat().st_mode & 0o777 == 0o600
    written = [path for path in live.hub.work.rglob("*") if path.is_file()]
    assert [path for path in written if PASSWORD.encode() in path.read_bytes()] == []


def test_one_that_was_not_migrated_keeps_what_is_new(served: Live, cluster: Cluster) -> None:
    live = served
    migrating(live, cluster, MIGRATED.splitlines()[5])
    until(lambda: ended(live))
    assert done(live, "rollback", "--yes")["error"] is None
    assert names(cluster) == "alice bob carol dave"


def going_back_without_it(live: Live, cluster: Cluster) -> None:
    """Go back while the database does not answer, as a server does that is only starting."""
    migrating(live, cluster, MIGRATED)
    until(lambda: ended(live))
    start(live, "rollback", "--yes")
    until(lambda: "Stop the hub" in texts(live, "rollback"))
    cluster.psql("ALTER DATABASE jupyterhub RENAME TO away;")
    until(lambda: "Look at the databases on the PostgreSQL server" in texts(live, "rollback"))


def gone_back(live: Live) -> bool:
    return bool(journal.state(live.hub, "rollback")["end"]) and not lock.held(live.hub)


def test_a_server_that_does_not_answer_is_waited_for(served: Live, cluster: Cluster) -> None:
    live = served
    going_back_without_it(live, cluster)
    cluster.psql("ALTER DATABASE away RENAME TO jupyterhub;")
    until(lambda: gone_back(live))
    assert journal.state(live.hub, "rollback")["end"]["error"] is None
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")


def test_one_that_never_answers_is_told_and_can_be_resumed(
    served: Live, cluster: Cluster, cli: Cli
) -> None:
    live = served
    settings = live.hub.settings_file
    settings.write_text(settings.read_text().replace("within: 20", "within: 1"))
    going_back_without_it(live, cluster)
    until(lambda: gone_back(live))
    end = journal.state(live.hub, "rollback")["end"]
    assert end["code"] == DatabaseMissing.code
    assert "Nothing was changed" not in end["error"]["message"]
    assert "its hub is stopped" in end["error"]["message"]
    assert live.source.services.pid(services.HUB) is None
    assert live.source.services.pid(services.PROXY)  # it leads to users' servers
    cluster.psql("ALTER DATABASE away RENAME TO jupyterhub;")
    assert cli("resume", "--hub", live.hub.prefix).returncode == UpgradeRolledBack.code
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")
    assert live.source.services.pid(services.HUB)


RUNS = """
INSERT INTO servers (id, ip, port, base_url) VALUES
  (1, '127.0.0.1', 4001, '/user/alice/'), (2, '127.0.0.1', 4002, '/user/bob/');
INSERT INTO spawners (user_id, server_id, name) VALUES (1, 1, ''), (2, 2, '');
"""


def test_a_user_server_that_was_started_anew_is_no_longer_known(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The old hub would look for it where it was, and stop it."""
    server = postgres_address.parse(cluster.database("jupyterhub"))
    cluster.psql(RUNS, "jupyterhub")
    dump = tmp_path / "jupyterhub"
    dumps.keep(server, dump)
    cluster.psql(MIGRATED, "jupyterhub")
    cluster.psql("UPDATE servers SET port = 4003 WHERE id = 2;", "jupyterhub")
    assert dumps.restore(server, dump, tmp_path / "newer")
    assert [each.label for each in hubdb.servers(server)] == ["alice"]
    assert not dumps.restore(server, dump, tmp_path / "newer")


def test_an_extension_of_the_servers_own_user_is_left_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    server = postgres_address.parse(cluster.database("jupyterhub"))
    cluster.psql("CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION pg_trgm IS 'x';", "jupyterhub")
    dump = tmp_path / "jupyterhub"
    dumps.keep(server, dump)
    cluster.psql(MIGRATED, "jupyterhub")
    assert dumps.restore(server, dump, tmp_path / "newer")
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")


def test_each_try_keeps_what_it_replaces(cluster: Cluster, tmp_path: Path) -> None:
    server = postgres_address.parse(cluster.database("jupyterhub"))
    dump, newer = tmp_path / "jupyterhub", tmp_path / "newer" / "jupyterhub"
    dumps.keep(server, dump)
    cluster.psql(MIGRATED, "jupyterhub")
    cluster.psql("ALTER TABLE servers OWNER TO super;", "jupyterhub")
    cluster.psql("GRANT SELECT ON servers, servers_id_seq TO hub;", "jupyterhub")
    with pytest.raises(RestoreFailed):
        dumps.restore(server, dump, newer)
    cluster.psql("INSERT INTO groups (id, name) VALUES (9, 'later');", "jupyterhub")
    cluster.psql("ALTER TABLE servers OWNER TO hub;", "jupyterhub")
    assert dumps.restore(server, dump, newer)
    kept = [newer, newer.with_name("jupyterhub-2")]
    assert [postgres_dump.contents(each).rows["groups"] for each in kept] == [1, 2]
