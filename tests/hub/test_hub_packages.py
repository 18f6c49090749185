"""The hub's environment comes back as a snapshot recorded it, package by package."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import hub_folder
import pytest
import pythons
from test_rebuilding import wheel

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.backup import capture, components, restore
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.software import environment_copy, environment_restore, proxy_program
from tljh_runbook.hub.versions import versions

PROXY = "bin/traefik"
PIP = ("-m", "pip", "--disable-pip-version-check")


@dataclass
class Server:
    """A hub with a real environment, a snapshot of it, and an index on this disk."""

    source: Source
    index: Path
    saved: Snapshot
    installed: dict[str, str]
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def hub(self) -> Hub:
        return self.source.hub

    def actions(self, *names: str) -> list[Action]:
        wanted = Restoration(self.source, self.saved, lambda _: None)
        self.left, self.notes = wanted.left, wanted.notes
        return restore.plan(wanted, components.chosen(names or ("plugin", "software")))

    def restore(self) -> None:
        (action,) = self.actions()
        try:
            action.prepare()
            action.carry_out()
        finally:
            action.discard()

    def pip(self, *words: str) -> None:
        command: list[str | Path] = [
            self.hub.python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            *words,
        ]
        subprocess.run(command, check=True, capture_output=True)

    def now(self) -> dict[str, str]:
        return {name: each.requirement for name, each in versions.packages(self.hub).items()}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment, made once, and an index that has what is in it."""
    index, made = tmp_path_factory.mktemp("index"), tmp_path_factory.mktemp("made") / "hub"
    for name, version in (
        ("jupyterhub", "4.1.6"),
        ("jupyterhub", "5.0"),
        ("the_littlest_jupyterhub", "1.0.0"),
        ("greenlet", "3.0"),
        ("newcomer", "1.0"),
    ):
        wheel(index, name, version)
    subprocess.run([pythons.own(), "-m", "venv", made], check=True)
    pip: list[str | Path] = [
        made / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
    ]
    wanted = ["jupyterhub==4.1.6", "the-littlest-jupyterhub", "greenlet"]
    found = ["--no-index", "--find-links", str(index)]
    subprocess.run([*pip, *found, *wanted], check=True, capture_output=True)
    hub_folder.keep(made / PROXY, "#!/bin/sh\necho Version: 3\n", 0o755)
    return made, index


@pytest.fixture
def server(
    source: Source, tmp_path: Path, template: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Server:
    made, index = template
    shutil.rmtree(source.hub.environment)
    shutil.copytree(made, source.hub.environment, symlinks=True)
    own = shutil.copytree(index, tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(own))
    installed = {name: each.requirement for name, each in versions.packages(source.hub).items()}
    saved = capture.create(source, components.chosen(["plugin", "software"]))
    return Server(source, own, saved, installed)


@pytest.fixture(params=["beside", "in place"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the server lets a command see a copy in the place of the environment."""
    if request.param == "in place":
        monkeypatch.setattr(environment_copy, "possible", lambda: False)
    return str(request.param)


def test_nothing_is_offered_where_all_is_as_recorded(server: Server) -> None:
    assert server.actions() == []


@pytest.mark.usefixtures("way")
def test_newer_missing_and_other_packages(server: Server) -> None:
    server.pip("install", "--upgrade", "jupyterhub", "newcomer")
    server.pip("uninstall", "--yes", "greenlet")
    (action,) = server.actions()
    assert action.before == "greenlet missing, jupyterhub 5.0, newcomer 1.0"
    assert action.after == "greenlet 3.0, jupyterhub 4.1.6, newcomer removed"
    assert not action.proxy
    server.restore()
    assert server.now() == server.installed
    assert server.left == []
    assert server.actions() == []


def test_the_environment_is_lost(
    server: Server, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the proxy's program, which still runs although it was deleted; or with all of TLJH."""
    program = tmp_path / "deleted"
    shutil.copy2(server.hub.environment / PROXY, program)
    shutil.rmtree(server.hub.environment if way == "beside" else server.hub.prefix)
    monkeypatch.setattr(proxy_program, "_places", lambda _: [program])
    (action,) = server.actions()
    assert action.before == "missing"
    assert action.proxy
    server.restore()
    assert server.now() == server.installed
    assert server.left == []
    assert (server.hub.environment / PROXY).read_bytes() == program.read_bytes()
    assert server.hub.prefix.stat().st_mode & 0o777 == 0o755
    script = (server.hub.environment / "bin" / "pip").read_text()
    assert script.startswith(f"#!{server.hub.environment}/bin/python")
    assert server.actions() == []


def test_a_damaged_package_is_installed_again(server: Server) -> None:
    (site,) = versions.site_packages(server.hub)
    code = site / "greenlet" / "__init__.py"
    code.unlink()
    (action,) = server.actions()
    assert (action.before, action.after) == ("greenlet (files missing)", "greenlet 3.0")
    server.restore()
    assert code.exists()


def test_what_an_administrator_has_edited_is_no_damage(server: Server) -> None:
    (site,) = versions.site_packages(server.hub)
    (site / "greenlet" / "__init__.py").write_text("version = 'ours'\n")
    assert server.actions() == []


@pytest.mark.usefixtures("way")
def test_a_version_that_nobody_has_any_more_is_named(server: Server) -> None:
    server.pip("uninstall", "--yes", "greenlet")
    next(server.index.glob("greenlet-*")).unlink()
    wheel(server.index, "greenlet", "3.1")
    server.restore()
    assert server.left == ["greenlet 3.1; it was 3.0"]
    assert server.now() == {**server.installed, "greenlet": "greenlet==3.1"}


def test_without_the_network_nothing_is_changed(server: Server) -> None:
    server.pip("uninstall", "--yes", "jupyterhub")
    for path in server.index.glob("*.whl"):
        path.unlink()
    before = hub_folder.contents(server.hub.environment)
    with pytest.raises(InstallerFailed, match=r"would lack jupyterhub missing\. Nothing was chan"):
        server.restore()
    assert hub_folder.contents(server.hub.environment) == before
    assert not (server.hub.prefix / environment_copy.FOLDER).exists()


def test_what_fails_afterwards_takes_it_back(server: Server) -> None:
    server.pip("install", "--upgrade", "jupyterhub")
    newer = server.now()
    (action,) = server.actions()
    action.prepare()
    action.carry_out()
    assert server.now() == server.installed
    assert action.undo
    action.undo()
    action.discard()
    assert server.now() == newer


def test_another_python_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pip and setuptools are its own, and not installed over."""
    other = pythons.other()
    pythons.bind(server.hub.environment, other)
    server.restore()
    python = versions.python(server.hub)
    was = server.saved.manifest.versions["python"]
    assert server.left == [f"Python is {python}; it was {was}"]
    names = ("jupyterhub", "greenlet", "the-littlest-jupyterhub")
    assert {name: server.now()[name] for name in names} == {
        name: server.installed[name] for name in names
    }


def test_what_the_users_miss_comes_back_and_what_is_newer_stays(
    server: Server, template: tuple[Path, Path]
) -> None:
    users = server.hub.prefix / "user"
    shutil.copytree(template[0], users, symlinks=True)
    server.saved = capture.create(server.source, components.chosen(["software"]))
    pip = [str(users / "bin/python"), *PIP]
    subprocess.run([*pip, "uninstall", "--yes", "greenlet"], check=True, capture_output=True)
    subprocess.run([*pip, "install", "jupyterhub==5.0"], check=True, capture_output=True)
    (action,) = server.actions("software")
    assert (action.what, action.before) == ("the users' packages", "missing: greenlet")
    assert server.notes == [
        "1 packages of the users' environment have another version, and stay so: "
        "jupyterhub 5.0 (it was 4.1.6)."
    ]
    action.carry_out()
    assert server.left == []
    assert server.actions("software") == []
    next(server.index.glob("greenlet-*")).unlink()
    subprocess.run([*pip, "uninstall", "--yes", "greenlet"], check=True, capture_output=True)
    (action,) = server.actions("software")
    action.carry_out()
    assert server.left == ["greenlet 3.0 of the users is missing"]


def test_the_plugin_alone_is_restored_with_the_installer(server: Server) -> None:
    """A snapshot that also lists all packages is not needed for it."""
    server.pip("install", "--upgrade", "jupyterhub")
    assert server.actions("plugin") == []
    assert environment_restore.recorded(server.saved) is not None
