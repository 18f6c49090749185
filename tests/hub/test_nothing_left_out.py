"""All of state/ and config/ is in the snapshot and restored, or the backup names it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Cli, carry_out

from tljh_runbook.errors import BackupIncomplete
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.schedule import scheduled
from tljh_runbook.hub.snapshots import inventory, snapshot
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot

NAMES = ("config", "database")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")


def backup(source: Source) -> Snapshot:
    made = capture.create(source, components.chosen(NAMES))
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=made.path, check=False)
    assert done.returncode == 0
    return made


def database(path: Path, *, mode: str = "delete") -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        connection.execute("INSERT INTO Dict VALUES ('alice', 'hash')")


def planned(source: Source, kept: Snapshot, notes: list[str] | None = None) -> list[Action]:
    said = notes if notes is not None else []
    restoration = Restoration(source, kept, lambda _: None, notes=said)
    return [each for one in components.chosen(NAMES) for each in one.restore(restoration)]


def restore(source: Source, kept: Snapshot) -> None:
    carry_out(planned(source, kept))


def tree(source: Source) -> dict[str, object]:
    """Return all that is in state/ and config/, bytes of databases excepted."""
    found: dict[str, object] = {}
    for folder in (source.hub.state, source.hub.config):
        for path in folder.rglob("*"):
            status = path.lstat()
            about = [oct(status.st_mode), status.st_uid, status.st_gid]
            if path.is_symlink():
                about.append(str(path.readlink()))
            elif path.is_file():
                data = path.read_bytes()
                about.append(b"" if data.startswith(inventory.SQLITE) else data)
            found[str(path)] = about
    return found


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize(
    "name", ["passwords.dbm", "sessions", "users.sqlite", "quota.sqlite.old", "a\nb", "sub/x.db"]
)
def test_a_sqlite_file_of_any_name_is_copied_consistently(
    source: Source, name: str, mode: str
) -> None:
    path = source.hub.state / name
    path.parent.mkdir(exist_ok=True)
    database(path, mode=mode)
    with closing(sqlite3.connect(path)) as writer:
        with writer:
            writer.execute("INSERT INTO Dict VALUES ('bob', 'hash')")  # in WAL mode: in the log
        made = backup(source)
    copy = made.path / "database" / "state" / name
    assert hub_folder.ask(copy, "SELECT key FROM Dict") == [("alice",), ("bob",)]
    about = made.manifest.components["database"][f"state/{name}"]
    assert (about["origin"], about["rows"]) == (str(path), {"Dict": 2})
    assert made.notes == []
    path.unlink()
    restore(source, made)
    assert hub_folder.ask(path, "SELECT key FROM Dict") == [("alice",), ("bob",)]


def test_a_database_in_config_and_one_without_a_table(source: Source) -> None:
    database(source.hub.config / "list.db")
    empty = source.hub.state / "empty.db"
    hub_folder.script(empty, "PRAGMA user_version = 7;")
    made = backup(source)
    kept = {entry.origin for entry in made.manifest.of("database")}
    assert {str(source.hub.config / "list.db"), str(empty)} <= kept
    assert made.notes == []


def test_a_damaged_database_that_the_hub_need_not_have_is_named_and_the_rest_kept(
    source: Source, cli: Cli
) -> None:
    hub_folder.keep(source.hub.state / "passwords.dbm", inventory.SQLITE + b"x" * 5000, 0o600)
    made = backup(source)
    assert "database/jupyterhub.sqlite" in {entry.path for entry in made.manifest.files}
    [note] = made.notes
    assert "passwords.dbm" in note
    done = cli("backup", "database", "--hub", source.hub.prefix)
    assert "passwords.dbm" in done.stderr
    with pytest.raises(BackupIncomplete, match="could not be read"):
        scheduled.run(source, "backup", lambda _: None, lambda _: None)


def test_every_kind_of_entry_is_in_it_or_named(  # noqa: PLR0915 - all kinds beside one another
    source: Source, tmp_path: Path, cli: Cli
) -> None:
    hub, outside = source.hub, tmp_path / "srv"
    hub_folder.keep(outside / "conf" / "deep" / "a.py", "c = 1\n", 0o640)
    hub_folder.keep(outside / "conf" / ".git" / "HEAD", "ref\n", 0o644)
    (outside / "conf" / "again").symlink_to(outside / "conf")
    hub_folder.keep(outside / "one.toml", "[x]\n", 0o644)
    shutil.rmtree(hub.config / "jupyterhub_config.d")
    (hub.config / "jupyterhub_config.d").symlink_to(outside / "conf")
    (hub.config / "traefik_config.d").mkdir()
    (hub.config / "traefik_config.d" / "one.toml").symlink_to("../../../../../srv/one.toml")
    (hub.config / "dangling").symlink_to("/nowhere/at/all")
    (hub.config / "loop").symlink_to("loop")
    (hub.config / "empty folder").mkdir(mode=0o750)
    (hub.state / "inside").symlink_to("acme.json")
    os.mkfifo(hub.state / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(hub.state / "s"))
    hub_folder.keep(hub.state / os.fsdecode(b"caf\xe9\nx"), "latin", 0o600)
    hub_folder.keep(hub.state / "passwords.dat", "dumb", 0o600)
    os.link(hub.state / "passwords.dat", hub.state / "hard link")
    hub_folder.keep(hub.state / "jupyterhub-proxy.pid", "1", 0o644)
    hub_folder.keep(hub.state / "tljh_plasma.sqlite.2026-01-02-030405", "cut short", 0o644)
    with (hub.state / "huge").open("wb") as file:
        file.truncate(inventory.LARGEST + 1)
    made = backup(source)
    (hub.state / "huge").unlink()
    bound.close()
    for name in ("s", "pipe"):
        (hub.state / name).unlink()

    copied = {entry.origin for entry in made.manifest.files}
    links = made.manifest.components["config"]["links"]
    assert {
        str(outside / "conf" / "deep" / "a.py"),
        str(outside / "one.toml"),
        str(hub.state / os.fsdecode(b"caf\xe9\nx")),
        str(hub.state / "passwords.dat"),
        str(hub.state / "hard link"),
    } <= copied
    assert links[str(hub.config / "jupyterhub_config.d")] == str(outside / "conf")
    assert links[str(hub.config / "dangling")] == "/nowhere/at/all"
    assert links[str(hub.config / "loop")] == "loop"
    assert links[str(hub.state / "inside")] == "acme.json"
    named = {Path(path).name for path in made.left_out}
    assert {"huge", "pipe", "s", ".lock", "jupyterhub-proxy.pid", ".git", "all"} <= named
    assert "tljh_plasma.sqlite.2026-01-02-030405" in named
    assert made.notes == []
    done = cli("snapshots", "show", "--hub", hub.prefix)
    assert all(name in done.stdout for name in named)
    assert '"left_out"' in cli("snapshots", "show", "--json", "--hub", hub.prefix).stdout

    for name in ("jupyterhub-proxy.pid", "tljh_plasma.sqlite.2026-01-02-030405"):
        (hub.state / name).unlink()
    (hub.config / ".lock").unlink()
    before = tree(source)
    assert planned(source, made) == []
    shutil.rmtree(hub.config)
    shutil.rmtree(hub.state)
    shutil.rmtree(outside)
    hub.config.mkdir(mode=0o700)
    hub.state.mkdir(mode=0o700)
    restore(source, made)
    assert tree(source) == before
    assert (hub.config / "jupyterhub_config.d" / "deep" / "a.py").read_text() == "c = 1\n"
    assert planned(source, made) == []


def test_a_link_that_leads_elsewhere_is_put_right_and_what_replaced_it_is_left(
    source: Source, tmp_path: Path
) -> None:
    link, other = source.hub.config / "a.py", source.hub.config / "b.py"
    link.symlink_to(source.hub.prefix)  # state/ and config/ are below it, and not entered twice
    other.symlink_to(tmp_path / "nothing")
    made = backup(source)
    link.unlink()
    link.symlink_to("elsewhere")
    other.unlink()
    other.write_text("mine now")
    notes: list[str] = []
    [action] = planned(source, made, notes)
    action.carry_out()
    assert link.readlink() == source.hub.prefix
    assert "b.py is left as it is" in notes[0]
    assert action.undo
    action.undo()
    assert link.readlink() == Path("elsewhere")


@NEEDS_ROOT
def test_root_copies_nothing_that_a_user_could_have_put_there(
    source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    hub_folder.keep(folder / "theirs" / "x.py", "", 0o644)
    (folder / "theirs" / "secret").symlink_to("/etc/shadow")
    os.chown(folder / "theirs", 1234, 1234)
    (source.hub.config / "shared").symlink_to(folder)
    made = backup(source)
    assert {entry.origin for entry in made.manifest.files if "shared" in entry.path} == set()
    assert made.left_out[str(folder / "theirs" / "secret")].startswith("the folder")


def test_a_link_to_all_there_is_is_named_and_not_followed(source: Source) -> None:
    (source.hub.config / "everything").symlink_to("/usr")
    made = backup(source)
    assert "more than" in made.left_out["/usr"]


def test_a_file_that_cannot_be_read_is_named_and_the_rest_kept(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = source.hub.state / "traefik-api.secret"
    real = os.open

    def failing(path: object, *arguments: int, **options: int) -> int:
        if path == bad:
            raise OSError(5, "Input/output error", str(path))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", failing)
    made = backup(source)
    [note] = made.notes
    assert "traefik-api.secret" in note
    assert "Input/output error" in note
    assert snapshot.read(made.path).unread == {"config": {str(bad): "Input/output error"}}


def test_what_vanishes_meanwhile_is_no_loss(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = inventory.of(source.hub)
    found.files[source.hub.state / "rules" / "gone.toml"] = "state/rules/gone.toml"
    found.databases[source.hub.state / "gone.db"] = "state/gone.db"
    monkeypatch.setattr(inventory, "of", lambda _: found)
    assert backup(source).notes == []
