"""The Docker engine is asked for real, and each way in which it may not answer is told apart."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from docker_fixtures import Engine, environment
from hub_fixtures import as_ordinary_user

from tljh_runbook.errors import DockerFailed, DockerUnreachable, ToolMissing
from tljh_runbook.hub.images import environments, saved_image
from tljh_runbook.hub.system import docker

LABEL = "repo2docker.ref"
NOTHING = f"sha256:{0:064}"
HOSTILE = {
    "repo2docker.ref": "two\nlines",
    "tljh_repo2docker.image_name": "--all",
    "tljh_repo2docker.display_name": "\x1b[2J$(reboot)`'\"",
    "--flag": "𝄞",
}


def test_images_with_the_label_are_listed_once_with_all_their_tags(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1"), "other:1": {"maintainer": "bob"}})
    engine.ask("image", "tag", "course:1", "course:latest")
    [image] = docker.images(LABEL)
    assert image.id == engine.id("course:1")
    assert image.tags == ("course:1", "course:latest")
    assert image.labels == environment("course:1")
    assert image.size > 0
    assert image.created == "2026-02-01T00:00:00Z"


def test_an_image_without_a_tag_is_not_listed(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1")})
    engine.make({"course:1": environment("course:1", owner="bob")})  # takes the tag away
    assert [image.id for image in docker.images(LABEL)] == [engine.id("course:1")]


def test_an_image_that_is_no_environment_is_not_taken_for_one(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1"), "by-hand:1": {"repo2docker.ref": "1"}})
    assert len(docker.images(LABEL)) == 2
    assert [image.tags for image in environments.images()] == [("course:1",)]


def test_hostile_labels_come_as_they_are(engine: Engine) -> None:
    engine.make({"course:1": HOSTILE})
    assert [image.labels for image in docker.images(LABEL)] == [HOSTILE]


def test_hundreds_of_images_are_listed(engine: Engine) -> None:
    engine.make({f"course:{number}": environment(f"course:{number}") for number in range(500)})
    assert len({image.id for image in docker.images(LABEL)}) == 500


def test_a_build_is_seen_as_long_as_its_container_runs(
    engine: Engine, busybox: dict[str, bytes]
) -> None:
    engine.make({"repo2docker:1": {}}, busybox)
    for name in ("course:2", "two\nlines"):
        engine.ask(
            "run",
            "--detach",
            "--network=none",
            f"--label=repo2docker.build={name}",
            "-l",
            "repo2docker.ref=2",
            "--name",
            name[:3],
            "repo2docker:1",
        )
    engine.ask("run", "--detach", "--network=none", "repo2docker:1")
    assert sorted(docker.builds()) == ["course:2", "two\nlines"]
    engine.ask("kill", "cou")
    assert docker.builds() == ["two\nlines"]


def test_without_images_the_list_is_empty(engine: Engine) -> None:
    assert docker.images(LABEL) == []
    assert docker.find([]) == []


def test_what_is_gone_by_now_is_left_out(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1")})
    assert [image.tags for image in docker.find([NOTHING, "course:1"])] == [("course:1",)]
    assert docker.find([NOTHING]) == []


@pytest.mark.parametrize("name", ["--help", "-f", "UPPER", "two\nlines", "a b"])
def test_a_name_that_cannot_be_is_never_an_option(engine: Engine, name: str) -> None:
    engine.make({"course:1": environment("course:1")})
    with pytest.raises(DockerFailed):
        docker.tag("course:1", name)
    with pytest.raises(DockerFailed):
        docker.tag(name, "course:2")
    with suppress(DockerFailed):  # some are refused, others are not there
        assert docker.find([name]) == []
    assert len(docker.images(LABEL)) == 1


def test_a_name_that_reads_like_an_option_is_a_name(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1")})
    assert [image.tags for image in docker.find(["--help", "course:1"])] == [("course:1",)]


def test_without_the_command_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="no docker command"):
        docker.images(LABEL)


def test_an_engine_that_is_down_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(DockerUnreachable, match=r"does not answer: .*nowhere"):
        docker.images(LABEL)


def test_a_user_who_may_not_ask_the_engine_is_told(engine: Engine) -> None:
    said = as_ordinary_user(lambda: _refused(LABEL))
    assert "does not answer: permission denied" in said


def _refused(label: str) -> str:
    os.environ["HOME"] = "/"
    try:
        return str(docker.images(label))
    except DockerUnreachable as error:
        return error.message


def test_an_engine_that_hangs_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "WAIT", 0.5)
    with engine.stopped(), pytest.raises(DockerUnreachable, match="did not answer within"):
        docker.images(LABEL)


def test_a_command_that_says_nothing_sensible_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho 'sha256:1 is [not] what we read'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DockerFailed, match="not understood"):
        docker.images(LABEL)


def test_a_container_that_runs_has_a_process_and_one_that_ended_is_left_out(
    engine: Engine, busybox: dict[str, bytes]
) -> None:
    engine.make({"course:1": environment("course:1")}, busybox)
    runs = engine.ask("run", "--detach", "--network=none", "course:1")
    ended = engine.ask("run", "--detach", "--network=none", "course:1", "/bin/busybox", "true")
    engine.ask("wait", ended)
    found = docker.containers([runs, ended, "c0ffee"])
    assert list(found) == [runs]
    assert found[runs].image == engine.id("course:1")
    command = Path(f"/proc/{found[runs].pid}/cmdline").read_bytes()
    assert command == b"/bin/busybox\0sleep\x001000\0"


def test_a_saved_image_comes_back_with_the_same_id(engine: Engine, tmp_path: Path) -> None:
    engine.make({"course:1": environment("course:1")})
    [image] = docker.images(LABEL)
    with (tmp_path / "image.tar").open("wb") as file:
        saved_image.save(image, file)
    saved_image.require_whole(tmp_path / "image.tar")
    engine.forget()
    with (tmp_path / "image.tar").open("rb") as file:
        saved_image.load(image.id, file, image.size)
    docker.tag(image.id, "course:1")
    assert docker.images(LABEL) == [image]


def test_an_image_that_is_gone_cannot_be_saved(engine: Engine, tmp_path: Path) -> None:
    engine.make({"course:1": environment("course:1")})
    [image] = docker.images(LABEL)
    engine.forget()
    with (tmp_path / "image.tar").open("wb") as file, pytest.raises(DockerFailed):
        saved_image.save(image, file)


def test_a_disk_that_is_full_is_an_error_of_that_disk(engine: Engine) -> None:
    engine.make({"course:1": environment("course:1")})
    [image] = docker.images(LABEL)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        saved_image.save(image, full)


def test_a_file_that_was_cut_short_is_found(engine: Engine, tmp_path: Path) -> None:
    engine.make({"course:1": environment("course:1")}, {"file": bytes(100_000)})
    [image] = docker.images(LABEL)
    file = tmp_path / "image.tar"
    with file.open("wb") as written:
        saved_image.save(image, written)
    whole = file.read_bytes()
    for share in (0.0, 0.2, 0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DockerFailed, match="not whole"):
            saved_image.require_whole(file)


def test_another_image_than_the_one_that_was_saved_is_told(engine: Engine, tmp_path: Path) -> None:
    engine.make({"course:1": environment("course:1")})
    [image] = docker.images(LABEL)
    with (tmp_path / "image.tar").open("wb") as file:
        saved_image.save(image, file)
    with (tmp_path / "image.tar").open("rb") as file, pytest.raises(DockerFailed, match="another"):
        saved_image.load(NOTHING, file, image.size)
