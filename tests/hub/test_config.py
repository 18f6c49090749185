"""The hub's config.yaml: what an administrator wrote stays as it is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import config, yaml
from tljh_runbook.hub.core.layout import Hub

DEFAULTS = {"services.cull.timeout": 3600, "limits.memory": "2G", "limits.cpu": 2}


def write(hub: Hub, text: str) -> None:
    hub.config_file.write_text(text, encoding="utf-8")


def lines(hub: Hub) -> list[str]:
    return hub.config_file.read_text(encoding="utf-8").splitlines()


def test_settings_are_read_under_dotted_names(hub: Hub) -> None:
    found = config.read(hub)
    assert found["users.admin"] == ["alice"]
    assert found["services.cull.enabled"] is True
    assert found["limits.memory"] == "1G"


def test_a_hub_without_the_file_runs_on_defaults(hub: Hub) -> None:
    hub.config_file.unlink()
    assert config.read(hub) == {}
    assert config.set_unset(hub, DEFAULTS) == DEFAULTS
    assert config.read(hub) == DEFAULTS


def test_only_what_is_unset_is_set(hub: Hub) -> None:
    wanted = {"services.cull.timeout": 3600, "limits.cpu": 2}
    assert config.unset(hub, DEFAULTS) == wanted
    assert config.set_unset(hub, DEFAULTS) == wanted
    assert config.read(hub)["limits.memory"] == "1G"


def test_comments_order_and_quotes_survive(hub: Hub) -> None:
    before = lines(hub)
    config.set_unset(hub, DEFAULTS)
    after = lines(hub)
    assert [line for line in after if line in before] == before
    assert sorted(set(after) - set(before)) == ["    timeout: 3600", "  cpu: 2"]


def test_the_comments_of_a_file_that_holds_nothing_else_survive(hub: Hub) -> None:
    write(hub, "# Ask Alice first.\n\n# limits:\n#   memory: 1G")
    config.set_unset(hub, DEFAULTS)
    assert lines(hub)[:4] == ["# Ask Alice first.", "", "# limits:", "#   memory: 1G"]
    assert config.read(hub) == DEFAULTS


def test_mode_and_owner_stay(hub: Hub) -> None:
    hub.config_file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(hub.config_file, 1234, 4321)
    before = hub.config_file.stat()
    config.set_unset(hub, DEFAULTS)
    after = hub.config_file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino


def test_a_second_time_changes_nothing(hub: Hub) -> None:
    config.set_unset(hub, DEFAULTS)
    before = hub_folder.metadata(hub.config_file)
    assert config.set_unset(hub, DEFAULTS) == {}
    assert hub_folder.metadata(hub.config_file) == before


@pytest.mark.parametrize(
    "text",
    [
        "limits: {memory: 0}",
        "limits: {memory: ''}",
        "limits: {memory: false}",
        "limits: {memory: null}",
        "limits: {memory: []}",
        "limits: {memory: {}}",
        "limits: {memory: {soft: 1G}}",
        "limits: false",
        "limits: 0",
        "limits: []",
    ],
)
def test_what_an_administrator_set_is_never_overwritten(hub: Hub, text: str) -> None:
    write(hub, text)
    assert config.set_unset(hub, {"limits.memory": "2G"}) == {}
    assert hub.config_file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "text", ["limits:\n", "limits: {}\n", "limits: null\n", "other: 1\n", "\n"]
)
def test_an_empty_section_is_filled(hub: Hub, text: str) -> None:
    write(hub, text)
    assert config.set_unset(hub, {"limits.memory": "2G"}) == {"limits.memory": "2G"}
    assert config.read(hub)["limits.memory"] == "2G"


@pytest.mark.parametrize(
    "data",
    [
        b"users: [alice",
        b"- alice\n- bob\n",
        b"only words\n",
        b"a: 1\na: 2\n",
        b"a: \xff\xfe\n",
        b"a: 1\n---\nb: 2\n",
        b"a: 2024-13-45\n",
        b"a: &a {b: *a}\n",
        b"\ta: 1\n",
        b"a: +_\n",
    ],
)
def test_a_broken_file_is_told_and_left_as_it_is(hub: Hub, data: bytes) -> None:
    hub.config_file.write_bytes(data)
    with pytest.raises(ConfigBroken, match="Nothing was changed"):
        config.set_unset(hub, DEFAULTS)
    assert hub.config_file.read_bytes() == data


def test_a_link_to_a_file_elsewhere_stays_a_link(hub: Hub) -> None:
    elsewhere = hub.root / "etc" / "hub.yaml"
    hub.config_file.rename(elsewhere)
    hub.config_file.symlink_to(elsewhere)
    config.set_unset(hub, DEFAULTS)
    assert hub.config_file.is_symlink()
    assert "cpu: 2" in elsewhere.read_text(encoding="utf-8")


def test_a_folder_in_its_place_is_told(hub: Hub) -> None:
    hub.config_file.unlink()
    hub.config_file.mkdir()
    with pytest.raises(ConfigBroken):
        config.read(hub)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:80/hub/api/"),
        ("http: {port: 8080, address: 10.0.0.5}", "http://10.0.0.5:8080/hub/api/"),
        ("http: {address: 0.0.0.0}", "http://127.0.0.1:80/hub/api/"),
        ("http: {address: '::'}", "http://[::1]:80/hub/api/"),
        ("http: {port: null, address: null}", "http://127.0.0.1:80/hub/api/"),
        ("https: {enabled: true}", "https://127.0.0.1:443/hub/api/"),
        ("https: {enabled: true, port: 8443}", "https://127.0.0.1:8443/hub/api/"),
        ("https: {enabled: false, port: 8443}", "http://127.0.0.1:80/hub/api/"),
        ("base_url: jupyter", "http://127.0.0.1:80/jupyter/hub/api/"),
        ("base_url: /a/b/", "http://127.0.0.1:80/a/b/hub/api/"),
        ("base_url: null", "http://127.0.0.1:80/hub/api/"),
    ],
)
def test_the_proxys_address_is_found(hub: Hub, text: str, url: str) -> None:
    write(hub, text)
    assert config.address(hub).url("hub/api/") == url


@pytest.mark.parametrize("port", ["eighty", "-1", "70000", "[80]", "8.5", "true"])
def test_a_port_that_is_none_is_told(hub: Hub, port: str) -> None:
    write(hub, f"http: {{port: {port}}}")
    with pytest.raises(ConfigBroken, match="no port"):
        config.address(hub)


NAMES = st.sampled_from(["limits", "services", "cull", "memory", "cpu", "timeout", "users"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc: #'\"é\n", max_size=6)
TREES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(tree=TREES)
@hypothesis_settings(max_examples=60, deadline=None)
def test_setting_the_unset_changes_nothing_else(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder))
        hub_folder.keep(hub.config_file, yaml.dump(tree), 0o600)
        before = config.read(hub)
        added = config.set_unset(hub, DEFAULTS)
        after = config.read(hub)
        assert config.set_unset(hub, DEFAULTS) == {}
    kept = {name: value for name, value in before.items() if name in after}
    gone = {name: value for name, value in before.items() if name not in after}
    assert after == kept | added
    assert all(value in config.EMPTY for value in gone.values())
    assert all(any(new.startswith(f"{name}.") for new in added) for name in gone)
