"""TLJH's installer finds what it asks of the server that it runs on."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub import files, installer, interpreter
from tljh_runbook.hub.source import Source

# As bootstrap.py of TLJH asks, first of all.
BOOTSTRAP = """\
import shutil, sys
assert "--version" in sys.argv
if not shutil.which("systemd") or not shutil.which("systemctl"):
    sys.exit("Systemd is required to run TLJH")
"""


@pytest.fixture
def without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs as Debian 13 has them: no `systemd` in any folder of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    hub_folder.keep(folder / "systemctl", "#!/bin/sh\n", 0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("systemd") is None


def test_the_installer_finds_systemd_where_debian_13_has_it(
    source: Source, without_systemd: None
) -> None:
    hub_folder.keep(source.hub.root / "usr/lib/systemd/systemd", "#!/bin/sh\n", 0o755)
    hub_folder.keep(Path(source.settings.upgrade.installer), BOOTSTRAP, 0o755)
    files.make_private(source.hub.work)
    installer.install("2.0.0", [], source, print)
    log = source.hub.work / installer.LOG
    assert "required" not in log.read_text(encoding="utf-8")


def test_the_systemd_of_path_comes_first(source: Source) -> None:
    path = interpreter.environment(source.hub)["PATH"]
    assert path == f"{os.environ['PATH']}:{source.hub.root}/usr/lib/systemd"
