"""The machine of the administrator: a checkout, an inventory, a key; and all that it printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machines import ADMIN, Server
from ruamel.yaml import YAML

TOP = Path(__file__).parents[3]
PLAYBOOKS = "src/tljh_runbook/playbooks"
# What a checkout holds that a command line needs.
CHECKOUT = ("ansible.cfg", "invoke", "tasks.py", "src", "requirements.txt", ".venv", "docs")


@dataclass
class Controller:
    """A folder that is a checkout, from which the servers are reached over SSH."""

    folder: Path
    said: list[str] = field(default_factory=list)
    """All that was ever printed, for the search for secrets."""

    @classmethod
    def make(cls, folder: Path) -> Controller:
        folder.mkdir()
        (folder / "home").mkdir()
        for name in CHECKOUT:
            (folder / name).symlink_to(TOP / name)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
        subprocess.run(command, check=True)
        return cls(folder)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def key(self) -> str:
        """The public key that the servers let in."""
        return (self.folder / "key.pub").read_text(encoding="utf-8")

    def inventory(self, servers: Iterable[Server], variables: dict[str, Any]) -> None:
        """Write the file ``hosts``, as the guide shows it, and the variables beside it."""
        ssh = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=accept-new"
        lines = [f"{each.name} ansible_host={each.address}" for each in servers]
        (self.folder / "hosts").write_text(
            "[server]\n"
            + "\n".join(lines)
            + f"\n\n[server:vars]\nansible_user={ADMIN}\n"
            + "ansible_python_interpreter=/usr/bin/python3\n"
            + f"ansible_ssh_private_key_file={self.folder}/key\n"
            + f"ansible_ssh_common_args='{ssh}'\n",
            encoding="utf-8",
        )
        folder = self.folder / "group_vars"
        folder.mkdir(exist_ok=True)
        with (folder / "server.yml").open("w", encoding="utf-8") as file:
            YAML().dump(variables, file)

    def invoke(self, *words: str, code: int = 0) -> str:
        """Run ``./invoke``; return what it printed. Fails when it ends with another code."""
        return self.run(["./invoke", *words], code)

    def play(self, name: str, *options: str, code: int = 0) -> str:
        """Run one playbook by itself, as the guide says it is typed."""
        program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
        return self.run([program, "-i", "hosts", *options, f"{PLAYBOOKS}/{name}.yml"], code)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start ``./invoke`` and let it run; what it prints goes to a file that is searched."""
        log = self.folder / f"started-{len(self.said)}.log"
        with log.open("wb") as output:
            return subprocess.Popen(
                ["./invoke", *words],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, command: list[str], code: int = 0) -> str:
        """Run a command in the checkout; return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        self.said.append(f"$ {' '.join(command)}\n{done.stdout}")
        sys.stdout.write(self.said[-1])  # pytest shows it when a test fails
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def disconnect(self) -> None:
        """End the connections that ssh keeps open for Ansible: the next one must log in again."""
        for socket in (self.home / ".ansible" / "cp").iterdir():
            command = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "server"]
            subprocess.run(command, capture_output=True, check=True)

    def _environment(self) -> dict[str, str]:
        """Return our environment without what would lead a command elsewhere."""
        foreign = ("ANSIBLE_", "INVOKE_", "DOCKER_HOST", "SSH_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        # Nobody's own settings of ssh and Ansible, and nobody's known hosts.
        return kept | {"HOME": str(self.home)}
