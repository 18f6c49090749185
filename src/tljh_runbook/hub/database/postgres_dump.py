"""Dumps of PostgreSQL databases: create them while the hub runs, read them back, restore them."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tljh_runbook.errors import DatabaseDamaged, DatabaseMissing, RestoreFailed
from tljh_runbook.hub.database import postgres
from tljh_runbook.hub.database.postgres_address import Server

# The start of a table's rows in a plain-text dump, one line per row.
_COPY = re.compile(rb"COPY (.+?) \(.*\) FROM stdin;\n")
_EXTENSION = re.compile(rb"\d+; \d+ \d+ (COMMENT - )?EXTENSION ")
_END = b"\\.\n"
# Starts of lines that differ between dumps of the same content.
_PASSING = (b"--", b"SET ", b"SELECT pg_catalog.set_config", b"\\restrict", b"\\unrestrict")
_DUMP = ["pg_dump", "--format=custom", "--lock-wait-timeout=30000"]  # milliseconds
_RESTORE = ["--clean", "--if-exists", "--no-owner"]


@dataclass
class Contents:
    """The content of a dump; two dumps with the same ``sha256`` have the same content."""

    rows: dict[str, int] = field(default_factory=dict)
    revision: str | None = None
    sha256: str = ""


def dump(server: Server, target: Path) -> Contents:
    """Write a consistent dump to one new file (mode 0600), and read all of it back.

    If that fails, the file is removed. Raises what `postgres.run` raises, and `DatabaseDamaged`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(target, flags, 0o600)
    try:
        postgres.run(_DUMP, server, output=descriptor)
        os.fsync(descriptor)
        return contents(target)
    except BaseException:
        target.unlink()
        raise
    finally:
        os.close(descriptor)


def contents(path: Path) -> Contents:
    """Read a whole dump and return its content. Raises `DatabaseDamaged`."""
    found, sha = Contents(), hashlib.sha256()
    with _as_text(path) as lines:
        table = ""
        for line in lines:
            if not table:
                begins = _COPY.fullmatch(line)
                table = _name(begins[1].decode()) if begins else ""
                if table:
                    found.rows[table] = 0
            elif line == _END:
                table = ""
            else:
                found.rows[table] += 1
                if table == "alembic_version":
                    found.revision = line.decode().strip()
            if table or not line.startswith(_PASSING):
                sha.update(line)
    found.sha256 = sha.hexdigest()
    return found


def restore(server: Server, path: Path, then: str = "") -> None:
    """Restore a database from a dump in one transaction: completely or not at all.

    ``then`` is SQL that is part of the transaction.

    The user's own tables that are not in the dump, such as those of a newer hub, are dropped: they
    may depend on tables that are replaced. Raises `RestoreFailed`.
    """
    known = contents(path).rows
    newer = [quoted for name, quoted in postgres.own_tables(server).items() if name not in known]
    # Through a file: if psql could only read half of the script, it would commit that.
    with tempfile.TemporaryFile() as script:
        script.writelines(f"DROP TABLE {name} CASCADE;\n".encode() for name in newer)
        script.flush()
        _write_out(path, script)
        script.seek(0, os.SEEK_END)
        script.write(then.encode())
        script.seek(0)
        try:
            command = [*postgres.PSQL, "--single-transaction", "--output=/dev/null", "--file=-"]
            postgres.run(command, server, writing=True, given=script)
        except DatabaseMissing as error:
            raise RestoreFailed(
                error.message.replace(" Nothing was changed.", " It was left as it was."),
                hint="See which program holds the database, and whether its user owns its tables; "
                "then restore again.",
            ) from None


def _write_out(path: Path, script: IO[bytes]) -> None:
    """Write a dump as SQL, without extensions, which belong to the server's superuser."""
    listed = _pg_restore(path, ["--list"], subprocess.PIPE).splitlines(keepends=True)
    with tempfile.NamedTemporaryFile() as chosen:
        chosen.writelines(line for line in listed if not _EXTENSION.match(line))
        chosen.flush()
        _pg_restore(path, [*_RESTORE, f"--use-list={chosen.name}", "--file=-"], script)


def _pg_restore(path: Path, options: list[str], output: int | IO[bytes]) -> bytes:
    command = ["pg_restore", *options, str(path)]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise _damaged(path, done.stderr)
    return done.stdout or b""


@contextmanager
def _as_text(path: Path) -> Iterator[Iterator[bytes]]:
    command = ["pg_restore", "--no-owner", "--file=-", str(path)]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)
        except FileNotFoundError:
            raise postgres.missing("pg_restore") from None
        with process:
            assert process.stdout  # noqa: S101 - it was asked for
            yield iter(process.stdout)
        if process.returncode != 0:
            said.seek(0)
            raise _damaged(path, said.read())


def _name(written: str) -> str:
    """Return the short name of a table from its name in SQL."""
    schema, _, table = written.partition(".")
    plain = [part[1:-1].replace('""', '"') if part[:1] == '"' else part for part in (schema, table)]
    return postgres.short(*plain)


def _damaged(path: Path, said: bytes) -> DatabaseDamaged:
    return DatabaseDamaged(
        f"The dump {path} cannot be read back: {' '.join(said.decode(errors='replace').split())}. "
        "Nothing was changed.",
        hint="Do not rely on it. Make a new one: tljh-runbook backup database",
    )
