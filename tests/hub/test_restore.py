"""Restoring: told first, prepared while all runs, carried out whole or undone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live, living, until

from tljh_runbook.errors import NoSpace, NotKept, RestoreFailed, SettingsInvalid, SnapshotDamaged
from tljh_runbook.hub.backup import capture, choice, components, extraction, restore
from tljh_runbook.hub.backup.choice import Request
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import hubdb
from tljh_runbook.hub.servers.probe import Probe, Target
from tljh_runbook.hub.snapshots import exchange, snapshot
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.system import services

NAMES = ("config", "database", "plugin")


def quiet(_: str) -> None:
    """Say nothing."""


def backup(source: Source, *names: str) -> Snapshot:
    return capture.create(source, components.chosen(names or NAMES))


def restoration(source: Source, kept: Snapshot, *paths: Path) -> Restoration:
    return Restoration(source, kept, quiet, paths=paths)


def planned(source: Source, kept: Snapshot, *names: str) -> list[Action]:
    return restore.plan(restoration(source, kept), components.chosen(names or NAMES))


def restored(source: Source, kept: Snapshot, *names: str) -> restore.Outcome:
    wanted = restoration(source, kept)
    chosen = components.chosen(names or ("config", "database"))
    return restore.carry_out(wanted, restore.plan(wanted, chosen))


def whats(actions: list[Action], hub: Path) -> dict[str, str]:
    return {os.path.relpath(each.what, hub): each.before for each in actions}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Snapshot]]:
    """A hub that lives and has a snapshot; each test breaks it and restores it."""
    with living(tmp_path_factory.mktemp("restore") / "server") as live:
        yield live, backup(live.source)


def test_nothing_to_do(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    restored(live.source, kept)
    assert planned(live.source, kept) == []
    pids = {name: live.source.services.pid(name) for name in (services.HUB, services.PROXY)}
    assert restored(live.source, kept).actions == []
    assert {name: live.source.services.pid(name) for name in pids} == pids


def test_a_plan_changes_nothing(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    live.hub.config_file.write_text(live.hub.config_file.read_text() + "# more\n")
    before = hub_folder.contents(live.hub.root)
    assert whats(planned(live.source, kept), live.hub.prefix) == {"config/config.yaml": "differs"}
    assert hub_folder.contents(live.hub.root) == before


def test_all_state_comes_back(server: tuple[Live, Snapshot]) -> None:
    """With the state folder gone, and a row of the plugin's database before that."""
    live, kept = server
    restored(live.source, kept)
    before = hub_folder.contents(live.hub.state)
    aside = live.hub.root / "aside"
    live.hub.state.rename(aside)
    (live.hub.config / "jupyterhub_config.d" / "extra.py").unlink()
    outcome = restored(live.source, kept)
    after = hub_folder.contents(live.hub.state)
    # The empty lock of config is left out, and what the proxy makes again was missing.
    assert {name: each for name, each in after.items() if name in before} == before
    assert outcome.servers == {"alice": True}
    assert live.hub.state.stat().st_mode & 0o777 == 0o700
    assert outcome.replaced == []  # nothing was there
    assert restore.cut_off(live.hub.work) is None


def test_what_is_replaced_is_kept(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    database = live.hub.state / "tljh_plasma.sqlite"
    hub_folder.change(database, "DELETE FROM permissions")
    (database.parent / f"{database.name}-wal").write_bytes(b"left behind")
    changed = database.read_bytes()
    outcome = restored(live.source, kept, "database")
    assert outcome.replaced
    old = outcome.replaced[0] / str(database).lstrip("/")
    assert old.read_bytes() == changed
    assert old.with_name(f"{database.name}-wal").read_bytes() == b"left behind"
    assert not database.with_name(f"{database.name}-wal").exists()
    assert len(hub_folder.ask(database, "SELECT * FROM permissions")) == len(hub_folder.IMAGES)
    assert outcome.replaced[0].stat().st_mode & 0o077 == 0


def test_owner_mode_and_time_come_back(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    restored(live.source, kept)
    file = live.hub.state / "jupyterhub_cookie_secret"
    before = file.stat()
    file.chmod(0o666)
    os.utime(file, (1, 1))
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    restored(live.source, kept)
    after = file.stat()
    kinds = ("st_mode", "st_uid", "st_gid", "st_mtime_ns")
    assert [getattr(after, kind) for kind in kinds] == [getattr(before, kind) for kind in kinds]


def test_one_path_alone(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    secret = live.hub.state / "jupyterhub_cookie_secret"
    for path in (live.hub.config_file, secret):
        path.write_text(path.read_text() + "# changed\n")
    request = Request(paths=(secret,))
    found = choice.choose(live.source, request)
    assert [each.name for each in found.components] == ["config"]
    wanted = restoration(live.source, found.kept, *found.paths)
    restore.carry_out(wanted, restore.plan(wanted, found.components))
    assert "changed" not in secret.read_text()
    assert "changed" in live.hub.config_file.read_text()
    restored(live.source, kept)


def test_a_link_in_the_place_is_replaced_not_followed(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    victim = live.hub.root / "victim"
    victim.write_text("stays")
    secret = live.hub.state / "jupyterhub_cookie_secret"
    secret.unlink()
    secret.symlink_to(victim)
    outcome = restored(live.source, kept)
    assert victim.read_text() == "stays"
    assert not secret.is_symlink()
    assert outcome.replaced
    assert (outcome.replaced[0] / str(secret).lstrip("/")).readlink() == victim


def test_a_folder_in_the_place_is_refused(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    secret = live.hub.state / "jupyterhub_cookie_secret"
    secret.unlink()
    (secret / "below").mkdir(parents=True)
    live.hub.config_file.write_text(live.hub.config_file.read_text() + "# more\n")
    before = hub_folder.contents(live.hub.root)
    with pytest.raises(RestoreFailed, match=r"is a folder.*Nothing was changed"):
        restored(live.source, kept)
    assert hub_folder.contents(live.hub.root) == before
    (secret / "below").rmdir()
    secret.rmdir()
    restored(live.source, kept)


def test_what_fails_half_way_is_undone(server: tuple[Live, Snapshot]) -> None:
    """The third file cannot be exchanged: the first two are as they were, the hub runs."""
    live, kept = server
    restored(live.source, kept)
    names = ["acme.json", "jupyterhub_cookie_secret", "traefik-api.secret"]
    for name in names[:2]:
        (live.hub.state / name).write_text("changed")
    (live.hub.state / names[2]).unlink()
    wanted = restoration(live.source, kept)
    actions = restore.plan(wanted, components.chosen(["config"]))

    def fail() -> None:
        raise RestoreFailed("The disk is gone.", hint="")

    broken = [*actions[:-1], replace(actions[-1], carry_out=fail)]
    before = hub_folder.contents(live.hub.prefix)
    with pytest.raises(RestoreFailed, match=r"gone\. What had been restored before was undone"):
        restore.carry_out(wanted, broken)
    assert hub_folder.contents(live.hub.prefix) == before
    assert live.source.services.pid(services.HUB)
    assert restore.cut_off(live.hub.work) is None  # all is as before: nothing to go on with
    restored(live.source, kept)
    assert restore.cut_off(live.hub.work) is None


def test_killed_in_the_middle_it_is_run_again(server: tuple[Live, Snapshot]) -> None:
    live, kept = server
    restored(live.source, kept)
    good = hub_folder.contents(live.hub.state)
    for name in ("acme.json", "jupyterhub_cookie_secret", "tljh_repo2docker_cookie_secret"):
        (live.hub.state / name).write_bytes(b"changed")
    program = f"""
        import sys, time
        from pathlib import Path
        from tljh_runbook.hub.backup import components, restore
        from tljh_runbook.hub.snapshots import exchange
        from tljh_runbook.hub.core import layout, settings
        from tljh_runbook.hub.system import services
        from tljh_runbook.hub.snapshots import snapshot
        from tljh_runbook.hub.snapshots.restoration import Restoration
        from tljh_runbook.hub.context import Source
        hub = layout.find(Path({str(live.hub.prefix)!r}))
        found = settings.load(hub)
        source = Source(hub, found, services.of(hub, found))
        count = 0
        def say(text):
            global count
            count += text.startswith(str(hub.prefix))
            if count == 2:
                print("two", flush=True)
                time.sleep(1000)
        wanted = Restoration(source, snapshot.read(Path({str(kept.path)!r})), say)
        restore.carry_out(wanted, restore.plan(wanted, components.chosen(["config"])))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "two\n"
        child.send_signal(signal.SIGKILL)
    assert live.source.services.pid(services.HUB) is None
    assert restore.cut_off(live.hub.work) == {"snapshot": kept.path.name, "typed": "restore"}
    restored(live.source, kept, "config")
    after = hub_folder.contents(live.hub.state)
    assert {name: after[name] for name in good} == good
    assert set(after) == set(good), "nothing staged was left"
    until(lambda: live.source.services.pid(services.HUB))


def test_a_damaged_file_of_the_snapshot_changes_nothing(
    server: tuple[Live, Snapshot], tmp_path: Path
) -> None:
    live, kept = server
    restored(live.source, kept)
    (live.hub.state / "acme.json").write_text("changed")
    sealed = kept.path / "config" / "state" / "acme.json"
    data = sealed.read_bytes()
    before = hub_folder.contents(live.hub.prefix)
    sealed.write_bytes(data + b"!")
    try:
        with pytest.raises(SnapshotDamaged, match="not as it was sealed"):
            restored(live.source, kept)
        assert hub_folder.contents(live.hub.prefix) == before
    finally:
        sealed.write_bytes(data)


def test_no_room_changes_nothing(server: tuple[Live, Snapshot]) -> None:
    """Staging meets a full disk: a limit on the size of files stands for it."""
    live, kept = server
    restored(live.source, kept)
    (live.hub.state / "jupyterhub_cookie_secret").write_text("changed")
    hub_folder.change(live.hub.state / "tljh_plasma.sqlite", "DELETE FROM permissions")
    before = hub_folder.contents(live.hub.prefix)
    command = [sys.executable, "-m", "tljh_runbook", "restore", "config", "database", "--yes"]
    shell = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$@"', "-", *command]
    done = subprocess.run(
        [*shell, "--snapshot", kept.path.name, "--hub", str(live.hub.prefix)],
        capture_output=True,
        text=True,
        check=False,
        # Under this limit bytecode would be cut short, and would stay so.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 16, done.stderr
    assert "Nothing was changed" in done.stderr
    assert hub_folder.contents(live.hub.prefix) == before


def test_into_a_folder_to_look_at(server: tuple[Live, Snapshot], tmp_path: Path) -> None:
    live, kept = server
    before = hub_folder.contents(live.hub.root)
    into = tmp_path / "look"
    wanted = restoration(live.source, kept)
    written = extraction.extract(wanted, components.chosen(["config"]), into)
    assert hub_folder.contents(live.hub.root) == before
    shown = into / str(live.hub.config_file).lstrip("/")
    assert shown in written
    assert shown.read_bytes() == (kept.path / "config" / "config" / "config.yaml").read_bytes()
    assert into.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SettingsInvalid, match="not empty"):
        extraction.extract(wanted, components.chosen(["config"]), into)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led where a user is not")
@pytest.mark.parametrize("planted", ["folder", "parent", "link", "open", "shared"])
def test_into_no_folder_that_a_user_may_exchange(
    server: tuple[Live, Snapshot], tmp_path: Path, planted: str
) -> None:
    live, kept = server
    tmp_path.chmod(0o755)
    theirs, nobody = tmp_path / "theirs", 65534
    theirs.mkdir()
    into = {
        "folder": theirs,
        "parent": theirs / "look",
        "link": tmp_path / "link",
        "open": theirs,
        "shared": theirs,
    }[planted]
    if planted in {"folder", "parent"}:
        os.chown(theirs, nobody, nobody)
    elif planted == "link":
        into.symlink_to(theirs)
        os.chown(into, nobody, nobody, follow_symlinks=False)
    else:
        theirs.chmod(0o777 if planted == "open" else 0o1777)
    with pytest.raises(SettingsInvalid, match="no safe place"):
        extraction.extract(restoration(live.source, kept), components.chosen(["config"]), into)
    assert not [*theirs.iterdir()]


def test_into_a_new_folder_where_everybody_may_make_one(
    server: tuple[Live, Snapshot], tmp_path: Path
) -> None:
    """As in /tmp: nobody else can exchange what root has made there."""
    live, kept = server
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    into = shared / "a" / "look"
    extraction.extract(restoration(live.source, kept), components.chosen(["config"]), into)
    assert into.parent.stat().st_mode & 0o777 == 0o700


def test_the_newest_that_holds_what_is_asked(server: tuple[Live, Snapshot]) -> None:
    live, _ = server
    alone = backup(live.source, "config")
    try:
        assert choice.choose(live.source, Request()).kept.path != alone.path
        assert choice.choose(live.source, Request(("config",))).kept.path == alone.path
        with pytest.raises(NotKept, match="does not hold database"):
            choice.choose(live.source, Request(("database",), snapshot=alone.path.name))
        with pytest.raises(NotKept, match="does not hold /nowhere"):
            choice.choose(live.source, Request(paths=(Path("/nowhere"),)))
        with pytest.raises(NotKept, match="holds no home of 'mallory'"):
            choice.choose(live.source, Request(user="mallory"))
    finally:
        for path in alone.path.rglob("*"):
            if path.is_file():
                path.unlink()
        snapshot.find(live.source.backups, None)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "15.01.2026"])
def test_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        choice.moment(text)


def test_a_day_means_all_of_it() -> None:
    assert 0 < choice.moment("2026-01-16 00:00") - choice.moment("2026-01-15") < 1e-3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_no_room_to_keep_what_is_replaced(server: tuple[Live, Snapshot]) -> None:
    """The disk is full when the hub is stopped already: it starts again, as it was."""
    live, kept = server
    restored(live.source, kept)
    (live.hub.state / "acme.json").write_text("changed")
    (live.hub.state / "jupyterhub_cookie_secret").write_bytes(os.urandom(1 << 20))
    before = hub_folder.contents(live.hub.state)
    replaced = live.hub.work / "replaced"
    replaced.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", replaced], check=True)
    try:
        with pytest.raises(NoSpace, match=r"What had been restored before was undone"):
            restored(live.source, kept, "config")
    finally:
        subprocess.run(["umount", replaced], check=True)
    assert hub_folder.contents(live.hub.state) == before
    assert live.source.services.pid(services.HUB)
    restored(live.source, kept)


def test_changes_that_are_only_in_the_log_count(server: tuple[Live, Snapshot]) -> None:
    """The main file is as it was kept; what a reader of the database sees is not."""
    live, kept = server
    restored(live.source, kept)
    database = live.hub.state / "tljh_repo2docker.sqlite"
    dying = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "connection.execute('PRAGMA journal_mode = WAL');"
        "connection.execute('DELETE FROM images'); os._exit(0)"  # so that nothing closes it
    )
    subprocess.run([sys.executable, "-c", dying, database], check=True)
    assert database.with_name(f"{database.name}-wal").stat().st_size
    assert str(database) in [each.what for each in planned(live.source, kept, "database")]
    restored(live.source, kept, "database")
    assert len(hub_folder.ask(database, "SELECT * FROM images")) == len(hub_folder.IMAGES)


@pytest.fixture
def started_since(server: tuple[Live, Snapshot]) -> Iterator[Path]:
    """The hub's database, in which bob's server has been started since the snapshot."""
    live, kept = server
    restored(live.source, kept)
    database = live.hub.state / "jupyterhub.sqlite"
    process = subprocess.Popen(["sleep", "1000"])
    try:
        hub_folder.write_server(live.hub, "bob", process.pid)
        live.answer("/user/bob/api", 200, "{}")
        yield database
    finally:
        process.kill()
        process.wait()
        hub_folder.change(database, "DELETE FROM spawners")  # or the next restore keeps bob's
        restored(live.source, kept)


def test_a_server_that_was_started_since_runs_on_and_stays_known(
    server: tuple[Live, Snapshot], started_since: Path
) -> None:
    """The hub deletes the routes of the servers that its database does not name."""
    live, kept = server
    hub_folder.change(started_since, "DELETE FROM user_group_map")
    (action,) = planned(live.source, kept, "database")
    assert action.after == "as kept, with the servers that bob started since"
    outcome = restored(live.source, kept, "database")
    assert outcome.servers == {"alice": True, "bob": True}
    assert [each.label for each in hubdb.servers(started_since)] == ["alice", "bob"]
    assert len(hub_folder.ask(started_since, "SELECT * FROM user_group_map")) == 2
    assert kept.path == snapshot.verify(kept.path, quiet).path


def test_a_new_user_whose_server_runs_is_entered_but_not_as_an_admin(
    server: tuple[Live, Snapshot], started_since: Path
) -> None:
    live, kept = server
    another = "UPDATE users SET name = 'mallory', admin = 1, cookie_id = 'hers' WHERE id = 2"
    hub_folder.change(started_since, another)
    outcome = restored(live.source, kept, "database")
    assert set(outcome.servers) == {"alice", "mallory"}
    assert hubdb.users(started_since) == {**hub_folder.PEOPLE, "mallory": False}


def test_a_server_that_cannot_be_entered_is_named_first_and_not_waited_for(
    server: tuple[Live, Snapshot], started_since: Path
) -> None:
    """A database whose tables do not fit is restored as it was saved."""
    live, kept = server
    hub_folder.change(started_since, "ALTER TABLE oauth_clients RENAME TO clients")
    hub_folder.change(started_since, "UPDATE spawners SET oauth_client_id = 'a' WHERE id = 2")
    wanted = restoration(live.source, kept)
    restore.plan(wanted, components.chosen(["database"]))
    assert "the servers of bob" in " ".join(wanted.notes)
    outcome = restored(live.source, kept, "database")
    assert outcome.servers == {"alice": True, "bob": False}
    assert outcome.seconds < restore.ROUTES
    assert started_since.read_bytes() == (kept.path / "database" / started_since.name).read_bytes()


def test_the_journal_of_a_cut_restore_is_not_played_into_the_next(
    server: tuple[Live, Snapshot], started_since: Path
) -> None:
    """A kill while servers are entered into a copy of another snapshot leaves its journal."""
    live, kept = server
    staged = exchange.staged_name(started_since)
    shutil.copyfile(kept.path / "database" / started_since.name, staged)
    dying = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "connection.execute('PRAGMA cache_size = 1');"  # so that the file is written to
        "connection.execute('UPDATE users SET name = name || id');"
        "connection.execute('BEGIN'); connection.execute('DELETE FROM users');"
        "connection.execute('CREATE TABLE more AS WITH RECURSIVE n(i) AS"
        " (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT i, randomblob(99) FROM n');"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", dying, staged], check=False)
    journal = staged.with_name(f"{staged.name}-journal")
    assert journal.stat().st_size
    restored(live.source, kept, "database")
    assert not journal.exists()
    assert hubdb.users(started_since) == hub_folder.PEOPLE
    assert [each.label for each in hubdb.servers(started_since)] == ["alice", "bob"]


def test_a_home_that_refuses_does_not_keep_the_hub_from_coming_back(
    server: tuple[Live, Snapshot],
) -> None:
    live, kept = server
    restored(live.source, kept)
    (live.hub.state / "acme.json").write_text("changed")
    wanted = restoration(live.source, kept)

    def refuse() -> None:
        raise RestoreFailed("On another disk.", hint="Copy it.")

    home = Action("/home", "missing", "as kept", carry_out=refuse)
    actions = [home, *restore.plan(wanted, components.chosen(["config"]))]
    with pytest.raises(RestoreFailed, match=r"On another disk\. All else was restored"):
        restore.carry_out(wanted, actions)
    assert planned(live.source, kept) == []
    assert restore.cut_off(live.hub.work) is None


@pytest.mark.parametrize(
    ("file", "restarts"),
    [
        ("jupyterhub_cookie_secret", False),
        ("tljh_plasma.sqlite", False),
        ("../config/config.yaml", False),
        ("acme.json", True),
        ("traefik-api.secret", True),
        ("rules/rules.toml", True),
    ],
)
def test_the_proxy_restarts_for_its_own_files_alone(
    server: tuple[Live, Snapshot], file: str, restarts: bool
) -> None:
    """Whoever works on a server of their own is reached through the proxy all the time."""
    live, kept = server
    restored(live.source, kept)
    (live.hub.state / file).unlink()
    before = {name: live.source.services.pid(name) for name in (services.HUB, services.PROXY)}
    server_of_alice = Target(f"http://127.0.0.1:{live.port}/user/alice/api")
    with Probe({"server of alice": server_of_alice}) as probe:
        restored(live.source, kept)
    after = {name: live.source.services.pid(name) for name in before}
    assert (live.hub.state / file).exists()
    assert before[services.HUB] != after[services.HUB]
    assert (before[services.PROXY] != after[services.PROXY]) == restarts
    assert restarts or [each.failed for each in probe.outages] == [0]


def test_what_the_proxy_generates_fits_its_secret(server: tuple[Live, Snapshot]) -> None:
    """TLJH was installed again: the new files name another password than the saved secret."""
    live, kept = server
    restored(live.source, kept)
    generated = live.hub.state / "rules" / "rules.toml"
    saved = generated.read_text()
    generated.write_text("# of the new secret\n")
    assert planned(live.source, kept, "config") == []  # an older one is not better
    (live.hub.state / "traefik-api.secret").write_text("new")
    restored(live.source, kept, "config")
    assert generated.read_text() == saved
