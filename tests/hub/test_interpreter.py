"""The Python of a hub's environment: whether it is there, told without it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import hub_folder
import pytest
import pythons

from tljh_runbook.errors import ToolMissing
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions import interpreter


def made(hub: Hub, python: Path, *options: str) -> Path:
    """Make the hub's environment with a Python, and put JupyterHub in it; return its packages."""
    shutil.rmtree(hub.environment, ignore_errors=True)
    command: list[str | Path] = [python, "-m", "venv", "--without-pip", *options, hub.environment]
    subprocess.run(command, check=True)
    (site,) = hub.environment.glob("lib/python3.*/site-packages")
    (site / "jupyterhub").mkdir()
    (site / "jupyterhub" / "__init__.py").touch()
    return site


def imports_jupyterhub(hub: Hub) -> bool:
    command: list[str | Path] = [hub.python, "-c", "import jupyterhub"]
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode
    except OSError:
        return False


@pytest.mark.parametrize("options", [[], ["--copies"]])
def test_a_python_that_is_there_is_not_gone(tmp_path: Path, options: list[str]) -> None:
    hub = Hub(tmp_path)
    made(hub, pythons.own(), *options)
    assert imports_jupyterhub(hub)
    assert interpreter.gone(hub) == ""


def test_a_python_that_was_removed_is_named(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "tljh")
    made(hub, pythons.own())
    old = pythons.copy(pythons.own(), tmp_path / "old")
    pythons.bind(hub.environment, old)
    assert imports_jupyterhub(hub)
    assert interpreter.gone(hub) == ""
    shutil.rmtree(tmp_path / "old")
    assert not imports_jupyterhub(hub)
    assert f"leads to {old}, which is not there" in interpreter.gone(hub)


@pytest.mark.parametrize("text", ["#!/nowhere/python3\n", "\x7fELF"])
def test_a_python_that_does_not_start_is_named(tmp_path: Path, text: str) -> None:
    hub = Hub(tmp_path)
    made(hub, pythons.own())
    hub.python.unlink()
    hub_folder.keep(hub.python, text, 0o755)
    assert not imports_jupyterhub(hub)
    assert interpreter.gone(hub) == f"{hub.python} does not start"


def test_another_version_in_its_place_finds_no_package(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    made(hub, pythons.own())
    new = pythons.other()
    pythons.bind(hub.environment, new)
    assert not imports_jupyterhub(hub)
    gone = interpreter.gone(hub)
    assert "it was made with Python" in gone
    assert f"is {interpreter.version(str(new))} now" in gone
    assert interpreter.there(hub) == str(new)


def test_an_environment_that_is_not_there_has_no_python_that_is_gone(tmp_path: Path) -> None:
    assert interpreter.gone(Hub(tmp_path)) == ""


def test_a_python_that_makes_no_environments_is_named_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = pythons.copy(pythons.own(), tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "lib" / new.name / "ensurepip")
    monkeypatch.setenv("PATH", pythons.found_first(new, tmp_path / "bin")["PATH"])
    with pytest.raises(ToolMissing, match="cannot make environments") as caught:
        interpreter.require(Hub(tmp_path))
    assert "python3-venv" in caught.value.hint
