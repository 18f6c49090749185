"""TLJH's installer finds what it asks of the server that it runs on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.backup.components.plugin import Plugin
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.versions import interpreter
from tljh_runbook.hub.versions.targets import NEWER, TLJH_ADDRESS, Target, Targets
from tljh_runbook.hub.versions.versions import Package
from tljh_runbook.sandbox.layout import FAKES

# The Python of a hub that pip and the installer have nothing to do for.
PASSES = "#!/bin/sh\n"


@pytest.fixture
def without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs as Debian 13 has them: no `systemd` in any folder of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    hub_folder.keep(folder / "systemctl", "#!/bin/sh\n", 0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("systemd") is None


@pytest.fixture
def on_debian_13(source: Source, without_systemd: None) -> None:
    """Have `systemd` where Debian 13 has it, and the installer that looks for it."""
    hub_folder.keep(source.hub.root / "usr/lib/systemd/systemd", "#!/bin/sh\n", 0o755)
    bootstrap = (FAKES / "bootstrap.py").read_text(encoding="utf-8")
    hub_folder.keep(Path(source.settings.upgrade.installer), bootstrap, 0o755)
    hub_folder.keep(source.hub.python.with_name("python3"), PASSES, 0o755)


def test_the_installer_finds_systemd_where_debian_13_has_it(
    source: Source, on_debian_13: None
) -> None:
    files.make_private(source.hub.work)
    installer.install("2.0.0", [], source, print)
    log = (source.hub.work / installer.LOG).read_text(encoding="utf-8")
    assert "required" not in log
    assert log.endswith("Running TLJH installer...\n")


def test_the_notes_of_a_snapshot_find_systemd_there_too(source: Source, on_debian_13: None) -> None:
    (plugin,) = components.chosen(["plugin"])
    made = capture.create(source, [plugin])
    (line,) = [each for each in plugin.by_hand(made.manifest) if "installer.py" in each]
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


RECORDS = """\
import json, os, pathlib, sys
assert "--version" in open(sys.argv[0]).read()
seen = [sys.argv[1:], os.environ.get("TLJH_BOOTSTRAP_PIP_SPEC")]
pathlib.Path(os.environ["TLJH_INSTALL_PREFIX"], "seen").write_text(json.dumps(seen))
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OWN = f"{TLJH_NAME} @ git+{TLJH_ADDRESS}@{COMMIT}"
FORK = f"{TLJH_NAME} @ git+https://git.example.org/tljh@{COMMIT}#subdirectory=below"


@pytest.mark.parametrize(
    ("requirement", "version", "spec"),
    [
        (f"{TLJH_NAME}==2.0.0", ["--version", "2.0.0"], None),
        (OWN, ["--version", COMMIT], None),
        (FORK, [], FORK),
    ],
    ids=["release", "own address", "another address"],
)
def test_the_installer_is_asked_for_what_was_recorded(
    source: Source, requirement: str, version: list[str], spec: str | None
) -> None:
    """A TLJH from a branch calls itself by a version that no tag of git has."""
    hub_folder.keep(Path(source.settings.upgrade.installer), RECORDS, 0o755)
    files.make_private(source.hub.work)
    installer.install_recorded(requirement, ["a==1"], source, print)
    seen = json.loads((source.hub.prefix / "seen").read_text())
    assert seen == [[*version, "--plugin", "a==1"], spec]


def from_a_branch(source: Source) -> None:
    for old in source.hub.environment.glob("lib/*/site-packages/the_littlest_jupyterhub-*"):
        shutil.rmtree(old)
    hub_folder.distribution(source.hub, TLJH_NAME, "2.1.0.dev0", commit=COMMIT)


@pytest.mark.parametrize("source_of", [OWN, FORK], ids=["own address", "another address"])
def test_a_tljh_that_stays_is_given_to_the_installer_as_it_is(
    source: Source, source_of: str
) -> None:
    place = source_of.partition(" @ ")[2]
    package = Package(TLJH_NAME, "2.1.0.dev0", COMMIT, place)
    stays = Target(TLJH_NAME, package, NEWER, "2.1.0.dev0", COMMIT, place)
    settled = replace(source, resolved=Targets((stays,)))
    hub_folder.keep(Path(source.settings.upgrade.installer), RECORDS, 0o755)
    files.make_private(source.hub.work)
    from_a_branch(source)
    installer.run(settled, print)
    words, spec = json.loads((source.hub.prefix / "seen").read_text())
    assert (words, spec) == (([], FORK) if source_of == FORK else (["--version", COMMIT], None))


def test_a_snapshot_records_what_pip_installs_tljh_from(source: Source) -> None:
    from_a_branch(source)
    made = capture.create(source, components.chosen(("plugin",)))
    told = made.manifest.components["plugin"]["tljh_requirement"]
    place = f"git+https://git.example.org/{TLJH_NAME}@{COMMIT}#subdirectory=below"
    assert told == f"{TLJH_NAME} @ {place}"
    (line,) = [each for each in Plugin().by_hand(made.manifest) if "python3" in each]
    assert line.startswith(f"TLJH_BOOTSTRAP_PIP_SPEC='{told}' ")
    assert "--version" not in line


def test_the_systemd_of_path_comes_first(source: Source) -> None:
    path = interpreter.environment(source.hub)["PATH"]
    assert path == f"{os.environ['PATH']}:{source.hub.root}/usr/lib/systemd"
