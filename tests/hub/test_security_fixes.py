"""Only what is vulnerable is changed, to the version that fixes it, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hub_folder
import pytest

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import UpgradeSettings
from tljh_runbook.hub.software import security_fixes
from tljh_runbook.hub.upgrade import upgrade
from tljh_runbook.hub.versions import targets, versions
from tljh_runbook.hub.versions.security import advisories
from tljh_runbook.hub.versions.versions import Package

JINJA = "3.1.6"
TORNADO = "6.5.8"


def knows(hub: Hub, **fixed: str) -> None:
    """Have the hub's list say that each package is vulnerable before a version."""
    documents = [_document(name, version) for name, version in fixed.items()]
    day = max(advisories.shipped().as_of.isoformat(), "2026-09-03")
    listed = {"as_of": day, "packages": list(fixed), "advisories": documents}
    files.make_private(hub.work)
    advisories.file(hub).write_text(json.dumps(listed))


def _document(name: str, version: str) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": version}]
    affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": name}}
    affected |= {"ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": f"GHSA-{name}", "summary": "Something.", "affected": [affected]}


def moved(found: targets.Targets) -> dict[str, str]:
    return {each.name: each.after for each in found if each.changes}


def test_fixes_leave_tljh_the_plugins_and_the_settings_as_they_are(source: Source) -> None:
    hub_folder.distribution(source.hub, "tornado", "6.1")
    (site,) = source.hub.environment.glob("lib/python3.*/site-packages")
    known = "jupyterhub>=4.0.2,<5\n"
    hub_folder.keep(site / "tljh" / "requirements-hub-env.txt", known, 0o644)
    knows(source.hub, tornado="6.5", jupyterhub="4.1.7", **{"tljh-plasma": "9"})
    calm = upgrade.only_security(source)
    assert moved(calm.targets) == {"tornado": "6.5", "jupyterhub": "4.1.7"}
    assert calm.targets.only_fixes
    assert calm.settings.upgrade.defaults == {}
    assert calm.targets.tljh.after == calm.targets.tljh.before


def test_jupyterhub_stays_where_the_range_of_tljh_is_not_known(source: Source) -> None:
    knows(source.hub, jupyterhub="5.5.0")
    assert moved(upgrade.only_security(source).targets) == {}


def test_an_upgrade_installs_fixes_too(source: Source) -> None:
    hub_folder.distribution(source.hub, "tornado", "6.1")
    knows(source.hub, tornado="6.5")
    found = targets.resolve(source.hub, source.settings)
    assert moved(found)["tornado"] == "6.5"
    assert not found.only_fixes
    fix = found.get("tornado")
    assert fix
    assert (fix.why, fix.note) == ("security", "fixes GHSA-tornado")


def test_what_the_settings_name_is_not_fixed_against_them(source: Source) -> None:
    hub_folder.distribution(source.hub, "tornado", "6.1")
    knows(source.hub, tornado="6.5")
    wanted = replace(source.settings, upgrade=UpgradeSettings(plugins=("tornado==6.1",)))
    assert "tornado" not in moved(targets.only_fixes(source.hub, wanted))


def test_a_newer_version_than_the_fix_is_as_good(source: Source) -> None:
    hub_folder.distribution(source.hub, "tornado", "6.1")
    knows(source.hub, tornado="6.5")
    found = targets.only_fixes(source.hub, source.settings)
    fixed = {name: Package(name, version) for name, version in (("tornado", "6.6"),)}
    assert [each.name for each in found.left(versions.packages(source.hub))] == ["tornado"]
    assert "tornado" not in {each.name for each in found.left(fixed)}
    assert found.unmet(versions.packages(source.hub)) == []


def test_a_copy_is_fixed_by_the_list_of_the_hub(source: Source, tmp_path: Path) -> None:
    """A list that was fetched is newer than the shipped one, and only the hub has it."""
    hub_folder.distribution(source.hub, "tornado", "6.1")
    knows(source.hub, tornado="6.4.99")
    copy = Hub(tmp_path / "copy" / "opt" / "tljh")
    shutil.copytree(source.hub.environment, copy.environment, symlinks=True)
    calm = upgrade.only_security(source)
    assert moved(calm.targets) == {"tornado": "6.4.99"}
    assert security_fixes.wanted(calm, copy) == ["tornado==6.4.99"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real environment with old versions."""
    place = tmp_path_factory.mktemp("environment") / "opt" / "tljh" / "hub"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    wanted = ["jinja2==3.1.2", "markupsafe==2.1.3", "tornado==6.4.1", "idna==3.6"]
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", *wanted]
    subprocess.run(pip, check=True)
    return place


@pytest.fixture
def installed(source: Source, environment: Path) -> Iterator[Source]:
    """The hub with a copy of the real environment."""
    place = source.hub.environment
    subprocess.run(["cp", "-a", f"{environment}/.", place], check=True)
    (place / "pyvenv.cfg").write_text((environment / "pyvenv.cfg").read_text())
    yield source
    assert not (source.hub.work / security_fixes.CONSTRAINTS).exists()


def versions_of(source: Source) -> dict[str, str]:
    return {name: each.version for name, each in versions.packages(source.hub).items()}


def fix(source: Source, *, required: bool = True) -> tuple[bool, list[str]]:
    said: list[str] = []
    calm = upgrade.only_security(source)
    return security_fixes.install(calm, said.append, required=required), said


@pytest.mark.long
def test_exactly_the_vulnerable_packages_change(installed: Source) -> None:
    knows(installed.hub, jinja2=JINJA, tornado=TORNADO)
    before = versions_of(installed)
    assert fix(installed)[0]
    assert versions_of(installed) == before | {"jinja2": JINJA, "tornado": TORNADO}
    assert fix(installed) == (False, [])


@pytest.mark.long
def test_a_fix_that_cannot_be_had_does_not_stop_the_others(installed: Source) -> None:
    knows(installed.hub, jinja2=JINJA, idna="99.0")
    before = versions_of(installed)
    done, said = fix(installed)
    assert done
    assert any("not all fixes" in each and "idna==99.0" in each for each in said)
    assert versions_of(installed) == before | {"jinja2": JINJA}


@pytest.mark.long
def test_where_no_fix_can_be_had_it_fails_unless_it_is_a_whole_upgrade(installed: Source) -> None:
    knows(installed.hub, idna="99.0")
    before = versions_of(installed)
    with pytest.raises(InstallerFailed):
        fix(installed)
    _, said = fix(installed, required=False)
    assert "no fix can be installed" in said[-1]
    assert versions_of(installed) == before


@pytest.mark.long
def test_a_fix_that_would_change_another_package_is_not_installed(installed: Source) -> None:
    """The fixed starlette needs a newer anyio: pip is held to what is installed."""
    python = str(installed.hub.python)
    old = [python, "-m", "pip", "install", "-q", "--no-deps", "starlette==0.27.0", "anyio==3.0.0"]
    subprocess.run(old, check=True)
    knows(installed.hub, starlette="0.40.0", tornado=TORNADO)
    before = versions_of(installed)
    fix(installed)
    assert versions_of(installed) == before | {"tornado": TORNADO}
