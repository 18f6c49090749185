"""What is installed is listed so that conda and pip can install it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.software import user_environment

MD5 = "0123456789abcdef0123456789abcdef"
CHANNEL = "https://conda.example.org/conda-forge/linux-64"


def conda_package(hub: Hub, name: str, version: str, **changes: object) -> None:
    """Write what conda leaves of an installed package."""
    record: dict[str, object] = {
        "name": name,
        "version": version,
        "url": f"{CHANNEL}/{name}-{version}-0.conda",
        "md5": MD5,
        **changes,
    }
    file = hub.prefix / "user/conda-meta" / f"{name}-{version}-0.json"
    hub_folder.keep(file, json.dumps(record), 0o644)


def user_package(hub: Hub, name: str, version: str, installer: str, **more: str) -> None:
    info = hub_folder.distribution(Hub(hub.prefix / "aside"), name, version, **more)
    target = hub.prefix / "user/lib/python3.12/site-packages" / info.name
    target.parent.mkdir(parents=True, exist_ok=True)
    info.rename(target)
    hub_folder.keep(target / "INSTALLER", f"{installer}\n", 0o644)


@pytest.fixture
def server(source: Source) -> Source:
    conda_package(source.hub, "python", "3.12.1")
    conda_package(source.hub, "conda", "24.1.0", md5=None)
    hub_folder.keep(source.hub.prefix / "user/conda-meta/history", "==> now <==\n", 0o644)
    user_package(source.hub, "numpy", "1.26", "conda")
    user_package(source.hub, "gdown", "5.1", "pip")
    user_package(source.hub, "ours", "0.1", "pip", commit=hub_folder.OLD_COMMIT)
    return source


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["software"]))


def text(kept: Snapshot, name: str) -> list[str]:
    return (kept.path / "software" / name).read_text().splitlines()


def test_the_users_environment_is_listed_as_conda_takes_it(server: Source) -> None:
    kept = backup(server)
    assert text(kept, "user-explicit.txt") == [
        "@EXPLICIT",
        f"{CHANNEL}/conda-24.1.0-0.conda",
        f"{CHANNEL}/python-3.12.1-0.conda#{MD5}",
    ]
    url = "git+https://git.example.org/ours"
    source = f"ours @ {url}@{hub_folder.OLD_COMMIT}#subdirectory=below"
    assert text(kept, "user-pip.txt") == ["gdown==5.1", source]
    details = kept.manifest.components["software"]
    assert (details["conda"], details["pip"]) == (2, 2)
    assert "note" not in details


def test_the_hubs_packages_are_listed_with_their_commits(server: Source) -> None:
    lines = text(backup(server), "hub-freeze.txt")
    assert "jupyterhub==4.1.6" in lines
    assert any(line.endswith(f"@{hub_folder.OLD_COMMIT}#subdirectory=below") for line in lines)


def test_a_package_that_no_index_has_is_a_comment_that_pip_skips(server: Source) -> None:
    info = hub_folder.distribution(server.hub, "local-one", "1.0")
    direct = {"url": "file:///srv/local-one", "dir_info": {}}
    (info / "direct_url.json").write_text(json.dumps(direct))
    assert "# from a folder or a file: local-one==1.0" in text(backup(server), "hub-freeze.txt")


def test_a_hub_without_users_environment_lists_its_own_alone(source: Source) -> None:
    kept = backup(source)
    names = {Path(entry.path).name for entry in kept.manifest.files}
    assert names == {"hub-freeze.txt", "machine.json"}


@pytest.mark.parametrize(
    "changes",
    [{"url": None}, {"url": "https://h/a b.conda"}, {"url": "https://h/a\n@evil"}, {"url": ["x"]}],
)
def test_a_package_of_unknown_origin_is_noted(server: Source, changes: dict[str, object]) -> None:
    conda_package(server.hub, "mystery", "1", **changes)
    kept = backup(server)
    assert len(text(kept, "user-explicit.txt")) == 3
    assert "mystery" in kept.manifest.components["software"]["note"]


@pytest.mark.parametrize("broken", ["", "{", "[]", '"x"', "{}"])
def test_a_record_that_conda_is_just_writing_is_passed_over(server: Source, broken: str) -> None:
    hub_folder.keep(server.hub.prefix / "user/conda-meta/broken.json", broken, 0o644)
    assert backup(server).manifest.components["software"]["conda"] == 2


def test_a_pipe_or_a_link_in_place_of_a_record_is_passed_over(server: Source) -> None:
    folder = server.hub.prefix / "user/conda-meta"
    os.mkfifo(folder / "pipe.json")
    (folder / "link.json").symlink_to(folder / "python-3.12.1-0.json")
    assert len(user_environment.conda(server.hub.prefix / "user")) == 2


PROXY = "#!/bin/sh\necho 'Version:      3.6.5'\necho 'Codename:     ramequin'\n"


def machine(source: Source) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        (backup(source).path / "software/machine.json").read_text()
    )
    return found


def test_the_machine_and_the_proxy_are_described(server: Source) -> None:
    hub_folder.keep(server.hub.environment / "bin/traefik", PROXY, 0o755)
    found = machine(server)
    proxy = found["proxy"]
    assert isinstance(proxy, dict)
    assert (proxy["version"], proxy["size"]) == ("3.6.5", len(PROXY))
    assert len(proxy["sha256"]) == 64
    assert (found["hub_python"], found["user_python"]) == ("3.11.2", "3.12.1")
    assert found["kernel"] == os.uname().release


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "\0no program", "#!/bin/sh\necho hi\n"])
def test_a_proxy_that_tells_nothing_is_known_by_its_bytes(server: Source, program: str) -> None:
    hub_folder.keep(server.hub.environment / "bin/traefik", program, 0o755)
    proxy = machine(server)["proxy"]
    assert isinstance(proxy, dict)
    assert (proxy["version"], proxy["size"]) == ("", len(program))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
def test_root_runs_no_program_that_a_user_could_exchange(server: Source) -> None:
    hub_folder.keep(server.hub.environment / "bin/traefik", PROXY, 0o755)
    os.chown(server.hub.environment / "bin", 1234, 1234)
    proxy = machine(server)["proxy"]
    assert isinstance(proxy, dict)
    assert proxy["version"] == ""


def test_without_a_proxy_the_rest_is_described(server: Source) -> None:
    assert machine(server)["proxy"] == {}


def test_the_notes_print_commands_that_can_be_typed(server: Source) -> None:
    kept = backup(server)
    (component,) = components.chosen(["software"])
    lines = list(component.by_hand(kept.manifest))
    assert all(line.startswith("# ") for line in lines)
    commands = [line[2:].split() for line in lines if " --" in line]
    assert [command[-1] for command in commands] == [
        "software/hub-freeze.txt",
        "software/user-explicit.txt",
        "software/user-pip.txt",
    ]
    for command in commands:
        assert (kept.path / command[-1]).is_file()


def test_pip_takes_the_list(server: Source) -> None:
    """pip reads every line before it looks for anything."""
    kept = backup(server)
    read = (
        "import sys; from pip._internal.req.req_file import parse_requirements;"
        "from pip._internal.network.session import PipSession;"
        "print(len(list(parse_requirements(sys.argv[1], session=PipSession()))))"
    )
    file = kept.path / "software/user-pip.txt"
    done = subprocess.run(
        [sys.executable, "-c", read, file], capture_output=True, text=True, check=False
    )
    if "No module named 'pip'" in done.stderr:
        pytest.skip("this Python has no pip")
    assert done.stdout.strip() == "2", done.stderr
