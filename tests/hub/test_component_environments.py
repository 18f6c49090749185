"""Environments: the list is kept with every backup, images where asked; both come back."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from docker_fixtures import Engine, environment
from hub_fixtures import until
from test_snapshot import left_in, on, small_disk

from tljh_runbook.errors import DockerFailed, DockerUnreachable, NoSpace, ToolMissing
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.backup.components.environments import COMPONENT
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.images import environments, saved_image
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.system import docker

FIRST, SECOND = hub_folder.IMAGES
BUILDS = "tljh_repo2docker.sqlite"
EVIL = "x\n```\ntouch pwned\n#\x1b[2J`touch pwned`$(touch pwned)'\""


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["environments"]))


def listed(made: Snapshot) -> dict[str, dict[str, Any]]:
    found = json.loads((made.path / "environments/environments.json").read_text())
    return {each["name"]: each for each in found}


def details(made: Snapshot) -> dict[str, Any]:
    return made.manifest.components["environments"]


def notes(made: Snapshot) -> str:
    return os.fsdecode((made.path / manifest.NOTES).read_bytes())


def actions(source: Source, made: Snapshot) -> tuple[list[Action], list[str]]:
    said: list[str] = []
    return list(COMPONENT.restore(Restoration(source, made, lambda _: None, notes=said))), said


def give_back(source: Source, made: Snapshot) -> list[Action]:
    found, _ = actions(source, made)
    for each in found:
        each.prepare()
    for each in found:
        each.carry_out()
    return found


@pytest.fixture
def saving(source: Source) -> Source:
    return replace(source, settings=replace(source.settings, save_images=True))


@pytest.fixture
def images(engine: Engine) -> dict[str, str]:
    """Both environments of the hub, built; their ids by name."""
    engine.make({name: environment(name) for name in (FIRST, SECOND)})
    return {name: engine.id(name) for name in (FIRST, SECOND)}


def test_each_environment_is_kept_with_what_it_is_built_from(
    source: Source, engine: Engine, images: dict[str, str]
) -> None:
    engine.ask("image", "tag", FIRST, "latest-one")
    made = backup(source)
    size = docker.find([FIRST])[0].size
    assert listed(made)[FIRST] == {
        "name": FIRST,
        "id": images[FIRST],
        "tags": [FIRST, "latest-one:latest"],
        "display_name": "course-python",
        "repository": "https://git.example.org/course-python",
        "ref": "4f1c2ab",
        "build_arguments": f"TOKEN={hub_folder.BUILT_WITH}\nLANGUAGE=fr",
        "memory": "2G",
        "cpu": "1",
        "node_selector": "{}",
        "owner": "alice",
        "created": "01/02/2026",
        "size": size,
        "status": "built",
    }
    assert details(made)["docker"] is None
    assert details(made)["environments"] == 2
    assert "note" not in details(made)
    assert [entry.path for entry in made.manifest.files] == ["environments/environments.json"]


def test_what_has_no_image_and_what_has_no_record_are_told_apart(
    source: Source, engine: Engine
) -> None:
    hub_folder.write_build(source.hub, "3", "broken:1", "failed")
    hub_folder.write_build(source.hub, "4", "coming:1", "building")
    engine.make({FIRST: environment(FIRST), "by-hand:1": environment("by-hand:1")})
    found = {
        name: (each["id"], each["status"], each["repository"].rpartition("/")[2])
        for name, each in listed(backup(source)).items()
    }
    assert found == {
        FIRST: (engine.id(FIRST), "built", "course-python"),
        SECOND: (None, "built", "statistics"),
        "broken:1": (None, "failed", "broken"),
        "coming:1": (None, "building", "coming"),
        "by-hand:1": (engine.id("by-hand:1"), None, "by-hand"),
    }


def test_secrets_of_a_build_are_in_the_private_file_alone(
    source: Source, engine: Engine, images: dict[str, str]
) -> None:
    address = "https://bob:s3cret@here@git.example.org/course"
    engine.make({"private:1": environment("private:1", repo=address)})
    made = backup(source)
    file = made.path / "environments/environments.json"
    assert hub_folder.BUILT_WITH in file.read_text()
    assert listed(made)["private:1"]["repository"] == address
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    engine.forget()
    _, said = actions(source, made)
    for text in (notes(made), (made.path / manifest.NAME).read_text(), "\n".join(said)):
        assert "https://git.example.org/course at 1" in text
        assert "s3cret" not in text


@pytest.mark.parametrize("away", ["no command", "down"])
def test_without_docker_the_records_are_kept_and_it_is_said(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    take_away(monkeypatch, away)
    made = backup(source)
    assert details(made)["environments"] == 2
    said = {"no command": "no docker command", "down": "does not answer"}[away]
    assert said in details(made)["docker"]
    assert said in details(made)["note"]
    assert "Of 2 recorded environments" in details(made)["note"]
    assert listed(made)[FIRST]["id"] is None
    assert listed(made)[FIRST]["ref"] == "4f1c2ab"


def take_away(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "down":
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    else:
        monkeypatch.setenv("PATH", "/nowhere")


@pytest.mark.parametrize("lost", ["rows", "table", "file"])
def test_a_hub_without_environments_expects_no_docker(
    source: Source, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    database = source.hub.state / BUILDS
    if lost == "file":
        database.unlink()
    else:
        hub_folder.change(database, "DELETE FROM images" if lost == "rows" else "DROP TABLE images")
    take_away(monkeypatch, "no command")
    made = backup(source)
    assert listed(made) == {}
    assert details(made)["environments"] == 0
    assert "note" not in details(made)


def test_whoever_wants_images_saved_is_told_that_none_was(
    saving: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_folder.change(saving.hub.state / BUILDS, "DELETE FROM images")
    take_away(monkeypatch, "down")
    assert "no image was saved" in details(backup(saving))["note"]


@pytest.mark.parametrize("about", ["", "no JSON", "[]", "null", '{"repo": 3, "ref": null}'])
def test_a_record_that_says_nothing_sensible_is_kept_by_its_name(
    source: Source, engine: Engine, about: str
) -> None:
    hub_folder.change(source.hub.state / BUILDS, "UPDATE images SET image_meta = ?", (about,))
    assert set(listed(backup(source))) == {FIRST, SECOND}


def test_a_database_of_another_version_is_read_as_far_as_it_goes(
    source: Source, engine: Engine
) -> None:
    hub_folder.change(source.hub.state / BUILDS, "ALTER TABLE images RENAME image_meta TO other")
    assert listed(backup(source))[FIRST]["status"] == "built"


def test_images_are_saved_where_asked_and_counted_beforehand(
    source: Source, saving: Source, images: dict[str, str]
) -> None:
    assert COMPONENT.size(source) == 0
    assert COMPONENT.size(saving) == sum(image.size for image in environments.images())
    made = backup(saving)
    files = [entry for entry in made.manifest.files if entry.path.endswith(".tar")]
    names = {f"environments/images/{id_.removeprefix('sha256:')}.tar" for id_ in images.values()}
    assert {entry.path for entry in files} == names
    assert {entry.mode for entry in files} == {0o600}
    assert all(entry.size > 0 for entry in files)
    assert {each["file"] for each in details(made)["listed"]} == names


def test_an_image_that_vanishes_meanwhile_leaves_no_snapshot(
    saving: Source, engine: Engine, images: dict[str, str]
) -> None:
    engine.make({"large:1": environment("large:1")}, {"large": os.urandom(1 << 24) * 4})
    rest = set(images.values()) | {engine.id("large:1")}
    files = ".partial-*/environments/images/*.tar"

    def vanish() -> None:
        until(lambda: any(saving.backups.glob(files)))
        saved = {f"sha256:{path.stem}" for path in saving.backups.glob(files)}
        engine.ask("image", "rm", "--force", *(rest - saved))

    thread = threading.Thread(target=vanish)
    thread.start()
    try:
        with pytest.raises(DockerFailed):
            backup(saving)
    finally:
        thread.join()
    assert left_in(saving) == []


def test_an_engine_that_hangs_half_way_leaves_no_snapshot(
    saving: Source, engine: Engine, images: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.make({FIRST: environment(FIRST)}, {"large": os.urandom(1 << 24) * 4})
    monkeypatch.setattr(docker, "WAIT", 3)
    monkeypatch.setattr(saved_image, "SLOWEST", 1 << 40)
    ended = threading.Event()

    def hang() -> None:
        until(lambda: any(saving.backups.glob(".partial-*/environments/images/*.tar")))
        with engine.stopped():
            ended.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    try:
        with pytest.raises(DockerUnreachable, match="within 3 s"):
            backup(saving)
    finally:
        ended.set()
        thread.join()
    assert left_in(saving) == []


def test_a_disk_that_is_full_half_way_leaves_nothing(
    saving: Source, engine: Engine, tmp_path: Path
) -> None:
    # Many small files take more room in a file than Docker says that they have.
    engine.make({FIRST: environment(FIRST)}, {f"{number}": b"1" for number in range(20_000)})
    with small_disk(tmp_path, "18m") as disk:
        there = on(saving, disk)
        with pytest.raises(NoSpace, match=r"is full: .* No snapshot was made"):
            backup(there)
        assert left_in(there) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_saved(
    saving: Source, engine: Engine, tmp_path: Path
) -> None:
    engine.make({FIRST: environment(FIRST)}, {"large": bytes(8 << 20)})
    with small_disk(tmp_path, "20m") as disk, pytest.raises(NoSpace, match="needs about 24 MB"):
        backup(on(saving, disk))


def test_where_all_is_as_kept_nothing_is_restored(
    source: Source, saving: Source, images: dict[str, str]
) -> None:
    assert actions(source, backup(source)) == ([], [])
    assert actions(source, backup(saving)) == ([], [])


def test_a_saved_image_comes_back_with_its_tags(
    saving: Source, engine: Engine, images: dict[str, str]
) -> None:
    engine.ask("image", "tag", FIRST, "latest-one")
    made = backup(saving)
    before = docker.find([FIRST, SECOND])
    engine.ask("image", "rm", "--force", images[FIRST])
    done = give_back(saving, made)
    assert [(each.what, each.before) for each in done] == [(f"environment {FIRST}", "missing")]
    assert docker.find([FIRST, SECOND]) == before
    assert actions(saving, made) == ([], [])


def test_an_image_that_was_not_saved_is_told_with_how_to_build_it(
    source: Source, engine: Engine, images: dict[str, str]
) -> None:
    made = backup(source)
    engine.ask("image", "rm", "--force", images[FIRST])
    found, said = actions(source, made)
    assert found == []
    [line] = said
    assert "course-python" in line
    assert "https://git.example.org/course-python at 4f1c2ab" in line
    assert "is missing, and was not saved: build it again" in line


def test_a_tag_that_moved_or_is_gone_comes_back(
    source: Source, engine: Engine, images: dict[str, str]
) -> None:
    engine.ask("image", "tag", FIRST, "kept:1")
    engine.ask("image", "tag", SECOND, "kept:2")
    made = backup(source)
    engine.make({FIRST: environment(FIRST, owner="eve")})
    newer = engine.id(FIRST)
    engine.ask("image", "rm", SECOND)
    done = give_back(source, made)
    assert {each.what: each.before for each in done} == {
        f"image {FIRST}": newer.removeprefix("sha256:")[:12],
        f"image {SECOND}": "missing",
    }
    assert {name: engine.id(name) for name in images} == images
    assert actions(source, made) == ([], [])
    assert docker.find([newer])  # the newer one is still there, by its id


def test_without_docker_what_was_saved_is_refused_before_anything_is_changed(
    source: Source, saving: Source, images: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without, with_images = backup(source), backup(saving)
    take_away(monkeypatch, "no command")
    found, said = actions(source, without)
    assert (found, len(said)) == ([], 1)
    assert "2 environments cannot be looked at" in said[0]
    found, _ = actions(saving, with_images)
    assert len(found) == 2
    with pytest.raises(ToolMissing):
        found[0].prepare()


def test_a_snapshot_without_environments_gives_back_none(source: Source) -> None:
    made = capture.create(source, components.chosen(["config"]))
    assert actions(source, made) == ([], [])
    assert next(iter(COMPONENT.by_hand(made.manifest))).startswith("# 0 environments")


def commands(made: Snapshot) -> str:
    found = re.search(r"^## Environments\n\n```sh\n(.*?)^```$", notes(made), re.DOTALL | re.M)
    assert found
    return found[1]


def typed(made: Snapshot) -> None:
    command = ["bash", "-e", "-c", commands(made)]
    subprocess.run(command, cwd=made.path, check=True, capture_output=True)


def test_by_hand_saved_images_come_back_with_their_tags(
    saving: Source, engine: Engine, images: dict[str, str]
) -> None:
    made = backup(saving)
    engine.forget()
    engine.make({FIRST: environment(FIRST, owner="eve")})
    typed(made)
    assert {name: engine.id(name) for name in images} == images


def test_by_hand_it_is_told_what_to_build_again(source: Source, engine: Engine) -> None:
    made = backup(source)
    typed(made)
    assert "# course-python (course-python:4f1c2ab) of https://git.exam" in commands(made)
    assert "must have the same name" in commands(made)
    assert all(line.startswith("#") for line in commands(made).splitlines())


def test_hostile_labels_stay_on_their_line(source: Source, engine: Engine) -> None:
    labels = environment("evil:1", display_name=EVIL, repo=EVIL, image_name=EVIL)
    engine.make({"evil:1": labels | {"repo2docker.ref": EVIL}})
    made = backup(source)
    assert listed(made)[EVIL]["ref"] == EVIL
    typed(made)
    assert not (made.path / "pwned").exists()
    assert "\x1b" not in notes(made)
    engine.forget()
    _, said = actions(source, made)
    assert len(said) == 1
    assert said[0].isprintable()
