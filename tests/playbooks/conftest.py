"""A checkout, and a real SSH server that stands for as many servers as a test names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import free_port
from restic_servers import SSHD, found, listening, needs
from road import REPOSITORY, TOOL, Road


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    for name in ("tasks.py", "ansible.cfg", "src"):
        (made / name).symlink_to(REPOSITORY / name)
    return made


@pytest.fixture
def road(checkout: Path, tmp_path: Path) -> Iterator[Road]:
    """Run a real sshd, whose only user is the one that runs the tests."""
    needs("sshd", "ssh", "ssh-keygen")
    folder = tmp_path / "ssh"
    folder.mkdir()
    port = free_port()
    for key in ("host", "user", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    (folder / "sshd").write_text(SSHD.format(port=port, folder=folder), encoding="utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd does not start without it
    tool = TOOL.format(source=REPOSITORY / "src", python=sys.executable)
    hub_folder.keep(folder / "tljh-runbook", tool, 0o755)
    made = Road(checkout, folder, port)
    made.known("known", port)
    with listening([str(found("sshd")), "-D", "-e", "-f", str(folder / "sshd")], port, {}):
        yield made
