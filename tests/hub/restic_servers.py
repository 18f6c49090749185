"""Real places for a repository: an sftp server and a rest server of our own, on free ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_fixtures import free_port, until

from tljh_runbook.hub.context import Source

SECRET = "s3cret-of-the-rest-server"  # noqa: S105 - of a server that lives for one test

SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
SSH = """\
Host hub-backup
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking yes
"""


def needs(*programs: str) -> None:
    """Skip the test, and say why, where a program is missing."""
    for program in programs:
        if not found(program):
            pytest.skip(f"{program} is not installed")


def found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")


def using(source: Source, **values: Any) -> Source:
    """Return the same hub with other settings of its user data."""
    wanted = replace(source.settings.user_data, **values)
    return replace(source, settings=replace(source.settings, user_data=wanted))


@contextmanager
def sftp(source: Source, folder: Path) -> Iterator[Source]:
    """Run a real sshd; yield the hub with its repository there."""
    needs("sshd", "ssh", "ssh-keygen")
    folder.mkdir()
    port = free_port()
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    host = (folder / "host.pub").read_text(encoding="utf-8")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}", encoding="utf-8")
    (folder / "sshd").write_text(SSHD.format(port=port, folder=folder), encoding="utf-8")
    (folder / "ssh").write_text(SSH.format(port=port, folder=folder), encoding="utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd does not start without it
    options = {"sftp.command": f"ssh -F {folder}/ssh hub-backup -s sftp"}
    there = using(source, repository=f"sftp:hub-backup:{folder}/repository", options=options)
    with listening([str(found("sshd")), "-D", "-e", "-f", str(folder / "sshd")], port, {}):
        yield there


@contextmanager
def rest(source: Source, folder: Path) -> Iterator[Source]:
    """Run a real rest server, whose address holds a password; yield the hub with it."""
    needs("rclone")
    port = free_port()
    command = ["rclone", "serve", "restic", str(folder), "--addr", f"127.0.0.1:{port}"]
    command += ["--config", os.devnull]
    own = {"RCLONE_USER": "hub", "RCLONE_PASS": SECRET}  # not in argv, which is looked at
    there = using(source, repository=f"rest:http://hub:{SECRET}@127.0.0.1:{port}/one/")
    with listening(command, port, own):
        yield there


@contextmanager
def listening(command: list[str], port: int, own: dict[str, str]) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | own, **quiet) as process:  # type: ignore[call-overload]
        try:
            until(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None, f"{command[0]} did not start"
            yield
        finally:
            process.terminate()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
