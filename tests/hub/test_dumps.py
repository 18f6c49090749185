"""Upgrades of a hub whose users are on a PostgreSQL server: it comes back with the old version."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hub_fixtures import Cli, Live, until
from postgres_cluster import PASSWORD, Cluster, running
from test_staging import done, start, texts

from tljh_runbook.errors import DatabaseMissing, UpgradeTakenBack
from tljh_runbook.hub import capture, components, journal, lock, services, versions
from tljh_runbook.hub.staging import mark

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
    until(lambda: "Setting up TLJH 2.0.0" in texts(live))
    cluster.psql(sql, "jupyterhub")
    (live.hub.root / "srv" / "wait").unlink()


def ended(live: Live) -> bool:
    return bool(journal.state(live.hub, "upgrade")["end"]) and not lock.held(live.hub)


def test_a_broken_promise_takes_the_database_back_too(served: Live, cluster: Cluster) -> None:
    live = served
    migrating(live, cluster, MIGRATED + LOST)
    until(lambda: ended(live))
    end = journal.state(live.hub, "upgrade")["end"]
    assert end["code"] == UpgradeTakenBack.code
    assert "bob" in end["error"]["message"]
    assert versions.installed(live.hub).rows()["TLJH"] == "1.0.0"
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")
    assert mark.read(live.hub) is None


def test_it_is_taken_back_by_hand_and_the_newer_one_is_kept(
    served: Live, cluster: Cluster, cli: Cli
) -> None:
    live = served
    migrating(live, cluster, MIGRATED)
    until(lambda: ended(live))
    assert (revision(cluster), names(cluster)) == ("newer", "alice bob carol dave")
    preview = cli("rollback", "--dry-run", "--json", "--hub", live.hub.prefix)
    assert json.loads(preview.stdout)["lost"] == {"jupyterhub: users": 1}
    assert done(live, "rollback", "--yes")["error"] is None
    assert "Kept with the newer database alone: user dave is gone" in texts(live, "rollback")
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


def test_a_server_that_does_not_answer_is_waited_for(
    served: Live, cluster: Cluster, cli: Cli
) -> None:
    live = served
    migrating(live, cluster, MIGRATED)
    until(lambda: ended(live))
    start(live, "rollback", "--yes")
    until(lambda: "Stop the hub" in texts(live, "rollback"))
    cluster.psql("ALTER DATABASE jupyterhub RENAME TO away;")
    until(lambda: bool(journal.state(live.hub, "rollback")["end"]) and not lock.held(live.hub))
    end = journal.state(live.hub, "rollback")["end"]
    assert end["code"] == DatabaseMissing.code
    assert "The old version is in its place and stopped" in end["error"]["message"]
    assert live.source.services.pid(services.HUB) is None
    cluster.psql("ALTER DATABASE away RENAME TO jupyterhub;")
    assert cli("resume", "--hub", live.hub.prefix).returncode == 0
    assert (revision(cluster), names(cluster)) == (OLD, "alice bob carol")
    assert live.source.services.pid(services.HUB)
