"""The life of one sandbox, in order: built, used again, upgraded, taken down."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tljh_runbook.sandbox import processes

from .conftest import Sandbox, answer_code, run

pytestmark = pytest.mark.long
TOOL = Path(sys.executable).with_name("tljh-runbook")
# What a machine needs to reach the package indexes, if it has set any of it.
KEEP = [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_"))]


def until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def wanted_plugin(sandbox: Sandbox) -> str:
    line = next(x for x in sandbox.place.settings.read_text().splitlines() if "tljh-plasma" in x)
    return line.partition("- ")[2].strip('"')


def revision(sandbox: Sandbox) -> str:
    with closing(sqlite3.connect(sandbox.place.state / "jupyterhub.sqlite", timeout=30)) as db:
        return str(db.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def plugin_commit(sandbox: Sandbox) -> str:
    found = next(sandbox.place.prefix.glob("hub/lib/python3*/site-packages/tljh_plasma-*"))
    return (found / "direct_url.json").read_text()


def works(sandbox: Sandbox) -> bool:
    address = sandbox.status["address"]
    pages = ["hub/health", "user/alice/api", "user/bob/api", "services/tljh_plasma/"]
    return all(answer_code(f"{address}/{page}") == 200 for page in pages)


def test_status_of_what_was_built(sandbox: Sandbox) -> None:
    report = sandbox.status
    assert report["state"] == "up"
    assert set(report["servers"]) == {"alice", "bob"}
    assert {one["state"] for one in report["services"].values()} == {"RUNNING"}
    assert works(sandbox)
    assert sandbox.hub_version() == "4.1.6"


def test_the_culler_runs_as_tljh_ships_it(sandbox: Sandbox) -> None:
    commands = [Path(f"/proc/{pid}/cmdline") for pid in processes.find(sandbox.place)]
    (culler,) = [text for each in commands if "idle_culler" in (text := each.read_text())]
    assert {"--timeout=600", "--cull-every=60"} <= set(culler.split("\0"))


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("sandbox.json", 0o600),
        ("etc/supervisor/supervisord.conf", 0o600),
        ("opt/tljh/state", 0o700),
        ("opt/tljh/config", 0o700),
        ("opt/tljh/config/config.yaml", 0o600),
        ("opt/tljh/state/sandbox.token", 0o600),
        ("opt/tljh/state/jupyterhub_cookie_secret", 0o600),
        ("opt/tljh/state/acme.json", 0o600),
    ],
)
def test_secrets_are_private(sandbox: Sandbox, path: str, mode: int) -> None:
    assert (sandbox.place.root / path).stat().st_mode & 0o777 == mode


def test_what_may_be_broken_is_not_shared_with_the_cache(sandbox: Sandbox) -> None:
    hub = sandbox.place.prefix / "hub"
    plugin = hub.glob("lib/python3*/site-packages/tljh_plasma/*.py")
    assert {path.stat().st_nlink for path in [*plugin, hub / "bin" / "traefik"]} == {1}


def test_databases_are_those_of_a_real_hub(sandbox: Sandbox) -> None:
    tables = {"tljh_plasma": "permissions", "tljh_repo2docker": "images", "jupyterhub": "users"}
    for name, table in tables.items():
        path = sandbox.place.state / f"{name}.sqlite"
        with closing(sqlite3.connect(path, timeout=30)) as db:
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] >= 2  # noqa: S608
    assert (sandbox.place.state / "tljh_repo2docker.sqlite-wal").exists()


def test_up_again_uses_what_runs(sandbox: Sandbox) -> None:
    before = sandbox.status
    done = run("up", sandbox.place.root, "--take-down", "invoke sandbox.down")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The sandbox is up.\n")
    assert done.stdout.endswith("take down invoke sandbox.down\n")
    assert sandbox.status == before


def test_users_log_in_through_the_proxy(sandbox: Sandbox) -> None:
    assert "carol" in sandbox.login("carol")


def test_administrators_command(sandbox: Sandbox) -> None:
    command = sandbox.place.root / "usr" / "bin" / "tljh-config"
    subprocess.run([command, "set", "limits.memory", "2G"], check=True)
    text = (sandbox.place.config / "config.yaml").read_text()
    assert "  memory: 2G\n" in text
    assert "# the machine has little memory" in text


def test_a_killed_hub_comes_back_and_finds_the_servers(sandbox: Sandbox) -> None:
    before = sandbox.status
    killed = before["services"]["jupyterhub"]["pid"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: sandbox.status["services"]["jupyterhub"]["pid"] not in (0, killed))
    until(lambda: works(sandbox) and sandbox.status["servers"] == before["servers"])


def backup(sandbox: Sandbox) -> Path:
    """Make a snapshot of everything; return its folder."""
    done = subprocess.run(
        [TOOL, "backup", "--json", "--hub", sandbox.place.prefix],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(json.loads(done.stdout)["path"])


@pytest.fixture(scope="module")
def kept() -> dict[str, Path]:
    """The snapshots that this life has seen, by the TLJH version of their moment."""
    return {}


def test_a_snapshot_of_the_old_hub(sandbox: Sandbox, kept: dict[str, Path]) -> None:
    kept["1.0.0"] = backup(sandbox)


def test_upgrade_keeps_users_at_work(sandbox: Sandbox) -> None:
    before, older = sandbox.status, revision(sandbox)
    done = sandbox.install("2.0.0", wanted_plugin(sandbox))
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("Done!\n")
    until(lambda: works(sandbox) and sandbox.hub_version() == "5.5.4")
    assert sandbox.status["servers"] == before["servers"]
    assert (older, revision(sandbox)) == ("0eee8c825d24", "4621fec11365")
    assert list(sandbox.place.state.glob("jupyterhub.sqlite.*"))
    assert "# the machine has little memory" in (sandbox.place.config / "config.yaml").read_text()
    traefik = sandbox.place.prefix / "hub" / "bin" / "traefik"
    said = subprocess.run([traefik, "version"], capture_output=True, text=True, check=True).stdout
    assert "3.6.13" in said


def test_users_log_in_after_the_upgrade(sandbox: Sandbox) -> None:
    assert "alice" in sandbox.login("alice")


def test_installer_keeps_the_old_plugin_and_pip_can_be_forced(sandbox: Sandbox) -> None:
    """The trap of the real plugin: pip compares versions, and every commit says the same one."""
    wanted = wanted_plugin(sandbox)
    commit = wanted.rpartition("@")[2]
    assert commit not in plugin_commit(sandbox)
    python = sandbox.place.prefix / "hub" / "bin" / "python"
    forced = ["install", "--quiet", "--force-reinstall", "--no-deps", wanted]
    subprocess.run([str(python), "-m", "pip", *forced], check=True)
    assert commit in plugin_commit(sandbox)


def test_the_notes_of_a_snapshot_bring_the_old_hub_back(
    sandbox: Sandbox, kept: dict[str, Path]
) -> None:
    """Typed from top to bottom, where nobody has our tool: the old versions, users at work."""
    kept["2.0.0"] = backup(sandbox)
    before = sandbox.status
    text = (kept["1.0.0"] / "RESTORE.md").read_text()
    typed = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    bare = {name: os.environ[name] for name in ("HOME", *KEEP) if name in os.environ}
    for block in typed:
        done = subprocess.run(
            ["bash", "-e", "-c", block],
            cwd=kept["1.0.0"],
            env=bare | {"PATH": os.defpath + ":/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    until(lambda: works(sandbox) and sandbox.hub_version() == "4.1.6")
    assert revision(sandbox) == "0eee8c825d24"
    assert sandbox.status["servers"] == before["servers"]
    assert wanted_plugin(sandbox).rpartition("@")[2] not in plugin_commit(sandbox)


def test_restore_brings_the_new_hub_back(sandbox: Sandbox, kept: dict[str, Path]) -> None:
    """With a row, a home and the state lost meanwhile; the tool does it all in one go."""
    before = sandbox.status
    notebook = sandbox.place.homes / "carol" / "lesson.ipynb"
    lesson = notebook.read_bytes()
    shutil.rmtree(sandbox.place.homes / "carol")
    shutil.rmtree(sandbox.place.state)
    command: list[str | Path] = [TOOL, "restore", "--yes", "--snapshot", kept["2.0.0"].name]
    done = subprocess.run(
        [*command, "--hub", sandbox.place.prefix], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The server of alice runs on." in done.stdout
    assert works(sandbox)
    assert sandbox.hub_version() == "5.5.4"
    assert revision(sandbox) == "4621fec11365"
    assert sandbox.status["servers"] == before["servers"]
    assert wanted_plugin(sandbox).rpartition("@")[2] in plugin_commit(sandbox)
    assert notebook.read_bytes() == lesson
    assert "carol" in sandbox.login("carol")


def test_down_leaves_nothing(sandbox: Sandbox) -> None:
    done = run("down", sandbox.place.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert not sandbox.place.root.exists()
    assert processes.find(sandbox.place) == []
    assert list(sandbox.place.root.parent.iterdir()) == []
    assert run("status", sandbox.place.root, "--json").returncode == 0


def test_down_of_what_is_not_there(tmp_path: Path) -> None:
    done = run("down", tmp_path / "never")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "never").exists()
