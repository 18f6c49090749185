"""Running a playbook on this machine, as the tests need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.reference import playbooks


@dataclass(frozen=True)
class Done:
    """How a playbook ended: its exit code, all it printed, and what it did on this machine."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """Return how many tasks changed something, as the recap says."""
        return int(self.output.rpartition("changed=")[2].split()[0])


def playbook(
    file: Path, *options: str, variables: Mapping[str, Any] | None = None, path: Path | None = None
) -> Done:
    """Run a playbook on this machine without becoming root; programs in ``path`` come first."""
    given = {"ansible_connection": "local", "ansible_become": False, **(variables or {})}
    command = [
        *(str(Path(sys.executable).with_name("ansible-playbook")), "-i", "here,"),
        *("-e", json.dumps(given | {"ansible_python_interpreter": sys.executable})),
        *(*options, str(file)),
    ]
    environment = {
        **os.environ,
        "ANSIBLE_ROLES_PATH": str(playbooks.FOLDER / "roles"),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    if path:
        environment["PATH"] = f"{path}:{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Done(done.returncode, done.stdout + done.stderr)
