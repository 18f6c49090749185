"""What the fake of TLJH's installer does to the machine around the prefix."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tljh_runbook.sandbox.layout import FAKES, Layout, layout

INSTALLER = [FAKES / "tljh" / part for part in ("common", "2.0.0")]
PREPARE = "import logging, tljh; logging.basicConfig(level=logging.INFO, format='%(message)s'); "


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return layout(tmp_path / "a box")


def carry_out(place: Layout, code: str) -> subprocess.CompletedProcess[str]:
    """Run a line of Python where the fake is installed for a hub in a folder."""
    merged = place.root / "tljh"
    for folder in INSTALLER:
        subprocess.run(["cp", "-r", folder / "tljh", place.root], check=True)
    assert (merged / "__init__.py").exists()
    return subprocess.run(
        [sys.executable, "-c", PREPARE + code],
        cwd=place.root,
        env=os.environ | {"TLJH_INSTALL_PREFIX": str(place.prefix), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


INSTALL = "from tljh import apt; apt.install_packages(['tree', 'rename'])"
LINK = "from tljh import config, installer; installer.ensure_symlinks(config.HUB_ENV_PREFIX)"


@pytest.fixture
def apt_get(place: Layout) -> Path:
    """A program in the place of apt-get, which only a server may run; what it was given."""
    program = place.root / "usr" / "bin" / "apt-get"
    program.parent.mkdir(parents=True)
    log = place.root / "log"
    program.write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $@" >>{shlex.quote(str(log))}\n')
    program.chmod(0o755)
    return log


def test_packages_are_had_from_apt(place: Layout, apt_get: Path) -> None:
    carry_out(place, INSTALL)
    lists = place.root / "var" / "lib" / "apt" / "lists"
    lists.mkdir(parents=True)
    (lists / "a list").touch()
    carry_out(place, INSTALL)
    assert apt_get.read_text().splitlines() == [
        "noninteractive update --yes",
        "noninteractive install --yes tree rename",
        "noninteractive install --yes tree rename",
    ]


def test_packages_that_cannot_be_had_end_the_installer(place: Layout, apt_get: Path) -> None:
    program = place.root / "usr" / "bin" / "apt-get"
    program.write_text("#!/bin/sh\nexit 100\n")
    assert carry_out(place, INSTALL).returncode == 1


def test_a_command_that_fails_ends_in_a_traceback_that_does_not_say_why(place: Layout) -> None:
    place.root.mkdir()
    program = "['sh', '-c', 'echo ERROR: no space left; exit 3']"
    done = carry_out(place, f"from tljh import packages; packages.run({program})")
    first, reason, *_, last = done.stderr.strip().splitlines()
    assert first.startswith("Ran sh -c echo")
    assert reason == "ERROR: no space left"
    assert last.startswith("subprocess.CalledProcessError: Command ")
    assert last.endswith("returned non-zero exit status 3.")


def test_the_installer_waits_for_port_80_of_a_server_and_says_in_a_traceback_that_it_did_not(
    place: Layout,
) -> None:
    place.config.mkdir(parents=True)
    (place.config / "config.yaml").write_text("http: {port: 1}\n")
    ask = "from pathlib import Path; from tljh import installer as i; print(i.awaited_port()); "
    ask += "i.ROOT = Path('/'); print(i.awaited_port()); i.ensure_jupyterhub_running(0)"
    done = carry_out(place, ask)
    assert done.stdout.splitlines() == ["1", "80"]
    last = done.stderr.strip().splitlines()[-1]
    assert last == "Exception: Installation failed: JupyterHub did not start in 0s"


def test_a_folder_without_apt_does_without_packages(place: Layout) -> None:
    place.root.mkdir()
    done = carry_out(place, INSTALL)
    assert (done.returncode, done.stderr[:8]) == (0, "Skipped:")


def test_the_command_is_linked_once(place: Layout) -> None:
    target = place.prefix / "hub" / "bin" / "tljh-config"
    target.parent.mkdir(parents=True)
    target.touch()
    link = place.root / "usr" / "bin" / "tljh-config"
    for _ in range(2):
        assert carry_out(place, LINK).returncode == 0
        assert link.readlink() == target


def test_a_command_of_somebody_else_is_never_replaced(place: Layout) -> None:
    link = place.root / "usr" / "bin" / "tljh-config"
    link.parent.mkdir(parents=True)
    link.write_text("his own")
    done = carry_out(place, LINK)
    assert "is not a symlink to" in done.stderr
    assert done.returncode == 1
    assert link.read_text() == "his own"
