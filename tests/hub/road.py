"""A checkout in which a person types, and servers that are reached from it over real SSH."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OURS = Path(sys.executable).parent
TOOL = """\
#!/bin/sh
PYTHONPATH={source} exec {python} -m tljh_runbook "$@"
"""


@dataclass(frozen=True)
class Road:
    """A checkout, and an SSH server on this machine that stands for as many as are named."""

    checkout: Path
    folder: Path
    port: int

    def write(self, *, group: str = "server", **servers: dict[str, object]) -> None:
        """Write the inventory; what is given for a server comes before what all have."""
        rows = []
        for name, own in servers.items():
            path = (
                f"-o ControlPath={self.folder}/{name}.way"  # as if each were a machine of its own
            )
            options = {"ansible_ssh_extra_args": path}
            values = {**self.usual, **options, **own}
            words = " ".join(f"{key}='{value}'" for key, value in values.items())
            rows.append(f"{name} {words}\n")
        (self.checkout / "hosts").write_text(f"[{group}]\n{''.join(rows)}", encoding="utf-8")

    @property
    def usual(self) -> dict[str, object]:
        options = f"-o UserKnownHostsFile={self.folder}/known -o IdentitiesOnly=yes"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": pwd.getpwuid(os.geteuid()).pw_name,
            "ansible_ssh_private_key_file": self.folder / "user",
            "ansible_ssh_common_args": options,
            "ansible_python_interpreter": sys.executable,
            "tljh_runbook": self.folder / "tljh-runbook",
        }

    def known(self, name: str, port: int, key: str = "host") -> Path:
        """Return a file of known host keys that holds ours, or another one."""
        file = self.folder / name
        public = (self.folder / f"{key}.pub").read_text(encoding="utf-8")
        file.write_text(f"[127.0.0.1]:{port} {public}", encoding="utf-8")
        return file

    def type(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Type a command of ours in the checkout, with pipes and not in a terminal."""
        return subprocess.run(
            [str(OURS / words[0]), *words[1:]],
            cwd=self.checkout,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @property
    def environment(self) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if name[:7] != "INVOKE_"}
        return {**given, "PATH": f"{OURS}:{given['PATH']}", "PYTHONPATH": str(REPOSITORY / "src")}
