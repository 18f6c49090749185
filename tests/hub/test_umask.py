"""Whoever types a command with a strict umask gets the modes of everybody else, and no secret out.

The users of a hub run what is in its environments: what root alone may read breaks their servers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hub_fixtures import Live

pytestmark = pytest.mark.long


def typed(live: Live, *words: str) -> None:
    command = [sys.executable, "-m", "tljh_runbook", *words, "--hub", str(live.hub.prefix)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, umask=0o077)
    assert done.returncode == 0, done.stderr


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_mode & 0o7777
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def test_a_strict_umask_changes_no_mode(live: Live) -> None:
    hub = live.hub
    environment, config = modes(hub.environment), modes(hub.config)
    typed(live, "backup")
    (hub.config / "jupyterhub_config.d" / "extra.py").unlink()
    typed(live, "restore", "config", "--yes")
    assert modes(hub.config) == config
    typed(live, "backup")
    typed(live, "upgrade")
    after = modes(hub.environment)
    made = {name: mode for name, mode in after.items() if name not in environment}
    assert made
    assert set(made.values()) <= {0o755, 0o644}
    assert {name: after[name] for name in environment if name in after} == {
        name: mode for name, mode in environment.items() if name in after
    }
    for secret in (hub.work, live.source.backups):
        files = {path: path.lstat().st_mode for path in secret.rglob("*") if path.is_file()}
        assert {str(path): oct(mode) for path, mode in files.items() if mode & 0o077} == {}
        assert secret.stat().st_mode & 0o077 == 0
