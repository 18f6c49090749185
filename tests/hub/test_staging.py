"""An upgrade that is prepared beside the live hub: nothing live is touched before the swap."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hub_folder
import pip
import pytest
from hub_fixtures import IF_NEW, Live, broken_or_unseen, resume, until
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tljh_runbook.errors import RehearsalFailed, ServerUnfit, UpgradeRolledBack
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.core import config, copies
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock, worker
from tljh_runbook.hub.system import namespace, services
from tljh_runbook.hub.system.namespace import View
from tljh_runbook.hub.upgrade import state_file, verification
from tljh_runbook.hub.upgrade.rehearse import rehearsal
from tljh_runbook.hub.upgrade.stage import recorder, stage
from tljh_runbook.hub.upgrade.swap import previous
from tljh_runbook.hub.versions import versions

pytestmark = pytest.mark.long
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
PREPARING = "Setting up TLJH 2.0.0"


def prepared_beside(live: Live) -> None:
    """Have upgrades prepared beside the hub, and a fresh snapshot; skip where that cannot be."""
    settings = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(settings.replace("in_place: true", "in_place: false"))
    if isinstance(reason := stage.upper(live.source), str):
        pytest.skip(reason)
    capture.create(live.source, components.every())
    (live.hub.config / "config.yaml.lock").touch(0o600)  # who writes the settings leaves it


@pytest.fixture
def staged(live: Live) -> Live:
    prepared_beside(live)
    return live


def start(live: Live, task: str, *words: str) -> None:
    command = [sys.executable, "-m", "tljh_runbook", task, *words, "--detach"]
    subprocess.run([*command, "--hub", str(live.hub.prefix)], check=True, capture_output=True)


def done(live: Live, task: str, *words: str) -> dict[str, Any]:
    start(live, task, *words)
    return worker.follow(live.hub, task, lambda _: None)


def texts(live: Live, task: str = "upgrade") -> list[str]:
    return [event.get("text", "") for event in journal.read(live.hub, task)]


def pids(live: Live) -> list[int | None]:
    return [live.source.services.pid(name) for name in (services.HUB, services.PROXY)]


def everything(hub: Hub) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what belongs to the live hub, in its prefix and below the server's ``/etc``."""
    return hub_folder.without_retained(hub) | hub_folder.contents(hub.root / "etc")


def test_what_is_written_inside_a_view_is_not_seen_outside(tmp_path: Path) -> None:
    if reason := namespace.refused(tmp_path):
        pytest.skip(reason)
    assert list(tmp_path.iterdir()) == []
    for name in ("origin", "place", "upper", "covered"):
        (tmp_path / name).mkdir()
    (tmp_path / "covered" / "old").write_text("old")
    view = View(
        binds=((tmp_path / "origin", tmp_path / "place"),),
        overlays=((tmp_path / "upper", tmp_path / "covered"),),
    )
    script = 'echo new > "$0/place/a"; echo new > "$0/covered/old"; rm "$0/covered/old"; pwd'
    command = view.command(["sh", "-c", script, str(tmp_path)], tmp_path / "place")
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.strip() == str(tmp_path / "place")
    assert (tmp_path / "origin" / "a").read_text() == "new\n"
    assert list((tmp_path / "place").iterdir()) == []
    assert (tmp_path / "covered" / "old").read_text() == "old"


@pytest.mark.parametrize("name", ["homes", "my hüb, \\;'"])
def test_in_a_read_only_place_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    if reason := namespace.refused(tmp_path):
        pytest.skip(reason)
    homes = tmp_path / name
    (homes / "alice").mkdir(parents=True)
    command = View(read_only=(homes,)).command(["touch", str(homes / "alice" / "x")], tmp_path)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    (homes / "alice" / "x").touch()


def test_nothing_that_prepares_an_upgrade_can_write_in_a_home(staged: Live) -> None:
    source, home = staged.source, staged.hub.root / "home" / "alice"
    upper = stage.upper(source)
    assert isinstance(upper, Path)
    made = stage.make(source, upper)
    try:
        command = made.command(["rm", str(home / "lesson.ipynb")], staged.hub.work)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        stage.discard(staged.hub)
    assert "Read-only file system" in done.stderr
    assert (home / "lesson.ipynb").exists()


def asks_for_an_older_bcrypt(hub: Hub, tljh: str) -> None:
    """Install what pip complains of, as on every real server: TLJH asks for an older package."""
    number = ".".join(map(str, sys.version_info[:2]))
    info = hub_folder.distribution(hub, "the-littlest-jupyterhub", tljh, python=number)
    with (info / "METADATA").open("a", encoding="utf-8") as file:
        file.write("Requires-Dist: bcrypt<5\n")
    hub_folder.distribution(hub, "bcrypt", "5.0.0", python=number)
    if not (info.parent / "pip").exists():
        (info.parent / "pip").symlink_to(Path(pip.__file__).parent)


def test_what_pip_complains_of_before_and_after_is_no_news(staged: Live) -> None:
    source, hub = staged.source, staged.hub
    asks_for_an_older_bcrypt(hub, "1.0.0")
    upper = stage.upper(source)
    assert isinstance(upper, Path)
    made = stage.make(source, upper)
    try:
        for old in made.copy.environment.glob("lib/*/site-packages/the_littlest_jupyterhub-*"):
            shutil.rmtree(old)
        asks_for_an_older_bcrypt(made.copy, "2.0.0")
        assert rehearsal.complaints(source, made) == []
        for old in hub.environment.glob("lib/*/site-packages/the_littlest_jupyterhub-*"):
            shutil.rmtree(old)
        found = rehearsal.complaints(source, made)
    finally:
        stage.discard(hub)
    wrong = "the-littlest-jupyterhub 2.0.0 has requirement bcrypt<5, but you have bcrypt 5.0.0."
    assert found == [wrong]


def test_homes_in_a_folder_that_is_exchanged_are_refused(staged: Live) -> None:
    homes = staged.hub.prefix / "user" / "homes"
    homes.mkdir(parents=True)
    settings = replace(staged.source.settings, homes=str(homes))
    with pytest.raises(ServerUnfit, match="which an upgrade exchanges"):
        stage.upper(replace(staged.source, settings=settings))


def test_names_are_never_read_as_options_or_words_of_a_shell(tmp_path: Path) -> None:
    top = tmp_path / "my hüb, $(touch x):\\;'\""
    top.mkdir()
    if reason := namespace.refused(tmp_path):
        pytest.skip(reason)
    assert namespace.refused(top) == ""
    assert list(top.iterdir()) == []


@hypothesis_settings(deadline=None)  # it starts programs
@given(st.lists(st.lists(WORDS, max_size=4), max_size=3))
def test_what_is_recorded_is_read_as_it_was_asked(asked: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tool = recorder.write(folder)
        environment = {**os.environ, recorder.ASKED: str(folder / "asked")}
        for words in asked:
            subprocess.run([tool, *words], env=environment, check=True)
        assert recorder.read(folder / "asked") == [["recorder", *words] for words in asked]


def test_an_upgrade_is_swapped_in_and_its_guarantees_hold(staged: Live) -> None:
    live = staged
    before = pids(live)
    end = done(live, "upgrade")
    assert end["error"] is None
    report = end["report"]
    assert versions.installed(live.hub).rows()["TLJH"] == "2.0.0"
    assert ["limits.cpu", "unset", "2"] in report["changes"]
    assert config.read(live.hub)["limits.memory"] == "1G"
    assert broken_or_unseen(report) == set()
    assert live.source.services.pid(services.PROXY) == before[1]  # it had no reason to restart
    away = {each["name"]: each["failed"] for each in report["outages"]}
    assert away["server of alice"] == 0
    assert previous.read(live.hub).labels["TLJH"] == "1.0.0"
    assert not stage.place(live.hub).prefix.exists()


def test_a_user_who_leaves_while_it_is_prepared_is_no_downtime(staged: Live) -> None:
    live, wait = staged, staged.hub.root / "srv" / "wait"
    wait.touch()
    start(live, "upgrade")
    until(lambda: "Install beside the live hub" in texts(live))
    hub_folder.change(live.hub.state / "jupyterhub.sqlite", "UPDATE spawners SET server_id = NULL")
    live.answer("/user/alice/api", 404)
    wait.unlink()
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    assert end["error"] is None
    assert {each["name"] for each in end["report"]["outages"]} == {"hub", "proxy"}
    begun = {each["text"]: each["after"] for each in journal.read(live.hub, "upgrade")[1:-1]}
    assert begun["Measure the guarantees"] <= end["report"]["probe_after"] <= begun["Stop the hub"]


def test_until_the_swap_nothing_live_is_touched(staged: Live) -> None:
    live = staged
    (live.hub.root / "srv" / "wait").touch()
    before, running = everything(live.hub), pids(live)
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    copied = f"{stage.FOLDER}/"
    now = {name: each for name, each in everything(live.hub).items() if copied not in name}
    assert now == before
    (live.hub.root / "srv" / "fail").touch()
    (live.hub.root / "srv" / "wait").unlink()
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    assert "The network is away" in end["error"]["message"]
    assert "not touched" in end["error"]["message"]
    assert (everything(live.hub), pids(live)) == (before, running)
    assert state_file.read(live.hub) is None


def test_a_rehearsal_says_what_would_change_and_leaves_nothing(staged: Live) -> None:
    live = staged
    before, running = everything(live.hub), pids(live)
    end = done(live, "rehearse")
    found = end["report"]
    assert ["hub", "the-littlest-jupyterhub", "1.0.0", "2.0.0"] in found["packages"]
    assert ["limits.cpu", "unset", "2"] in found["settings"]
    revisions = {each["name"]: each["revisions"] for each in found["databases"]}
    assert revisions["jupyterhub"] == ["4621fec11365", "f460b0348206"]
    assert found["proxy_restarts"] is False
    assert found["away"] == {"hub": None, "servers": 0.0, "seen": ""}
    assert (everything(live.hub), pids(live)) == (before, running)


def test_a_rehearsal_says_how_long_the_hub_was_away_the_last_time(staged: Live) -> None:
    live = staged
    measured = done(live, "upgrade")["report"]
    (away,) = [each["away"] for each in measured["outages"] if each["name"] == "hub"]
    settings = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(settings.replace("tljh: 2.0.0", "tljh: 2.0.1"))
    found = done(live, "rehearse")["report"]
    # A hub this small may be back between two questions; what is not known would be None.
    assert found["away"] == {"hub": away, "servers": 0.0, "seen": measured["at"]}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tljh/jupyterhub_config.py", f"{IF_NEW}    raise RuntimeError('this cannot be loaded')\n"),
        ("jupyterhub/__main__.py", "raise RuntimeError('this cannot be migrated')\n"),
    ],
)
def test_a_version_that_does_not_work_ends_at_the_rehearsal(
    staged: Live, file: str, text: str
) -> None:
    live = staged
    (found,) = live.hub.environment.glob(f"lib/python3*/site-packages/{file}")
    found.write_text(text, encoding="utf-8")
    before, running = everything(live.hub), pids(live)
    end = done(live, "upgrade")
    assert end["code"] == RehearsalFailed.code
    assert text.partition("RuntimeError('")[2][:14] in end["error"]["message"]
    assert (everything(live.hub), pids(live)) == (before, running)


def test_a_hub_that_does_not_come_to_itself_is_rolled_back_by_itself(staged: Live) -> None:
    live = staged
    settings = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(settings.replace("within: 20", "within: 3"))
    (live.hub.root / "srv" / "wait").touch()
    before = everything(live.hub)
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    live.answer("/hub/api/", 502)
    (live.hub.root / "srv" / "wait").unlink()
    until(lambda: "Roll the upgrade back" in texts(live))
    live.answer("/hub/api/", 200, '{"version": "4.1.6"}')
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    assert end["code"] == UpgradeRolledBack.code
    assert everything(live.hub) == before
    assert state_file.read(live.hub) is None


def test_an_edit_made_while_it_was_prepared_is_kept(staged: Live) -> None:
    live = staged
    (live.hub.root / "srv" / "wait").touch()
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    text = live.hub.config_file.read_text(encoding="utf-8")
    live.hub.config_file.write_text(text.replace("'1G'", "3G"), encoding="utf-8")
    (live.hub.root / "srv" / "wait").unlink()
    assert worker.follow(live.hub, "upgrade", lambda _: None)["code"] == 0
    assert config.read(live.hub)["limits.memory"] == "3G"
    assert config.read(live.hub)["limits.cpu"] == 2


def test_packages_that_somebody_installs_meanwhile_are_not_lost(staged: Live) -> None:
    live = staged
    (live.hub.root / "srv" / "wait").touch()
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    hub_folder.distribution(live.hub, "numpy", "2.0.0")
    (live.hub.root / "srv" / "wait").unlink()
    assert worker.follow(live.hub, "upgrade", lambda _: None)["code"] == 0
    assert any("Start again" in text for text in texts(live))
    assert versions.packages(live.hub)["numpy"].version == "2.0.0"


@pytest.mark.parametrize(
    "phase", [state_file.STAGING, state_file.SWAPPING, state_file.PROVING, state_file.BACK]
)
def test_killed_in_any_phase_it_is_brought_to_the_old_or_the_new_version(
    staged: Live, phase: str
) -> None:
    live = staged
    settings = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(settings.replace("within: 20", "within: 2"))
    (live.hub.root / "srv" / "wait").touch()
    before = everything(live.hub)
    start(live, "upgrade")
    until(lambda: PREPARING in texts(live))
    if phase == state_file.BACK:
        live.answer("/hub/login", 502)
    (live.hub.root / "srv" / "wait").unlink()
    pid = int(journal.read(live.hub, "upgrade")[0]["pid"])
    until(lambda: (now := state_file.read(live.hub)) is not None and now.phase == phase)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lock.held(live.hub))
    live.answer("/hub/login", 200, "<form>")
    resume(live)
    assert state_file.read(live.hub) is None
    label = versions.installed(live.hub).rows()["TLJH"]
    assert label == ("2.0.0" if phase == state_file.PROVING else "1.0.0")
    if label == "1.0.0":
        assert everything(live.hub) == before
    assert all(pids(live))
    assert not stage.place(live.hub).prefix.exists()


def test_an_upgrade_is_rolled_back_by_hand(staged: Live) -> None:
    live = staged
    before = everything(live.hub)
    assert done(live, "upgrade")["code"] == 0
    hub_folder.change(
        live.hub.state / "jupyterhub.sqlite", "INSERT INTO groups (id, name) VALUES (2, 'new')"
    )
    end = done(live, "rollback", "--yes")
    assert end["error"] is None
    assert versions.installed(live.hub).rows()["TLJH"] == "1.0.0"
    assert journal.rolled_back(live.hub) == end["at"]
    assert verification.prove(live.source) is None
    now = everything(live.hub)
    # Its schema is the same, so the newer database was kept.
    different = {name for name in {*now, *before} if now.get(name) != before.get(name)}
    assert different == {"state/jupyterhub.sqlite"}
    assert not live.hub.previous.exists()
    assert versions.installed(Hub(live.hub.newer)).rows()["TLJH"] == "2.0.0"


def test_users_of_the_migrated_database_alone_break_no_guarantee(staged: Live) -> None:
    """Who goes back was told of the rows that are lost."""
    live, database = staged, staged.hub.state / "jupyterhub.sqlite"
    assert done(live, "upgrade")["code"] == 0
    hub_folder.script(
        database,
        "ALTER TABLE users ADD COLUMN more;"
        "INSERT INTO users (id, name, admin, cookie_id) VALUES (9, 'dave', 0, 'c9');",
    )
    assert done(live, "rollback", "--yes")["error"] is None
    assert "Only the newer database knows: user dave is gone" in texts(live, "rollback")
    assert hub_folder.ask(database, "SELECT name FROM users WHERE name = 'dave'") == []
    (newer,) = live.hub.work.glob("taken-back-*/jupyterhub")
    assert hub_folder.ask(newer, "SELECT name FROM users WHERE name = 'dave'") == [("dave",)]


def test_a_fingerprint_sees_what_pip_does_and_not_what_python_compiles(tmp_path: Path) -> None:
    hub_folder.keep(tmp_path / "lib" / "a.py", "1", 0o644)
    (tmp_path / "bin").symlink_to("lib")
    seen = copies.fingerprint(tmp_path)
    hub_folder.keep(tmp_path / "lib" / "__pycache__" / "a.pyc", "1", 0o644)
    assert copies.fingerprint(tmp_path) == seen
    hub_folder.keep(tmp_path / "lib" / "b.py", "1", 0o644)
    assert copies.fingerprint(tmp_path) != seen
    (tmp_path / "lib" / "b.py").unlink()
    assert copies.fingerprint(tmp_path) == seen
    (tmp_path / "bin").unlink()
    (tmp_path / "bin").symlink_to("elsewhere")
    assert copies.fingerprint(tmp_path) != seen


# What TLJH writes again, as an installation would: the names are its own.
WRITERS = """
import os
from pathlib import Path

PREFIX = Path(os.environ["TLJH_INSTALL_PREFIX"])


def ensure_usergroups():
    sudoers = PREFIX.parents[1] / "etc" / "sudoers.d" / "jupyterhub-admins"
    sudoers.write_text("%jupyterhub-admins ALL = (ALL) NOPASSWD: ALL\\n")


def ensure_jupyterhub_service(prefix):
    (PREFIX / "state" / "traefik.toml").write_text("[api]\\n")
"""


def written_by(live: Live, code: str) -> None:
    """Have the installed TLJH write its files with this code."""
    (site,) = live.hub.environment.glob(f"lib/python3.{sys.version_info.minor}/site-packages")
    hub_folder.keep(site / "tljh" / "__init__.py", "", 0o644)
    hub_folder.keep(site / "tljh" / "config.py", "HUB_ENV_PREFIX = ''\n", 0o644)
    hub_folder.keep(site / "tljh" / "installer.py", code, 0o644)


def test_a_rehearsal_names_the_hand_edits_that_would_be_lost(staged: Live) -> None:
    live = staged
    written_by(live, WRITERS)
    hub_folder.keep(live.hub.root / "srv" / "traefik.toml", "[api]\n[log]\n", 0o644)
    hub_folder.keep(live.hub.state / "traefik.toml", "[api]\n", 0o600)
    sudoers = live.hub.root / "etc" / "sudoers.d" / "jupyterhub-admins"
    hub_folder.keep(sudoers, "%jupyterhub-admins ALL = (ALL) ALL\n", 0o440)
    # The installer of this hub leaves that file alone, and so nothing is lost of it.
    assert done(live, "rehearse")["report"]["overwritten"] == {}
    hub_folder.keep(live.hub.state / "traefik.toml", "[api]\ndashboard = true\n", 0o600)
    before = everything(live.hub)
    found = done(live, "rehearse")["report"]["overwritten"]
    assert found == {str(live.hub.state / "traefik.toml"): ""}
    assert everything(live.hub) == before


def test_edits_that_cannot_be_told_stop_nothing(staged: Live) -> None:
    written_by(staged, "raise RuntimeError('an old one')\n")
    end = done(staged, "rehearse")
    assert end["code"] == 0
    assert end["report"]["overwritten"] == {}
    assert any("not known which files were edited" in each for each in texts(staged, "rehearse"))
