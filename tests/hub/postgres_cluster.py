"""A real PostgreSQL server in a folder of its own, for as long as the tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import free_port

PASSWORD = "p@ss/w:r d%\\é"  # noqa: S105 - of a server that listens nowhere but here
ESCAPED = "p%40ss%2Fw%3Ar%20d%25%5C%C3%A9"
TABLES = (
    hub_folder.HUB_TABLES.replace("DATETIME", "TIMESTAMP")
    .replace("BLOB", "BYTEA")
    .replace("id INTEGER NOT NULL PRIMARY KEY", "id SERIAL PRIMARY KEY")
)


def programs() -> Path | None:
    """Return where the newest server's programs lie; None where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@dataclass(frozen=True)
class Cluster:
    """One running server; ``psql`` asks it as its superuser."""

    folder: Path
    port: int

    def psql(self, sql: str, database: str = "postgres") -> str:
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder)]
        command += ["-p", str(self.port), "-U", "super", "-d", database, "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def url(self, database: str) -> str:
        return f"postgresql://hub:{ESCAPED}@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """Make a database again as the hub has it; return its address."""
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);")
        self.psql(f"CREATE DATABASE {name} OWNER hub;")
        people = ", ".join(
            f"({number}, '{user}', {admin}, 'cookie-{number}')"
            for number, (user, admin) in enumerate(hub_folder.PEOPLE.items(), start=1)
        )
        insert = f"INSERT INTO users (id, name, admin, cookie_id) VALUES {people};"  # noqa: S608
        group = "INSERT INTO groups (id, name) VALUES (1, 'course');"
        member = "INSERT INTO user_group_map VALUES (1, 1), (2, 1);"
        self.psql(f"SET ROLE hub; {TABLES} {insert} {group} {member}", name)
        return self.url(name)


@contextmanager
def running() -> Iterator[Cluster]:
    bin_ = programs()
    if bin_ is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_user: list[str] = []
        if os.geteuid() == 0:  # which PostgreSQL refuses
            os.chown(folder, 65534, 65534)
            as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        port, data = free_port(), folder / "data"
        access = ["-U", "super", "--auth-local=trust", "--auth-host=scram-sha-256"]
        make = [*as_user, str(bin_ / "initdb"), "-D", str(data), *access]
        make += ["--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(make, check=True, capture_output=True)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = [*as_user, str(bin_ / "pg_ctl"), "-D", str(data), "-w", "-s"]
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True)
        try:
            made = Cluster(folder, port)
            made.psql(f"CREATE ROLE hub LOGIN PASSWORD $${PASSWORD}$$;")
            yield made
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False)
            shutil.rmtree(data, ignore_errors=True)
