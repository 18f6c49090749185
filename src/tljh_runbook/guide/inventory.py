"""The servers that an inventory names, as Ansible reads it, before anything is started on them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tljh_runbook.errors import InventoryInvalid

USUAL = "hosts"  # the file's name at the top of the checkout
_HOST = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
_WHY = re.compile(r"Failed to parse inventory with '(\w+)' plugin: (?:Failed to parse \w+: )?(.*)")


def servers(file: str, limit: str = "") -> list[str]:
    """Return the names of the servers, in order. Raises `InventoryInvalid`."""
    if not Path(file).exists():
        raise InventoryInvalid(
            f"There is no inventory {file}. Nothing was started.",
            hint="Write one that names your servers, or name another: "
            "./invoke hosts --inventory FILE",
        )
    every = _listed(file)
    if not every:
        raise InventoryInvalid(
            f"The inventory {file} names no server. Nothing was started.",
            hint="Write the name or address of each server on a line of its own below [server].",
        )
    chosen = _listed(file, "--limit", limit) if limit else every
    if not chosen:
        raise InventoryInvalid(
            f"No server of {file} is meant by --limit {limit}. Nothing was started.",
            hint=f"The servers are: {', '.join(every)}.",
        )
    return chosen


def _listed(file: str, *options: str) -> list[str]:
    own = Path(sys.prefix) / "bin" / "ansible"
    command = [str(own) if own.exists() else "ansible", "all", "-i", file, *options, "--list-hosts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "leaves us with no hosts" not in done.stderr:
        raise InventoryInvalid(
            f"The inventory {file} cannot be read: {_why(file, done.stderr)} Nothing was started.",
            hint="Correct that line. What Ansible says of the whole file: "
            f"ansible-inventory -i {file} --list",
        )
    return _HOST.findall(done.stdout)


def _why(file: str, said: str) -> str:
    """Return why, as the plugin says it that the file is meant for."""
    found = dict(_WHY.findall(said))
    kind = "yaml" if Path(file).suffix in {".yml", ".yaml"} else "ini"
    lines = said.strip().splitlines()
    reason = found.get(kind) or (lines[-1] if lines else "Ansible gives no reason")
    return f"{reason.removeprefix('[ERROR]: ').rstrip('.')}."
