"""What stands in the way of an upgrade is found before the hub is stopped: on real file systems."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import hub_folder
import pytest
from small_disk import memory_disk

from tljh_runbook.errors import ServerUnfit
from tljh_runbook.hub.backup.components.services import UNITS
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.upgrade.swap import trial

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and lock files")
Files = dict[str, Path]


@contextmanager
def run(*command: object, undo: list[object]) -> Iterator[None]:
    done = subprocess.run([str(each) for each in command], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"not possible here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run([str(each) for each in undo], check=True)


def immutable(path: Path) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(run("chattr", "+i", path, undo=["chattr", "-i", path]))
    return stack


def mounted(path: Path) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(run("mount", "--bind", path, path, undo=["umount", path]))
    return stack


@pytest.fixture
def known(source: Source) -> Files:
    """Files and folders of each kind that an upgrade replaces."""
    hub = source.hub
    unit = hub.root / UNITS / "jupyterhub.service"
    hub_folder.keep(unit, "[Service]\n", 0o644)
    return {
        "config.yaml": hub.config_file,
        "the settings' folder": hub.config,
        "database": hub.state / "jupyterhub.sqlite",
        "unit": unit,
        "environment": hub.environment,
    }


def everything(hub: Hub) -> set[Path]:
    return set(hub.root.rglob("*"))


def test_a_hub_that_nothing_stands_in_the_way_of(source: Source, known: Files) -> None:
    before, contents = everything(source.hub), hub_folder.contents(source.hub.root)
    trial.require(source.hub, [*trial.replaced(source), known["unit"]])
    assert everything(source.hub) == before
    assert hub_folder.contents(source.hub.root) == contents


@pytest.mark.parametrize("name", ["config.yaml", "the settings' folder", "database", "unit"])
def test_what_is_immutable(source: Source, known: Files, name: str) -> None:
    before = everything(source.hub)
    with immutable(known[name]), pytest.raises(ServerUnfit, match="immutable") as caught:
        trial.require(source.hub, [*trial.replaced(source), known["unit"]])
    assert "chattr -i" in caught.value.hint
    assert everything(source.hub) == before


@pytest.mark.parametrize("name", ["config.yaml", "database", "unit"])
def test_a_file_that_is_mounted(source: Source, known: Files, name: str) -> None:
    with mounted(known[name]), pytest.raises(ServerUnfit, match="is mounted there") as caught:
        trial.require(source.hub, [*trial.replaced(source), known["unit"]])
    assert f"umount '{known[name]}'" in caught.value.hint


def test_the_check_tells_it(source: Source, known: Files) -> None:
    (look,) = (check for name, check in checks.CHECKS.items() if name == "way")
    with (
        immutable(known["config.yaml"]),
        pytest.raises(ServerUnfit, match="yaml is immutable"),
    ):
        look(source)


def test_an_immutable_environment(source: Source, known: Files) -> None:
    with immutable(known["environment"]), pytest.raises(ServerUnfit, match="hub is immutable"):
        trial.require(source.hub, [])
    assert (known["environment"] / "pyvenv.cfg").exists()


def test_a_prefix_that_is_read_only(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    with memory_disk(hub.prefix):
        hub.environment.mkdir()
        subprocess.run(["mount", "-o", "remount,ro", hub.prefix], check=True)
        with pytest.raises(ServerUnfit, match="read-only") as caught:
            trial.require(hub, [])
    assert f"remount,rw '{hub.prefix}'" in caught.value.hint


def test_an_overlay_that_cannot_exchange_what_it_covers(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    with memory_disk(tmp_path / "disk") as disk:
        hub.prefix.mkdir(parents=True)
        hub_folder.keep(disk.place / "lower" / "hub" / "pyvenv.cfg", "", 0o644)
        for name in ("upper", "work"):
            (disk.place / name).mkdir()
        told = ",".join(f"{name}dir={disk.place / name}" for name in ("lower", "upper", "work"))
        told = f"{told},redirect_dir=off"
        overlay = run(
            *("mount", "-t", "overlay", "-o", told, "overlay", hub.prefix),
            undo=["umount", hub.prefix],
        )
        with overlay, pytest.raises(ServerUnfit, match="an overlay for example"):
            trial.require(hub, [])
        assert (disk.place / "lower" / "hub" / "pyvenv.cfg").exists()
        assert list((disk.place / "upper").iterdir()) == []


@pytest.mark.parametrize("change", [lambda _: None, immutable, mounted])
def test_a_file_on_another_disk(tmp_path: Path, change: Callable[[Path], ExitStack | None]) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    hub.prefix.mkdir(parents=True)
    with memory_disk(tmp_path / "disk") as disk:
        file = disk.place / "jupyterhub.sqlite"
        file.touch()
        lock = change(file)
        if lock is None:
            trial.require(hub, [file])
        else:
            with lock, pytest.raises(ServerUnfit):
                trial.require(hub, [file])
        assert list(disk.place.iterdir()) == [file]


def test_room_is_counted_as_a_copy_takes_it(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    cache = folder / "__pycache__"
    cache.mkdir(parents=True)
    (folder / "module.py").write_bytes(os.urandom(1 << 20))
    (folder / "twin.py").hardlink_to(folder / "module.py")
    (cache / "module.pyc").write_bytes(os.urandom(1 << 20))
    copies.copy(folder, tmp_path / "copy")
    taken = subprocess.run(
        ["du", "--block-size=1", "--summarize", tmp_path / "copy"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert abs(copies.size(folder) - int(taken.stdout.split()[0])) <= 1 << 14  # its own entries
    assert copies.needed(folder, tmp_path) == copies.size(folder)  # nothing is shared here
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "hub"]
