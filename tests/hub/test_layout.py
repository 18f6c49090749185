"""A hub is known by its prefix."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import as_ordinary_user

from tljh_runbook.errors import AccessDenied, NoHub
from tljh_runbook.hub.core import layout
from tljh_runbook.hub.core.layout import Hub


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("/opt/tljh", "/"),
        ("/srv/box/opt/tljh", "/srv/box"),
        ("/srv/hub", "/"),
        ("/srv/tljh", "/"),
    ],
)
def test_a_prefix_that_ends_in_opt_tljh_tells_the_root_of_its_server(
    prefix: str, root: str
) -> None:
    assert Hub(Path(prefix)).root == Path(root)


def test_settings_and_work_lie_below_the_root_of_the_hubs_server(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    assert hub.settings_file == tmp_path / "etc" / "tljh-runbook.yaml"
    assert hub.work == tmp_path / "var" / "lib" / "tljh-runbook"


def test_a_relative_prefix_is_found_from_the_working_directory(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hub.root)
    assert layout.find(Path("opt/../opt/tljh")) == hub


@pytest.mark.parametrize("missing", ["state", "config"])
def test_a_folder_without_state_or_config_is_no_hub(tmp_path: Path, missing: str) -> None:
    for name in {"state", "config"} - {missing}:
        (tmp_path / name).mkdir()
    with pytest.raises(NoHub, match=f"no folder '{missing}'"):
        layout.find(tmp_path)


def test_a_file_a_missing_folder_and_an_endless_name_are_no_hub(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "missing", "x" * 300):
        with pytest.raises(NoHub):
            layout.find(tmp_path / name)


def test_who_may_not_read_the_state_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        hub = hub_folder.build(Path(folder))
        hub.state.chmod(0o000)
        said = as_ordinary_user(lambda: layout.find(hub.prefix))
        hub.state.chmod(0o700)
    assert said == AccessDenied.__name__


def test_a_prefix_that_may_not_be_looked_at_is_no_hub() -> None:
    with tempfile.TemporaryDirectory() as folder:
        hub = hub_folder.build(Path(folder))
        Path(folder).chmod(0o000)
        said = as_ordinary_user(lambda: layout.find(hub.prefix))
        Path(folder).chmod(0o700)
    assert said == NoHub.__name__
