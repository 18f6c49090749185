"""What a hub runs is read from its files; nothing in it is started."""

from __future__ import annotations

import json

import hub_folder
import pytest

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions import versions


def test_versions_are_read_without_a_python_in_the_environment(hub: Hub) -> None:
    assert not hub.python.exists()
    assert versions.installed(hub).rows() == {
        "TLJH": "1.0.0",
        "JupyterHub": "4.1.6",
        "tljh-plasma": f"0.2.0 ({hub_folder.OLD_COMMIT[:12]})",
    }


def test_a_plugin_from_git_is_known_by_its_commit(hub: Hub) -> None:
    found = versions.packages(hub)["tljh-plasma"]
    assert found.commit == hub_folder.OLD_COMMIT
    url = "git+https://git.example.org/tljh-plasma"
    assert found.requirement == f"tljh-plasma @ {url}@{found.commit}#subdirectory=below"


def test_plugins_are_what_plugs_into_tljh_and_their_companion(hub: Hub) -> None:
    hub_folder.distribution(hub, "tljh-repo2docker", "3.0.12", group="console_scripts")
    hub_folder.distribution(hub, "requests", "2.0")
    assert sorted(versions.plugins(hub)) == ["tljh-plasma", "tljh-repo2docker"]


def test_the_folder_of_the_environments_own_python_comes_first(hub: Hub) -> None:
    for python in ("3.9", "3.13"):
        hub_folder.distribution(hub, "jupyterhub", "1.0", python=python)
    hub_folder.distribution(hub, "only-there", "7", python="3.9")
    assert versions.packages(hub)["jupyterhub"].version == "4.1.6"
    assert versions.packages(hub)["only-there"].version == "7"


def test_without_pyvenv_cfg_the_versions_are_still_found(hub: Hub) -> None:
    (hub.environment / "pyvenv.cfg").unlink()
    assert versions.python(hub) == ""
    assert versions.installed(hub).rows()["JupyterHub"] == "4.1.6"


def test_without_an_environment_there_are_no_versions(hub: Hub) -> None:
    hub.environment.rename(hub.root / "elsewhere")
    assert versions.installed(hub).rows() == {}


@pytest.mark.parametrize("order", ["~upyterhub-4.0.0.dist-info", "~-pyterhub-4.0.0.dist-info"])
def test_what_a_killed_pip_left_is_not_taken_for_installed(hub: Hub, order: str) -> None:
    hub_folder.distribution(hub, "jupyterhub", "4.0.0", folder=order)
    hub_folder.distribution(hub, "gone", "1", folder="~one-1.dist-info")
    assert versions.packages(hub)["jupyterhub"].version == "4.1.6"
    assert "gone" not in versions.packages(hub)


@pytest.mark.parametrize(
    "metadata", [None, b"", b"Name: jupyterhub\n", b"Version: 1\n", b"\xff\xfe", b"\0" * 512]
)
def test_a_dist_info_that_says_nothing_is_passed_over(hub: Hub, metadata: bytes | None) -> None:
    info = hub_folder.distribution(hub, "a-broken", "9")
    (info / "METADATA").unlink()
    if metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    assert set(versions.packages(hub)) == {"the-littlest-jupyterhub", "jupyterhub", "tljh-plasma"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"url": "https://h"}', '{"dir_info": {}}']
)
def test_a_direct_url_that_names_no_commit_gives_none(hub: Hub, text: str) -> None:
    info = hub_folder.distribution(hub, "tljh-plasma", "0.2.0", commit=hub_folder.OLD_COMMIT)
    (info / "direct_url.json").write_text(text)
    found = versions.packages(hub)["tljh-plasma"]
    assert (found.commit, found.label) == (None, "0.2.0")
    assert found.requirement == "tljh-plasma==0.2.0"


def test_an_address_with_blanks_and_accents_can_be_installed_from_again(hub: Hub) -> None:
    """pip records such an address decoded, and does not read what it has recorded."""
    url = "file:///srv/my hüb@home/it%20was"
    told = {"url": url, "vcs_info": {"vcs": "git", "commit_id": hub_folder.OLD_COMMIT}}
    info = hub_folder.distribution(hub, "tljh-plasma", "0.2.0", commit=hub_folder.OLD_COMMIT)
    (info / "direct_url.json").write_text(json.dumps(told))
    source = versions.packages(hub)["tljh-plasma"].source
    assert source == f"git+file:///srv/my%20h%C3%BCb@home/it%20was@{hub_folder.OLD_COMMIT}"
