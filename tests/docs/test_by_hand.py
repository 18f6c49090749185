"""What the guide shows to be typed by hand gives the same as the step that it stands beside."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented.server import Server, opened

from tljh_runbook.guide import catalog

pytestmark = pytest.mark.long

TESTED = {"backup.database", "backup.config", "backup.user-data", "backup.verify", "snapshots"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sandbox with a snapshot."""
    with opened(tmp_path_factory.mktemp("by-hand"), os.environ, sandbox=True, path="") as found:
        furnish(next((root(found) / "home").iterdir()))
        assert found.run("tljh-runbook backup --hub /opt/tljh")[1] == 0
        yield found


def furnish(home: Path) -> None:
    """Put into a home what is kept, and what programs make again by themselves."""
    for name in ("work/.hidden", ".local/share/Trash/files/old", "work/__pycache__/a.pyc"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    for place in (".cache", ".Trash-1000", ".conda/pkgs", "miniconda3/pkgs", "node_modules/.cache"):
        (home / place).mkdir(parents=True)
        (home / place / "again").write_text(place)
    (home / "work" / ".hidden").chmod(0o640)
    (home / "work" / "link").symlink_to("/etc/nowhere")


def by_hand(server: Server, step: str) -> list[str]:
    """Type what the guide shows for a step; return what was printed."""
    printed, code = server.run(catalog.find(step).by_hand)
    assert code == 0, printed
    return printed


def root(server: Server) -> Path:
    assert server.root
    return server.root


def snapshot(server: Server) -> Path:
    return next((root(server) / "var/backups/tljh").glob("2*"))


def test_every_way_by_hand_is_tested() -> None:
    assert {step.name for step in catalog.every() if step.by_hand} == TESTED


def test_databases(server: Server) -> None:
    by_hand(server, "backup.database")
    kept = {path.name: content(path) for path in (snapshot(server) / "database").glob("*.sqlite")}
    made = {path.name: content(path) for path in (root(server) / "srv/by-hand").glob("*.sqlite")}
    assert len(kept) == 3
    assert made == kept


def content(path: Path) -> dict[str, list[str]]:
    """Return the rows of each table, without what a hub that runs writes all the time."""
    database = sqlite3.connect(path)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    found = {}
    for table in tables:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info('{table}')")]
        stays = [name for name in columns if name != "last_activity"]
        if stays:
            names = ", ".join(f'"{name}"' for name in stays)
            found[table] = [repr(row) for row in database.execute(f'SELECT {names} FROM "{table}"')]  # noqa: S608
    database.close()
    return found


def test_configuration(server: Server) -> None:
    by_hand(server, "backup.config")
    folder = snapshot(server) / "config"
    kept = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    made = {}
    with tarfile.open(root(server) / "srv/by-hand/config.tar") as archive:
        for each in archive:
            if (file := archive.extractfile(each)) is not None:
                made[each.name] = file.read()
    assert "config/config.yaml" in kept
    assert made == kept


def test_user_data(server: Server, tmp_path: Path) -> None:
    by_hand(server, "backup.user-data")
    kept, made = tmp_path / "kept", tmp_path / "made"
    made.mkdir()
    at = [f"--repo={root(server)}/var/backups/tljh-user-data"]
    at += [f"--password-file={root(server)}/etc/tljh-runbook.password"]
    manifest = json.loads((snapshot(server) / "manifest.json").read_text())
    stored = manifest["components"]["user-data"]["snapshot"]
    restore = ["restic", *at, "restore", stored, f"--target={kept}"]
    unpack = ["tar", "--extract", f"--file={root(server)}/srv/by-hand/home.tar"]
    for command in (restore, [*unpack, "--acls", "--xattrs", f"--directory={made}"]):
        subprocess.run(command, check=True, capture_output=True)
    found = tree(made)
    assert [name for name in found if "work" in name]
    assert [name for name in found if name.endswith(("again", "old", "a.pyc"))] == []
    assert found == tree(kept / str(root(server) / "home")[1:])


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what is below a folder: owners, rights, times and content of each file."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        what = path.lstat()
        holds: object = str(path.readlink()) if path.is_symlink() else None
        if holds is None and path.is_file():
            holds = path.read_bytes()
        own = (what.st_uid, what.st_gid, what.st_mode, int(what.st_mtime), holds)
        found[str(path.relative_to(folder))] = own
    return found


def test_verification(server: Server) -> None:
    before = server.run("pwd")[0][0]
    assert by_hand(server, "backup.verify") == []
    manifest = snapshot(server) / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + b"\n")
    assert server.run(catalog.find("backup.verify").by_hand)[1] != 0
    server.run(f"cd {before}")
    assert server.run("invoke backup.verify")[1] != 0
    manifest.write_bytes(whole)


def test_list_of_snapshots(server: Server) -> None:
    told = json.loads("".join(server.run("tljh-runbook snapshots --json --hub /opt/tljh")[0]))
    assert by_hand(server, "snapshots") == [each["id"] for each in told]
