"""An environment that is a link, or is mounted: an upgrade of it could not be rolled back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import Live
from test_staging import done, everything, pids, prepared_beside

from tljh_runbook.errors import ServerUnfit
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.core.layout import ENVIRONMENTS
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.upgrade import in_place, state_file
from tljh_runbook.hub.upgrade.stage import stage

# What is mounted here is seen by one command alone.
MOUNTED = 'mount --bind "$0" "$0" && exec "$@"'
VIEW = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED]
HOW = {"link": "is a link to", "mount": "is a disk of its own, or a folder that is mounted there"}


def typed(inside: list[str], live: Live, *words: str) -> tuple[int, Any]:
    command = [*inside, sys.executable, "-m", "tljh_runbook", *words, "--json"]
    done = subprocess.run(
        [*command, "--hub", str(live.hub.prefix)], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


def made(live: Live, name: str, kind: str) -> list[str]:
    """Make an environment one of these; return what a command must begin with to find it so."""
    folder, elsewhere = live.hub.prefix / name, live.hub.root / "elsewhere"
    hub_folder.keep(live.hub.prefix / "user" / "pyvenv.cfg", "", 0o644)
    capture.create(live.source, components.every())
    if kind == "link":
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        return []
    inside = [*VIEW, str(folder)]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    return inside


@pytest.mark.long
@pytest.mark.parametrize("kind", HOW)
@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("asked", ["true", "false"], ids=["in place", "beside"])
def test_no_upgrade_begins_and_nothing_is_changed(
    live: Live, name: str, kind: str, asked: str
) -> None:
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(text.replace("in_place: true", f"in_place: {asked}"))
    inside = made(live, name, kind)
    before, running = everything(live.hub), pids(live)
    _, checks = typed(inside, live, "check")
    (way,) = [each for each in checks if each["check"] == "way"]
    assert not way["ok"]
    assert way["found"].startswith(f"{live.hub.prefix / name} {HOW[kind]}")
    for task in ("upgrade", "rehearse"):
        code, end = typed(inside, live, task)
        assert code == ServerUnfit.code
        assert HOW[kind] in end["error"]["message"]
        assert "Nothing was changed" in end["error"]["message"]
        assert str(live.hub.prefix) in end["error"]["hint"]
    assert (everything(live.hub), pids(live)) == (before, running)
    assert (live.hub.prefix / name).is_symlink() is (kind == "link")
    assert state_file.read(live.hub) is None
    assert not stage.place(live.hub).prefix.exists()


def test_one_that_became_a_link_since_the_checks_is_not_copied(live: Live) -> None:
    made(live, "hub", "link")
    with Journal(live.hub, "upgrade") as log, pytest.raises(ServerUnfit, match="is a link to"):
        in_place.plan(live.source, [], log)
    assert not stage.place(live.hub).prefix.exists()


@pytest.mark.long
def test_nobody_goes_back_where_one_became_a_link(live: Live) -> None:
    prepared_beside(live)
    assert done(live, "upgrade")["error"] is None
    folder, elsewhere = live.hub.prefix / "hub", live.hub.root / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    running = pids(live)
    error = done(live, "rollback", "--yes")["error"]
    assert "is a link to" in error["message"]
    assert pids(live) == running
    assert state_file.read(live.hub) is None


@pytest.mark.parametrize("name", ["my hub", "tab\there", "back\\040slash", "hüb"])
def test_a_mount_is_known_by_any_name(tmp_path: Path, name: str) -> None:
    prefix = tmp_path / name
    folder = prefix / "hub"
    folder.mkdir(parents=True)
    ask = "import sys; from pathlib import Path; from tljh_runbook.hub.core.layout import Hub\n"
    ask += "from tljh_runbook.hub.upgrade.stage import stage\n"
    ask += "stage.require_folders(Hub(Path(sys.argv[1])))"
    inside = [*VIEW, str(folder)]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    command = [sys.executable, "-c", ask, str(prefix)]
    assert subprocess.run(command, check=False).returncode == 0
    done = subprocess.run([*inside, *command], capture_output=True, text=True, check=False)
    assert "ServerUnfit" in done.stderr


@pytest.mark.parametrize("name", ["state", "config"])
def test_settings_and_state_may_be_links(live: Live, name: str) -> None:
    folder = live.hub.prefix / name
    folder.rename(live.hub.root / "elsewhere")
    folder.symlink_to(live.hub.root / "elsewhere")
    assert stage.upper(live.source) == f"{folder} is a link, or a disk of its own"
