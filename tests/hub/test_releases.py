"""Each release that a test asks a sandbox for is what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import hub_folder
import pytest
import releases
import uv

from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system import cause
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.logins import asking
from tljh_runbook.sandbox import repositories
from tljh_runbook.sandbox.layout import FAKES, Layout, layout

UNMIGRATED = "3c2384c5aae1"  # what JupyterHub 4.1.6 is before, and 5 migrates
MIGRATED = "4621fec11365"
CONFIGURATION = ["-f", "tljh/jupyterhub_config.py"]
LOAD = """
import sys
from jupyterhub.app import JupyterHub
hub = JupyterHub()
hub.load_config_file(sys.argv[1])
print(hub.spawner_class.__name__)
"""


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    """A sandbox's folder with its git repositories, and nothing else."""
    made = layout(tmp_path / "box")
    repositories.build(made)
    return made


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what TLJH 2.0.0 and the plugin need."""
    folder = tmp_path_factory.mktemp("environment")
    needed = FAKES / "tljh" / "2.0.0" / "tljh" / "requirements-hub-env.txt"
    made = str(folder / "bin" / "python")
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--compile-bytecode"]
    install += ["--python", made, "-r", str(needed), "jinja2", "pluggy", "ruamel.yaml"]
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "-p", sys.executable, folder], check=True)
    subprocess.run(install, check=True)
    return Path(made)


def export(place: Layout, name: str, commit: str) -> None:
    """Lay the modules of a commit into the sandbox's prefix, where a test runs them."""
    repository, target = place.repositories / name, place.state
    target.mkdir(parents=True, exist_ok=True)
    repositories.git(place, repository, "checkout", "--quiet", commit)
    shutil.copytree(repository, target, dirs_exist_ok=True)
    repositories.git(place, repository, "checkout", "--quiet", "main")


def run(
    place: Layout, python: str | Path, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run what was exported, for the hub of the sandbox."""
    programs = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *arguments],
        cwd=place.state,
        env=kept | {"TLJH_INSTALL_PREFIX": str(place.prefix), "PATH": programs},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    "make",
    [
        releases.tljh,
        releases.broken_plugin,
        releases.failing_installer,
        releases.failing_migration,
        releases.crashing_hub,
    ],
)
def test_a_release_is_one_file_besides_the_usual_one(
    place: Layout, make: Callable[[Layout], str]
) -> None:
    commit = make(place)
    assert make(place) == commit
    name = "plasma" if make in {releases.broken_plugin, releases.crashing_hub} else "tljh"
    repository = place.repositories / name
    base = releases.BASE[name]
    said = repositories.git(place, repository, "diff", "--name-only", base, commit)
    assert len(said.splitlines()) == 1
    assert repositories.git(place, repository, "rev-parse", "HEAD") == repositories.git(
        place, repository, "rev-parse", base
    )
    assert repositories.git(place, repository, "status", "--porcelain") == ""
    assert repositories.git(place, repository, "branch", "--contains", commit)


def test_a_proxy_that_stays_as_it_is(place: Layout) -> None:
    export(place, "tljh", releases.tljh(place))
    ask = "import tljh; print(tljh.__version__, tljh.traefik_version)"
    assert run(place, sys.executable, "-c", ask).stdout == "2.0.0 3.6.5\n"


def test_a_plugin_that_cannot_be_imported(place: Layout) -> None:
    export(place, "plasma", releases.broken_plugin(place))
    done = run(place, sys.executable, "-c", "import tljh_plasma")
    assert "RuntimeError: this release of the plugin cannot be imported" in done.stderr


def test_an_installer_that_fails_has_done_damage(place: Layout) -> None:
    export(place, "tljh", releases.failing_installer(place))
    place.config.mkdir()
    (place.config / "config.yaml").write_text("limits:\n  memory: 1G\n")
    for environment in ("hub", "user"):
        hub_folder.keep(place.prefix / environment / "bin" / "python3", "#!/bin/sh\n", 0o755)
    proxy = place.prefix / "hub" / "bin" / "traefik"
    proxy.touch()
    done = run(place, sys.executable, "-m", "tljh.installer")
    assert done.returncode == 1
    assert "ERROR: The network is away" in (place.prefix / "installer.log").read_text()
    assert cause.of(done.stderr) == "The network is away"
    assert "memory: 1T" in (place.config / "config.yaml").read_text()
    assert not proxy.exists()


@pytest.fixture
def database(place: Layout) -> Path:
    """A database of a hub that JupyterHub 5 has to migrate."""
    path = place.state / "jupyterhub.sqlite"
    place.state.mkdir(parents=True)
    hub_folder.script(path, hub_folder.HUB_TABLES.replace(MIGRATED, UNMIGRATED))
    return path


def revision(database: Path) -> object:
    [[found]] = hub_folder.ask(database, "SELECT version_num FROM alembic_version")
    return found


def migrate(place: Layout, python: Path) -> subprocess.CompletedProcess[str]:
    return run(place, python, "-m", "jupyterhub", "upgrade-db", *CONFIGURATION)


def load(place: Layout, python: Path) -> subprocess.CompletedProcess[str]:
    """Have JupyterHub load its configuration, do nothing else, and name the class of spawners."""
    return run(place, python, "-c", LOAD, *CONFIGURATION[1:])


def test_a_usual_release_migrates_the_database(place: Layout, python: Path, database: Path) -> None:
    export(place, "tljh", "2.0.0")
    done = migrate(place, python)
    assert done.returncode == 0, done.stderr
    assert revision(database) == MIGRATED


def test_a_migration_that_fails(place: Layout, python: Path, database: Path) -> None:
    export(place, "tljh", releases.failing_migration(place))
    loaded = load(place, python)
    assert loaded.returncode == 0, loaded.stderr
    done = migrate(place, python)
    assert done.returncode == 1
    assert "RuntimeError: this release cannot migrate the database" in done.stderr
    assert revision(database) == UNMIGRATED


def test_a_hub_that_crashes_when_it_starts(place: Layout, python: Path, database: Path) -> None:
    export(place, "tljh", "2.0.0")
    export(place, "plasma", releases.crashing_hub(place))
    info = place.state / "tljh_plasma-0.2.0.dist-info"
    hub_folder.keep(info / "METADATA", "Metadata-Version: 2.1\nName: tljh-plasma\n", 0o644)
    hub_folder.keep(info / "entry_points.txt", "[tljh]\ntljh_plasma = tljh_plasma\n", 0o644)
    loaded = load(place, python)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout == "PlasmaSpawner\n"
    done = migrate(place, python)
    assert done.returncode == 0, done.stderr
    assert revision(database) == MIGRATED
    started = run(place, python, "-m", "jupyterhub", *CONFIGURATION, "--upgrade-db")
    assert started.returncode == 1
    assert "this release crashes the hub when it starts" in started.stderr


CAMPUS = """
from jupyterhub.auth import Authenticator


class Campus(Authenticator):
    async def authenticate(self, handler, data):
        return None


c.JupyterHub.authenticator_class = Campus
"""
ALLOWED = "users: {admin: [alice], allowed: [bob]}\n"
NO_ALLOWED = "users: {admin: [alice]}\n"
BANNED = "users: {admin: [alice], banned: [bob]}\n"
COMMAND = "auth: {Campus: {allow_all: true}}\n"


@pytest.mark.parametrize(
    ("config", "extra", "answer"),
    [
        (NO_ALLOWED, "", ("FirstUseAuthenticator", ["alice", "bob", "carol"], True)),
        # A list of some lets in all who are in the database.
        (ALLOWED, "", ("FirstUseAuthenticator", ["alice", "bob", "carol"], False)),
        (NO_ALLOWED, CAMPUS, ("Campus", [], False)),
        # The command that is printed for that.
        (f"{NO_ALLOWED}{COMMAND}", CAMPUS, ("Campus", ["alice", "bob", "carol"], True)),
        (f"{BANNED}{COMMAND}", CAMPUS, ("Campus", ["alice", "carol"], True)),
    ],
    ids=["none allowed", "some allowed", "another authenticator", "the command", "banned"],
)
def test_only_the_default_authenticator_lets_everyone_in(
    place: Layout,
    python: Path,
    config: str,
    extra: str,
    answer: tuple[str, list[str], bool],
) -> None:
    export(place, "tljh", "2.0.0")
    hub_folder.keep(place.config / "config.yaml", config, 0o600)
    hub_folder.keep(place.config / "jupyterhub_config.d" / "logins.py", extra, 0o600)
    database, copy = place.state / "jupyterhub.sqlite", place.state / "copy.sqlite"
    hub_folder.script(database, hub_folder.HUB_TABLES)
    # JupyterHub makes these itself, with all their columns.
    hub_folder.script(database, "DROP TABLE oauth_clients; DROP TABLE api_tokens")
    for number, name in enumerate(hub_folder.PEOPLE):
        row = (number, name, f"cookie-{number}")
        hub_folder.change(database, "INSERT INTO users (id, name, cookie_id) VALUES (?, ?, ?)", row)
    code = resources.files(logins.__name__).joinpath(asking.QUESTIONS).read_text(encoding="utf-8")
    words = [CONFIGURATION[1], str(database), str(copy), "somebody-else"]
    told = logins.parse(run(place, python, "-c", code, *words).stdout)
    assert (told.authenticator, told.allowed, told.stranger) == answer, told.failed


def test_the_settings_ask_for_a_release(place: Layout) -> None:
    tljh, plugin = releases.tljh(place), releases.broken_plugin(place)
    releases.ask(place, tljh=tljh, plugin=plugin, healthy_within=20)
    asked = settings.load(Hub(place.prefix)).upgrade
    assert asked.tljh == tljh
    assert asked.plugins == (f"tljh-plasma @ {place.url('plasma')}@{plugin}",)
    assert asked.healthy_within == 20
    releases.ask(place, tljh=tljh)
    newer = repositories.git(place, place.repositories / "plasma", "rev-parse", "newer")
    assert settings.load(Hub(place.prefix)).upgrade.plugins[0].endswith(f"@{newer}")
