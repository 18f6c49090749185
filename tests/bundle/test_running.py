"""The bundle runs where there is nothing but a Python."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest
import pythons
import supported
from hub_fixtures import Live

from tljh_runbook.errors import NoHub, SnapshotMissing, ToolMissing
from tljh_runbook.hub.core.layout import Hub

from .conftest import BARE, SYSTEM, TOO_OLD, run

IMPORT_ALL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
# Each Python imports every module in the usual tests; a backup with those between adds little.
SOME_NIGHTLY = [
    pytest.param(version, marks=[] if version in supported.ENDS else pytest.mark.nightly)
    for version in supported.VERSIONS
]


def test_every_module_of_ours_can_be_imported(pyz: Path, python: str) -> None:
    inside = [name for name in zipfile.ZipFile(pyz).namelist() if name.startswith("tljh_runbook/")]
    files = [Path(name) for name in inside if name.endswith(".py") and "__main__" not in name]
    names = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    assert len(names) > 80
    done = run(python, "-IS", "-c", IMPORT_ALL, pyz, *names)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("python", SOME_NIGHTLY, indirect=True)
def test_a_backup_with_a_bare_python(pyz: Path, python: str, hub: Hub) -> None:
    where = ("--hub", hub.prefix)
    made = run(python, "-I", "-S", pyz, "backup", *where)
    assert made.returncode == 0, made.stderr
    assert "Sealed and read back" in made.stdout
    listed = run(python, pyz, "snapshots", *where)
    assert listed.stdout.startswith("snapshot ")
    kept = json.loads(run(python, pyz, "snapshots", *where, "--json").stdout)
    assert {"database", "config"} <= {*kept[0]["components"]}
    assert run(python, pyz, "verify", *where).returncode == 0
    for command in ("status", "check"):
        assert "Traceback" not in run(python, pyz, command, *where).stderr


def test_what_is_drawn_on_a_terminal_needs_no_more(pyz: Path, hub: Hub) -> None:
    said, code = pexpect.run(
        f"{SYSTEM} {pyz} check --hub {hub.prefix}",
        env={**BARE, "TERM": "xterm-256color", "COLUMNS": "200"},
        withexitstatus=True,
        encoding="utf-8",
        timeout=60,
    )
    assert "\x1b[32m" in said
    assert "\x1b[1;31m" in said
    assert "Traceback" not in said
    assert code != 0


def test_users_settings_of_python_are_not_followed(
    pyz: Path, python: str, traps: dict[str, str]
) -> None:
    done = run(python, "-S", pyz, "status", "--hub", "/nowhere", env={**traps, "PYTHONPATH": ""})
    assert done.returncode == NoHub.code
    # Without -S Python itself imports a sitecustomize before anything of ours can run.
    Path(traps["PYTHONPATH"], "sitecustomize.py").unlink()
    Path(traps["PYTHONPATH"], "usercustomize.py").unlink()
    done = run(python, pyz, "status", "--hub", "/nowhere", env=traps, cwd=Path(traps["PYTHONPATH"]))
    assert (done.returncode, done.stderr[:15]) == (NoHub.code, "error: There is")


@pytest.mark.parametrize("version", TOO_OLD)
def test_an_old_python_is_told_in_one_line(pyz: Path, version: str) -> None:
    done = run(pythons.find(version), pyz, "status")
    assert done.returncode == ToolMissing.code
    assert f"needs Python 3.10 or newer, and this is Python {version}." in done.stderr
    assert done.stderr.count("\n") == 2
    assert "\nhint: " in done.stderr


def test_it_says_what_is_typed_next(pyz: Path, hub: Hub) -> None:
    done = run("python3", pyz.name, "verify", "--hub", hub.prefix, cwd=pyz.parent)
    assert done.returncode == SnapshotMissing.code
    assert f"python3 {pyz.name} backup --hub {hub.prefix}" in done.stderr


def test_an_upgrade_goes_on_in_a_process_of_its_own(pyz: Path, live: Live) -> None:
    where = ("--hub", live.hub.prefix)
    assert run("python3", pyz.name, "backup", *where, cwd=pyz.parent).returncode == 0
    done = run("python3", pyz.name, "upgrade", *where, "--json", cwd=pyz.parent)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["report"]
    assert report["changed"] is True
    assert "<style>:root" in Path(report["page"]).read_text()  # the style came from the one file
