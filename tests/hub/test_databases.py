"""The hub's databases are found where the running hub has them."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import living, supervisor, until

from tljh_runbook.errors import DatabaseForeign, DatabaseMissing
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.system import processes, services
from tljh_runbook.hub.system.declared import Declared
from tljh_runbook.hub.system.services import Services

NAMES = {
    "jupyterhub": "jupyterhub.sqlite",
    "plasma": "tljh_plasma.sqlite",
    "repo2docker": "tljh_repo2docker.sqlite",
}


def find(source: Source, **named: str) -> Mapping[str, Any]:
    settings = replace(source.settings, databases=named)
    return databases.find(source.hub, source.services, settings)


@contextmanager
def running(hub: Hub, **changes: object) -> Iterator[int]:
    """Run both services of a hub; give the process of the hub."""
    with supervisor(hub, **changes):
        manager = services.Supervisor(hub)
        until(lambda: processes.started(manager.pid(services.HUB) or 0))
        pid = manager.pid(services.HUB)
        assert pid
        yield pid


def test_a_stopped_hub_has_them_in_its_state(source: Source) -> None:
    expected = {name: source.hub.state / file for name, file in NAMES.items()}
    assert find(source) == expected


def test_a_hub_without_the_plugin_has_one_database(source: Source) -> None:
    for name in ("tljh_plasma.sqlite", "tljh_repo2docker.sqlite"):
        (source.hub.state / name).unlink()
    assert list(find(source)) == ["jupyterhub"]


def test_a_hub_without_its_own_database_is_told(source: Source) -> None:
    (source.hub.state / "jupyterhub.sqlite").unlink()
    with pytest.raises(DatabaseMissing, match="'jupyterhub'") as told:
        find(source)
    assert "databases: {jupyterhub:" in told.value.hint


@pytest.mark.parametrize("name", ["jupyterhub", "plasma"])
def test_a_folder_in_the_place_of_a_database_is_told(source: Source, name: str) -> None:
    place = source.hub.state / NAMES[name]
    place.unlink()
    place.mkdir()
    with pytest.raises(DatabaseMissing, match="is no file"):
        find(source)
    with pytest.raises(DatabaseMissing, match="is no file"):
        capture.create(source, components.chosen(["database"]))


def test_the_settings_come_first(source: Source, tmp_path: Path) -> None:
    moved = tmp_path / "moved.sqlite"
    shutil.copy(source.hub.state / "tljh_plasma.sqlite", moved)
    assert find(source, plasma=str(moved))["plasma"] == moved


def test_a_database_that_the_settings_name_must_be_there(source: Source, tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match=r"'plasma' is not at .*nowhere"):
        find(source, plasma=str(tmp_path / "nowhere.sqlite"))


def test_a_decoy_elsewhere_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with living(tmp_path / "server") as live:
        for folder in (tmp_path, live.hub.root, live.hub.prefix, live.hub.environment):
            (folder / "tljh_plasma.sqlite").write_bytes(b"")
        monkeypatch.chdir(tmp_path)
        found = databases.find(live.hub, live.source.services, live.source.settings)
    assert found["plasma"] == live.hub.state / "tljh_plasma.sqlite"


def test_the_working_directory_of_the_running_hub_counts(source: Source, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(source.hub.state, elsewhere)
    with running(source.hub, state=elsewhere):
        assert find(source) == {name: elsewhere / file for name, file in NAMES.items()}


def test_a_hub_that_is_just_started_is_not_yet_in_its_directory(source: Source) -> None:
    """systemd forks first, and changes the directory and the program afterwards."""
    with running(source.hub, state=Path("/")):
        declared = replace(source.services.declared(services.HUB), directory=source.hub.state)
        manager = Starting(source.services, declared)
        found = databases.find(source.hub, manager, source.settings)  # type: ignore[arg-type]
    assert found["jupyterhub"] == source.hub.state / "jupyterhub.sqlite"


class Starting:
    """A service manager whose hub has not yet changed to the directory that it declares."""

    def __init__(self, manager: Services, declared: Declared) -> None:
        self.pid, self._declared = manager.pid, declared

    def declared(self, _: str) -> Declared:
        return self._declared


@pytest.mark.parametrize("url", ["sqlite:///{path}", "sqlite+pysqlite:///{path}", "relative"])
def test_a_database_that_was_moved_by_its_url_is_found(
    source: Source, tmp_path: Path, url: str
) -> None:
    moved = tmp_path / "moved here.sqlite"
    shutil.copy(source.hub.state / "tljh_plasma.sqlite", moved)
    url = url.format(path=str(moved).replace(" ", "%%20"))
    if url == "relative":
        url = "sqlite:///../../../../moved here.sqlite"
    with running(source.hub, environment=f'TLJH_PLASMA_DB_URL="{url}"') as pid:
        until(lambda: "TLJH_PLASMA_DB_URL" in processes.environment(pid))
        assert find(source)["plasma"].resolve() == moved


def test_a_database_of_another_kind_is_refused_without_its_password(source: Source) -> None:
    url = "mysql+pymysql://hub:secret-word@db.example.org/plasma"
    with running(source.hub, environment=f'TLJH_PLASMA_DB_URL="{url}"') as pid:
        until(lambda: "TLJH_PLASMA_DB_URL" in processes.environment(pid))
        with pytest.raises(DatabaseForeign, match="'plasma' is neither a SQLite file") as told:
            find(source)
    said = told.value.message + told.value.hint
    assert "mysql" in said
    assert "secret-word" not in said
    assert "db.example.org" not in said


HOLDER = (
    "import sqlite3, time; d = sqlite3.connect('{path}'); "
    "d.execute('SELECT count(*) FROM users').fetchone(); time.sleep(1000)"
)


def test_a_database_that_the_hub_holds_open_elsewhere_is_found(
    source: Source, tmp_path: Path
) -> None:
    moved = tmp_path / "jupyterhub.sqlite"
    shutil.copy(source.hub.state / "jupyterhub.sqlite", moved)
    hub_folder.keep(tmp_path / "holder.py", HOLDER.format(path=moved), 0o644)
    configuration = source.hub.root / "etc" / "supervisor" / "supervisord.conf"
    with running(source.hub, hub_command=f"python3 {tmp_path}/holder.py") as pid:
        assert configuration.exists()
        until(lambda: moved in processes.open_files(pid))
        assert find(source)["jupyterhub"] == moved
    with closing(sqlite3.connect(moved)) as untouched:
        assert untouched.execute("SELECT count(*) FROM users").fetchone() == (3,)


def configure(hub: Hub, name: str, text: str) -> None:
    hub_folder.keep(hub.config / "jupyterhub_config.d" / name, text, 0o600)


def renamed(source: Source, name: str = "people.db") -> Path:
    """Move the hub's database, and leave a stale copy where it was."""
    place = source.hub.state / name
    shutil.copy(source.hub.state / "jupyterhub.sqlite", place)
    return place


@pytest.mark.parametrize(
    "text",
    [
        "c.JupyterHub.db_url = 'sqlite:///people.db'",
        "c.JupyterHub.db_url = 'people.db'",
        "c = get_config()\nc.JupyterHub.db_url = 'sqlite:///{path}'",
        "c.JupyterHub.db_url = other = 'sqlite+pysqlite:///{path}'",
        "c.JupyterHub.db_url = 'sqlite:///old.db'\nc.JupyterHub.db_url = 'sqlite:///people.db'",
    ],
)
def test_a_stale_file_does_not_pass_for_the_database(source: Source, text: str) -> None:
    place = renamed(source)
    configure(source.hub, "database.py", text.format(path=place))
    assert find(source)["jupyterhub"] == place


def test_the_last_file_counts(source: Source) -> None:
    place = renamed(source)
    configure(source.hub, "b.py", "c.JupyterHub.db_url = 'people.db'")
    configure(source.hub, "a.py", "c.JupyterHub.db_url = 'other.db'")
    assert find(source)["jupyterhub"] == place


def test_config_yaml_can_name_it_too(source: Source) -> None:
    place = renamed(source)
    with source.hub.config_file.open("a", encoding="utf-8") as file:
        file.write("auth:\n  JupyterHub:\n    db_url: sqlite:///people.db\n")
    assert find(source)["jupyterhub"] == place


def test_a_database_that_the_configuration_names_must_be_there(source: Source) -> None:
    configure(source.hub, "database.py", "c.JupyterHub.db_url = 'sqlite:///gone.db'")
    with pytest.raises(DatabaseMissing, match=r"'jupyterhub' is not at .*gone\.db"):
        find(source)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nc.JupyterHub.db_url = os.environ['DB']",
        "c.JupyterHub.db_url = f'sqlite:///{name}.db'",
        "c.JupyterHub.db_url = 'a.db'\nif True:\n    c.JupyterHub.db_url = 'b.db'",
        "setattr(c.JupyterHub, 'db_url', 'sqlite:///people.db')",
        "c['JupyterHub']['db_url'] = 'sqlite:///people.db'",
        "c.JupyterHub.update(db_url='sqlite:///people.db')",
        "c.JupyterHub.db_url = (",
    ],
)
def test_an_address_that_is_computed_is_said_to_be_unknown(source: Source, text: str) -> None:
    configure(source.hub, "database.py", text)
    with pytest.raises(DatabaseMissing, match=r"cannot be told: .*database\.py") as told:
        find(source)
    assert "databases: {jupyterhub:" in told.value.hint
    place = renamed(source)
    assert find(source, jupyterhub=str(place))["jupyterhub"] == place


@pytest.mark.parametrize("text", ["c.MyAuthenticator.db_url = 'x'", "# c.JupyterHub.db_url = 'x'"])
def test_what_means_something_else_is_left_alone(source: Source, text: str) -> None:
    configure(source.hub, "other.py", text)
    assert find(source)["jupyterhub"] == source.hub.state / "jupyterhub.sqlite"


@pytest.mark.parametrize("text", ["", "c.JupyterHub.db_url = name()"])
def test_the_one_that_the_running_hub_holds_open_counts(source: Source, text: str) -> None:
    place = renamed(source)
    configure(source.hub, "database.py", text)
    hub_folder.keep(source.hub.root / "holder.py", HOLDER.format(path=place), 0o644)
    with running(source.hub, hub_command=f"python3 {source.hub.root}/holder.py") as pid:
        until(lambda: place in processes.open_files(pid))
        assert find(source)["jupyterhub"] == place


TALKER = """
import socket, sqlite3, time
talks = socket.create_connection(("127.0.0.77", 5432))
database = sqlite3.connect("{path}")
database.execute("SELECT count(*) FROM sqlite_master").fetchone()
time.sleep(1000)
"""


def talking(source: Source, path: Path) -> str:
    hub_folder.keep(source.hub.root / "talker.py", TALKER.format(path=path), 0o644)
    return f"python3 {source.hub.root}/talker.py"


def test_a_stale_file_beside_a_hub_that_talks_to_a_server_is_not_taken(source: Source) -> None:
    command = talking(source, source.hub.root / "cache.db")
    with (
        socket.create_server(("127.0.0.77", 5432)),
        running(source.hub, hub_command=command) as pid,
    ):
        until(lambda: 5432 in processes.peers(pid))
        with pytest.raises(DatabaseMissing, match="talks to a PostgreSQL server") as told:
            find(source)
        assert "databases: {jupyterhub:" in told.value.hint
        usual = source.hub.state / "jupyterhub.sqlite"
        assert find(source, jupyterhub=str(usual))["jupyterhub"] == usual


def test_a_hub_that_holds_its_file_may_talk_to_servers(source: Source) -> None:
    usual = source.hub.state / "jupyterhub.sqlite"
    with (
        socket.create_server(("127.0.0.77", 5432)),
        running(source.hub, hub_command=talking(source, usual)) as pid,
    ):
        until(lambda: usual in processes.open_files(pid))
        assert 5432 in processes.peers(pid)
        assert find(source)["jupyterhub"] == usual


def test_the_command_line_of_the_running_hub_counts_first(source: Source) -> None:
    place = renamed(source)
    configure(source.hub, "database.py", "c.JupyterHub.db_url = 'other.db'")
    command = f"python3 -c 'import time; time.sleep(1000)' --db=sqlite:///{place}"
    with running(source.hub, hub_command=command) as pid:
        until(lambda: f"--db=sqlite:///{place}" in processes.command_line(pid))
        assert find(source)["jupyterhub"] == place


def test_a_stopped_hub_is_asked_through_its_service_manager(source: Source) -> None:
    moved = source.hub.root / "moved here.sqlite"
    shutil.copy(source.hub.state / "tljh_plasma.sqlite", moved)
    url = f"sqlite:///{moved}".replace(" ", "%%20")
    with supervisor(
        source.hub, environment=f'A="1,2",TLJH_PLASMA_DB_URL="{url}",B="x"', autostart="false"
    ):
        declared = source.services.declared(services.HUB)
        assert declared.environment["A"] == "1,2"
        assert declared.directory == source.hub.state
        assert find(source)["plasma"] == moved


def test_a_hub_on_postgresql_is_found_so(source: Source) -> None:
    text = "c.JupyterHub.db_url = 'postgresql+psycopg2://hub:word@db.example.org/people'"
    configure(source.hub, "database.py", text)
    found = find(source)["jupyterhub"]
    assert str(found) == "postgresql://hub@db.example.org/people"
    assert found.password == "word"  # noqa: S105
