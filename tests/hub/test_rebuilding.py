"""A hub's environment is made again for another Python: nothing of it goes missing in silence."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hub_folder
import pytest
import pythons

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import rebuilding
from tljh_runbook.hub.versions import interpreter, versions

INSTALLER = """\
import os
import subprocess
import sys

assert "--version" in sys.argv
python = os.environ["TLJH_INSTALL_PREFIX"] + "/hub/bin/python"
pip = [python, "-m", "pip", "install", "--no-deps"]
sys.exit(subprocess.run([*pip, {brings!r}]).returncode)
"""


@dataclass(frozen=True)
class Broken:
    """A hub whose Python is gone, and an index on this disk that has all of its packages."""

    source: Source
    index: Path

    @property
    def hub(self) -> Hub:
        return self.source.hub

    def install(self, brings: str) -> list[str]:
        """Upgrade with an installer that brings one thing; return what was told."""
        script = Path(self.source.settings.upgrade.installer)
        hub_folder.keep(script, INSTALLER.format(brings=brings), 0o755)
        told: list[str] = []
        rebuilding.install(self.source, told.append)
        return told


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """Write a wheel, as a package index has it."""
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = f"{info}/RECORD"
    rows = [*members, record]
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
        archive.writestr(record, "".join(f"{row},,\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment, made once, and an index that has what is in it."""
    folder, own = tmp_path_factory.mktemp("template"), pythons.own()
    made, index = folder / "hub", folder / "index"
    for each in (index, folder / "mine"):
        each.mkdir()
    wheel(index, "jupyterhub", "4.1.6")
    wheel(index, "the_littlest_jupyterhub", "1.0.0")
    only = f"cp{interpreter.minor(interpreter.version(str(own))).replace('.', '')}-none-any"
    wheel(index, "bound", "1.0", only)
    wheel(index, "bound", "2.0")
    wheel(index, "setuptools", "80.9.0")  # environments of Python 3.12 begin without it
    subprocess.run([own, "-m", "venv", made], check=True)
    mine = wheel(folder / "mine", "mine", "7")
    wanted = ["jupyterhub==4.1.6", "the-littlest-jupyterhub==1.0.0", "bound==1.0", str(mine)]
    pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    local = ["--no-index", "--find-links", str(index)]
    subprocess.run([*pip, *local, *wanted], check=True, capture_output=True)
    return made, index


@pytest.fixture
def broken(
    source: Source, tmp_path: Path, template: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broken]:
    hub, (made, wheels), new = source.hub, template, pythons.other()
    shutil.rmtree(hub.environment)
    shutil.copytree(made, hub.environment, symlinks=True)
    index = Path(shutil.copytree(wheels, tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    hub_folder.keep(hub.environment / "bin" / "traefik", "the proxy", 0o755)
    files.make_private(hub.work)
    pythons.bind(hub.environment, new)
    assert interpreter.gone(hub)
    yield Broken(source, index)
    # What was installed is what runs.
    names = "import jupyterhub, mine; print(jupyterhub.version, mine.version)"
    if not interpreter.gone(hub):
        done = subprocess.run([hub.python, "-c", names], check=True, capture_output=True, text=True)
        assert done.stdout == "4.1.6 7\n"


def test_what_the_new_python_cannot_have_may_come_from_the_installer(broken: Broken) -> None:
    before = versions.packages(broken.hub)
    told = broken.install(brings="bound==2.0")
    assert any("one package after the other" in line for line in told)
    now = versions.packages(broken.hub)
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    assert changed - {"pip", "setuptools"} == {"bound"}
    assert now["bound"].version == "2.0"
    assert interpreter.gone(broken.hub) == ""
    assert (broken.hub.environment / "bin" / "traefik").read_text() == "the proxy"


def test_what_debian_once_listed_as_a_package_is_not_asked_for(broken: Broken) -> None:
    """pip takes an empty argument for a mistake, as that of Ubuntu 24.04 does."""
    (site,) = versions.site_packages(broken.hub)
    info = site / "pkg_resources-0.0.0.dist-info"
    hub_folder.keep(info / "METADATA", "Name: pkg-resources\nVersion: 0.0.0\n", 0o644)
    assert "pkg-resources" in versions.packages(broken.hub)
    broken.install(brings="bound==2.0")
    assert "pkg-resources" not in versions.packages(broken.hub)
    assert interpreter.gone(broken.hub) == ""


def test_what_nobody_brings_is_named(broken: Broken) -> None:
    with pytest.raises(InstallerFailed, match=r"no other: bound 1\.0") as caught:
        broken.install(brings="the-littlest-jupyterhub==1.0.0")
    assert "upgrade.plugins" in caught.value.hint


def test_a_package_that_nobody_has_any_more_is_not_left_out_in_silence(broken: Broken) -> None:
    for path in broken.index.glob("jupyterhub-*"):
        path.unlink()
    with pytest.raises(InstallerFailed, match=r"jupyterhub 4\.1\.6"):
        broken.install(brings="bound==2.0")
    shutil.rmtree(broken.hub.environment / "lib")  # there is nothing to run in it
    (broken.hub.python).unlink()
    broken.hub.python.symlink_to("/nowhere/python3")
