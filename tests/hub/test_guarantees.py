"""Each guarantee is seen to hold, and seen to be broken, in every way in which it can break."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from docker_fixtures import Engine, environment
from hub_fixtures import Live, living
from hub_folder import change

from tljh_runbook.errors import GuaranteeBroken, SettingsInvalid
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system import docker, processes
from tljh_runbook.hub.upgrade import guarantees, verification
from tljh_runbook.hub.upgrade.guarantees import Verdict
from tljh_runbook.hub.upgrade.guarantees import homes as homes_of

HUB = "jupyterhub.sqlite"
PLUGIN = "tljh_plasma.sqlite"
BUILDS = "tljh_repo2docker.sqlite"
Break = Callable[[Hub], object]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One living hub for all tests here: each breaks a guarantee and mends it again."""
    with living(tmp_path_factory.mktemp("guarantees") / "server") as made:
        yield made


@pytest.fixture
def live(shared: Live, tmp_path: Path) -> Iterator[Live]:
    saved = tmp_path / "saved"
    folders = [
        shared.hub.state,
        shared.hub.config,
        shared.hub.root / "home",
        shared.hub.environment,
    ]
    for folder in folders:
        subprocess.run(["cp", "-a", str(folder), str(saved) + folder.name], check=True)
    answers = (shared.hub.root / "answers.json").read_text()
    yield shared
    (shared.hub.root / "answers.json").write_text(answers)
    for folder in folders:
        # The folders themselves stay: the services work in them.
        for path in folder.iterdir():
            subprocess.run(["rm", "-rf", str(path)], check=True)
        subprocess.run(["cp", "-a", f"{saved}{folder.name}/.", str(folder)], check=True)


def judged(live: Live, act: Callable[[], object]) -> dict[str, Verdict]:
    """Measure, act, measure again as upgrades do, with what was measured kept on disk between."""
    before = json.loads(json.dumps(guarantees.measure(live.source.settled())))
    act()
    after = guarantees.measure(live.source)
    verdicts = guarantees.judge(guarantees.investigate(before, live.source, None), after)
    return {verdict.guarantee: verdict for verdict in verdicts}


def broken(verdicts: dict[str, Verdict]) -> list[str]:
    unseen = {name for name, verdict in verdicts.items() if verdict.kept is None}
    assert unseen <= {"images", "logins"}  # where no engine runs; a folder has no authenticator
    return [
        name for name, verdict in verdicts.items() if verdict.kept is False and name != "versions"
    ]


def state(pid: int) -> str:
    return f"UPDATE spawners SET state = '{json.dumps({'pid': pid})}'"  # noqa: S608


def test_when_nothing_happens_every_guarantee_holds(live: Live) -> None:
    verdicts = judged(live, lambda: None)
    assert broken(verdicts) == []
    assert verdicts["user servers"].measured.startswith("1 of 1 run on")
    assert verdicts["users and groups"].measured == "3 users, 1 admin, 1 group"
    assert verdicts["environments"].measured == "2 permissions rows, 2 images rows"
    assert verdicts["user data"].measured == "3 homes, 9 files and folders"


def test_guarantees_are_shown_in_their_order() -> None:
    assert [guarantee.name for guarantee in guarantees.every()] == [
        "user servers",
        "services",
        "users and groups",
        "logins",
        "environments",
        "images",
        "settings",
        "user data",
        "versions",
    ]


def test_what_was_not_measured_before_is_not_judged(live: Live) -> None:
    after = guarantees.measure(live.source)
    assert guarantees.judge({}, after) == []


@pytest.mark.parametrize(
    ("database", "statement", "guarantee", "said"),
    [
        (HUB, "DELETE FROM users WHERE name = 'bob'", "users and groups", "user bob is gone"),
        (HUB, "UPDATE users SET admin = 0", "users and groups", "alice is no longer admin"),
        (HUB, "UPDATE users SET admin = 1", "users and groups", "bob became admin; carol became"),
        (HUB, "INSERT INTO users (name, admin, cookie_id) VALUES ('eve', 1, 'e')",
         "users and groups", "eve became admin"),
        (HUB, "DELETE FROM user_group_map WHERE user_id = 2",
         "users and groups", "bob is no longer in the group course"),
        (HUB, "DELETE FROM groups", "users and groups", "group course is gone"),
        (PLUGIN, "DELETE FROM permissions WHERE id = 1", "environments",
         "permissions: course course-python:4f1c2ab is gone"),
        (PLUGIN, "DROP TABLE permissions", "environments", "permissions: course"),
        (BUILDS, "DELETE FROM images", "environments", "images: course-python:4f1c2ab is gone"),
        (HUB, "DELETE FROM spawners", "user servers", "the hub no longer knows it"),
        (HUB, "UPDATE spawners SET server_id = NULL", "user servers", "the hub no longer knows it"),
        (HUB, state(1), "user servers", "but the hub knows another"),
        (HUB, "UPDATE spawners SET state = '{}'", "user servers", "alice: "),
    ],
)  # fmt: skip
def test_a_lost_row_breaks_its_guarantee(
    live: Live, database: str, statement: str, guarantee: str, said: str
) -> None:
    verdicts = judged(live, lambda: change(live.hub.state / database, statement))
    expected = {guarantee}
    if "users WHERE" in statement:
        expected |= set(broken(verdicts)) & {"user servers"}
    assert set(broken(verdicts)) == expected
    assert said in verdicts[guarantee].measured
    assert verdicts[guarantee].word == "BROKEN"


def test_a_new_user_a_new_group_and_a_new_permission_break_nothing(live: Live) -> None:
    def add() -> None:
        state = live.hub.state
        change(state / HUB, "INSERT INTO users (name, admin, cookie_id) VALUES ('eve', 0, 'e')")
        change(state / HUB, "INSERT INTO groups (id, name) VALUES (2, 'new')")
        change(state / PLUGIN, "INSERT INTO permissions (\"group\", image) VALUES ('new', 'i')")

    assert broken(judged(live, add)) == []


def test_a_lost_database_of_the_plugin_breaks_its_guarantee(live: Live) -> None:
    verdicts = judged(live, (live.hub.state / PLUGIN).unlink)
    assert broken(verdicts) == ["environments"]


def test_a_server_that_does_not_answer_any_more_is_seen(live: Live) -> None:
    verdicts = judged(live, lambda: live.answer("/user/alice/api", 503))
    assert broken(verdicts) == ["user servers"]
    assert verdicts["user servers"].measured == "alice: does not answer through the proxy any more"


def test_a_server_that_answered_neither_before_nor_after_is_kept(live: Live) -> None:
    live.answer("/user/alice/api", 503)
    assert broken(judged(live, lambda: None)) == []


def test_a_server_that_is_dead_already_breaks_nothing(live: Live) -> None:
    with subprocess.Popen(["true"]) as server:
        server.wait()
        change(live.hub.state / HUB, state(server.pid))
    assert broken(judged(live, lambda: None)) == []


def test_a_server_without_a_process_number_is_judged_by_its_answer(live: Live) -> None:
    change(live.hub.state / HUB, 'UPDATE spawners SET state = \'{"container_id": "c0ffee"}\'')
    assert broken(judged(live, lambda: None)) == []
    assert broken(judged(live, lambda: live.answer("/user/alice/api", 404))) == ["user servers"]


@pytest.fixture
def container(live: Live, engine: Engine, busybox: dict[str, bytes]) -> str:
    """The server of alice runs in a container."""
    engine.make({"course:1": environment("course:1")}, busybox)
    made = engine.ask("run", "--detach", "--network=none", "course:1")
    kept = json.dumps({"object_id": made, "object_name": "jupyter-alice"})
    change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (kept,))
    return made


def test_a_container_that_runs_on_is_the_same_process(live: Live, container: str) -> None:
    verdicts = judged(live, lambda: None)
    assert broken(verdicts) == []
    assert verdicts["user servers"].measured == "1 of 1 run on, same process: alice"


def test_a_container_of_another_engine_is_judged_by_its_answer(live: Live, engine: Engine) -> None:
    kept = json.dumps({"object_id": "0" * 64})
    change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (kept,))
    assert judged(live, lambda: None)["user servers"].measured.endswith("answering: alice")


def test_a_server_that_is_a_unit_is_judged_by_the_unit_s_process(live: Live) -> None:
    kept = json.dumps({"unit_name": "traefik"})  # any program that the service manager runs
    change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (kept,))
    verdicts = judged(live, lambda: None)
    assert verdicts["user servers"].measured == "1 of 1 run on, same process: alice"
    pid = guarantees.measure(live.source)["user servers"]["alice"]["pid"]
    assert "proxy.py" in (processes.PROC / str(pid) / "cmdline").read_text()


TWO = {name: environment(name) for name in hub_folder.IMAGES}


def test_only_what_the_newer_database_alone_knew_is_excused() -> None:
    before = {
        "users": {"alice": False, "mallory": False, "dave": True},
        "groups": {"course": ["alice", "dave"], "later": ["dave"]},
    }
    after = {"users": {"alice": False, "mallory": True}, "groups": {"course": ["alice", "bob"]}}
    rows = {"permissions": [["course", "a"]], "images": [["a"], ["b"]]}
    left = {"permissions": [], "images": [["a"]]}
    then = {"users and groups": before, "environments": rows}
    now = {"users and groups": after, "environments": left}
    shared = guarantees.known_to_both({"jupyterhub", "plasma"}, then, now)
    told = {each.guarantee: each.measured for each in guarantees.judge(shared, now)}
    assert told == {
        "users and groups": "mallory became admin",
        "environments": "images: b is gone",
    }


def test_images_that_stay_keep_their_guarantee(live: Live, engine: Engine) -> None:
    assert judged(live, lambda: None)["images"].measured == "there are none"
    engine.make(TWO)
    new = environment("new:1")
    verdicts = judged(live, lambda: engine.make({"new:1": new}))
    assert broken(verdicts) == []
    assert verdicts["images"].measured == "2 images, each with the same id"


@pytest.mark.parametrize("act", ["remove", "untag", "rebuild"])
def test_an_image_that_is_lost_or_another_breaks_its_guarantee(
    live: Live, engine: Engine, act: str
) -> None:
    engine.make(TWO)
    engine.ask("image", "tag", hub_folder.IMAGES[0], "kept:1")
    lost = hub_folder.IMAGES[0]
    acts: dict[str, Callable[[], object]] = {
        "remove": lambda: engine.ask("image", "rm", "--force", engine.id(lost)),
        "untag": lambda: engine.ask("image", "rm", lost),
        "rebuild": lambda: engine.make({lost: environment(lost, owner="eve")}),
    }
    old = engine.id(lost).removeprefix("sha256:")[:12]
    verdicts = judged(live, acts[act])
    assert broken(verdicts) == ["images"]
    assert verdicts["images"].measured.startswith(f"{lost} is ")
    assert old in verdicts["images"].measured


def test_an_engine_that_is_gone_breaks_the_guarantee_of_the_images(
    live: Live, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "unix:///nowhere/docker.sock"
    verdicts = judged(live, lambda: monkeypatch.setenv("DOCKER_HOST", gone))
    assert broken(verdicts) == ["images"]
    assert "The Docker engine does not answer" in verdicts["images"].measured
    again = judged(live, lambda: None)
    assert broken(again) == []
    assert again["images"].word == "not measured"  # neither before nor after


def test_an_engine_that_hangs_breaks_the_guarantee_of_the_images(
    live: Live, engine: Engine, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = guarantees.measure(live.source.settled())
    monkeypatch.setattr(docker, "WAIT", 0.5)
    with engine.stopped():
        told = guarantees.investigate(before, live.source, None)
        verdicts = guarantees.judge(told, guarantees.measure(live.source))
    found = {verdict.guarantee: verdict for verdict in verdicts}
    assert broken(found) == ["images"]
    assert found["user servers"].measured.startswith("1 of 1 run on")  # it was not left


def test_a_hub_without_docker_has_no_images_to_lose(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        verdicts = judged(live, lambda: None)
    assert broken(verdicts) == []
    assert verdicts["images"].measured == "no Docker here"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memory: '1G'", "memory: '2G'"),
        ("memory: '1G'", "memory: 1"),
        ("memory: '1G'", "cpu: 1"),
        ("enabled: true", "enabled: false"),
        ("enabled: true", "enabled: 1"),
        ("  - alice ", "  - bob "),
    ],
)
def test_a_setting_that_changed_breaks_its_guarantee(live: Live, old: str, new: str) -> None:
    text = live.hub.config_file.read_text()
    assert old in text
    verdicts = judged(live, lambda: live.hub.config_file.write_text(text.replace(old, new)))
    assert broken(verdicts) == ["settings"]
    assert verdicts["settings"].measured.startswith("changed: ")


def test_the_value_of_a_setting_is_never_kept_or_shown(live: Live) -> None:
    with live.hub.config_file.open("a") as file:
        file.write("auth: {DummyAuthenticator: {password: a-secret-word}}\n")
    measures = guarantees.measure(live.source)
    assert "a-secret-word" not in json.dumps(measures)
    assert "auth.DummyAuthenticator.password" in measures["settings"]


@pytest.mark.parametrize("section", ["", "extra:\n", "extra: {}\n"])
def test_a_new_setting_is_named_and_breaks_nothing(live: Live, section: str) -> None:
    text = live.hub.config_file.read_text()
    live.hub.config_file.write_text(text + section)
    added = f"{text}extra:\n  memory: 1G\n"
    verdicts = judged(live, lambda: live.hub.config_file.write_text(added))
    assert broken(verdicts) == []
    assert "newly set: extra.memory" in verdicts["settings"].measured


HOSTILE = ["two\nlines", "caf\udce9", "-rf", "\x1b[2J", " ", "it's", "𝄞"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_of_any_name_that_its_owner_deletes_is_reported(live: Live, name: str) -> None:
    file = live.hub.root / "home" / "bob" / name
    file.write_text("")
    assert "changed" not in judged(live, lambda: None)["user data"].measured
    verdict = judged(live, file.unlink)["user data"]
    assert verdict.kept is True
    assert "'bob' (-1); no longer there: " in verdict.measured
    assert verdict.measured.isprintable()
    assert verdict.measured.isascii()


def test_links_that_lead_nowhere_or_in_a_circle_are_files_like_others(live: Live) -> None:
    home = live.hub.root / "home" / "bob"
    (home / "circle").symlink_to("circle")
    (home / "nowhere").symlink_to("/does/not/exist")
    (home / "all").symlink_to(live.hub.root)
    verdict = judged(live, (home / "circle").unlink)["user data"]
    assert verdict.measured == (
        "3 homes, 12 files and folders; changed meanwhile: 'bob' (-1); "
        "no longer there: 'bob/circle'"
    )


def test_homes_of_any_depth_are_walked(live: Live) -> None:
    deep = live.hub.root / "home" / "bob"
    descriptor = os.open(deep, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert broken(judged(live, lambda: None)) == []


def test_what_servers_make_and_remove_all_the_time_is_not_counted(live: Live) -> None:
    home = live.hub.root / "home" / "bob"
    for name in (".cache/pip/a", ".ipynb_checkpoints/a", "history.sqlite-journal", "x~"):
        hub_folder.keep(home / name, "", 0o644)
    tidy = f"cd {home} && rm -r .cache .ipynb_checkpoints history.sqlite-journal x~"
    verdicts = judged(live, lambda: subprocess.run(["sh", "-c", tidy], check=True))
    assert verdicts["user data"].measured == "3 homes, 9 files and folders"


def shell(text: str) -> Callable[[], object]:
    return lambda: subprocess.run(["sh", "-c", text], check=True)


def test_a_home_that_no_owner_can_remove_exchange_or_give_away_is_broken(live: Live) -> None:
    homes = live.hub.root / "home"
    acts = {
        f"cd {homes} && mv bob away": "the home 'bob' is gone",
        f"cd {homes} && mv away was && mkdir bob && touch bob/a": "the home 'away' is gone",
        f"cd {homes} && mv bob new && cp -r new bob": "another folder is in the place of the home",
    }
    for act, said in acts.items():
        verdict = judged(live, shell(act))["user data"]
        assert verdict.kept is False, act
        assert said in verdict.measured


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_home_that_belongs_to_somebody_else_is_broken(live: Live) -> None:
    homes = live.hub.root / "home"
    verdict = judged(live, shell(f"chown 1234 {homes}/bob"))["user data"]
    assert (verdict.kept, verdict.measured) == (
        False,
        "the home 'bob' belongs to user 1234, not 0",
    )


def test_of_many_deleted_files_a_few_are_named(live: Live) -> None:
    homes = live.hub.root / "home"
    verdict = judged(live, shell(f"rm -r {homes}/*/project"))["user data"]
    assert verdict.kept is True
    assert "changed meanwhile: 'alice' (-2), 'bob' (-2), 'carol' (-2); no longer there: " in (
        verdict.measured
    )
    assert verdict.measured.endswith(" and 1 more")


def test_homes_that_are_empty_unmounted_or_unreadable_are_not_measured(live: Live) -> None:
    homes = live.hub.root / "home"
    subprocess.run(["sh", "-c", f"rm -r {homes}/bob/*"], check=True)
    verdict = judged(live, lambda: None)["user data"]
    assert (verdict.word, verdict.measured) == (
        "not measured",
        "the home 'bob' is empty; 3 homes, 6 files and folders",
    )
    hub_folder.keep(live.hub.root / "etc" / "fstab", f"server:/x {homes} nfs defaults 0 0\n", 0o644)
    try:
        verdict = judged(live, shell(f"rm -r {homes}/*"))["user data"]
        assert verdict.kept is False
        nothing = judged(live, lambda: None)["user data"]
    finally:
        (live.hub.root / "etc" / "fstab").unlink()
    assert (nothing.word, nothing.measured) == (
        "not measured",
        f"{homes} is not mounted, there is no home in {homes}; 0 homes, 0 files and folders",
    )


def test_what_is_kept_of_homes_does_not_grow_with_their_files(live: Live) -> None:
    few = len(json.dumps(guarantees.measure(live.source)["user data"]))
    folder = live.hub.root / "home" / "bob"
    for number in range(5000):
        (folder / f"file-{number:05}").touch()
    kept = guarantees.measure(live.source)["user data"]
    assert kept["homes"]["bob"]["files"] == 5004 - 1
    assert len(kept["sample"]) == 100
    assert len(json.dumps(kept)) - few < 3000
    verdict = judged(live, shell(f"rm {folder}/file-000*"))["user data"]
    assert "changed meanwhile: 'bob' (-100)" in verdict.measured


def test_homes_for_which_there_is_no_time_are_compared_without_a_count(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = live.hub.root / "home"
    verdict = judged(live, lambda: monkeypatch.setattr(homes_of, "WALK", 0.0))["user data"]
    assert verdict.measured == (
        "3 homes, 9 files and folders; not counted within 0 s: alice, bob, carol"
    )
    verdict = judged(live, lambda: None)["user data"]
    assert "not counted within 0 s: alice, bob, carol" in verdict.measured
    assert verdict.kept is True
    assert judged(live, shell(f"mv {homes}/bob {homes}/x"))["user data"].kept is False


def test_versions_are_judged_by_what_was_asked_for(live: Live) -> None:
    verdict = judged(live, lambda: None)["versions"]
    assert not verdict.kept
    assert "TLJH is 1.0.0, not 2.0.0" in verdict.measured
    assert "tljh-plasma is 0.2.0 (4e54be5b4ea0), not 0.3.0" in verdict.measured

    def install() -> None:
        subprocess.run(["rm", "-r", str(live.hub.environment / "lib")], check=True)
        hub_folder.distribution(live.hub, "jupyterhub", "4.1.6")  # it stays
        hub_folder.distribution(live.hub, "the-littlest-jupyterhub", "2.0.0")
        hub_folder.distribution(live.hub, "tljh-plasma", "0.3.0", group="tljh")

    assert judged(live, install)["versions"].measured == "as asked"


def test_a_broken_guarantee_is_an_error_that_says_which() -> None:
    kept, lost = Verdict("settings", True, "3 kept"), Verdict("user data", False, "missing: 'x'")
    verification.require_kept([kept])
    with pytest.raises(GuaranteeBroken, match=r"user data \(missing: 'x'\)"):
        verification.require_kept([kept, lost])


def test_a_build_that_ends_meanwhile_breaks_nothing(live: Live) -> None:
    statement = "UPDATE images SET status = 'failed'"
    verdicts = judged(live, lambda: change(live.hub.state / BUILDS, statement))
    assert broken(verdicts) == []


def test_a_home_of_a_thousand_nested_folders_is_walked(live: Live) -> None:
    folder = os.open(live.hub.root / "home", os.O_RDONLY)
    for _ in range(1500):  # deeper than any path may be long
        os.mkdir("d" * 20, dir_fd=folder)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert broken(judged(live, lambda: None)) == []
    remove_nested(live.hub.root / "home" / ("d" * 20))


def remove_nested(top: Path) -> None:
    """pytest's own clean-up cannot: rm of coreutils can."""
    subprocess.run(["rm", "-rf", str(top)], check=True)


def test_without_a_folder_of_homes_nothing_is_claimed(live: Live) -> None:
    settings = replace(live.source.settings, homes=str(live.hub.root / "nowhere"))
    with pytest.raises(SettingsInvalid, match="There is no folder"):
        guarantees.measure(replace(live.source, settings=settings))
