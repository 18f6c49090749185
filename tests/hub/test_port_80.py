"""TLJH's installer waits for port 80, also where the hub listens elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The last step of TLJH's installer, with fewer tries.
WAITS = """\
import sys, time, urllib.error, urllib.request

for _ in range(3):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1")
    except urllib.error.HTTPError:
        break
    except OSError:
        time.sleep(0.2)
    else:
        break
else:
    sys.exit("Installation failed: JupyterHub did not start in 3s")
# --version
"""
# In a network of its own: nobody else has its port 80.
INSIDE = """\
import pathlib, subprocess, sys

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
sys.path.insert(0, sys.argv[1])
import hub_folder
from hub_fixtures import living
from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.core import files
from tljh_runbook.hub.software import installer, port_80
from tljh_runbook.hub.system import services, http_client as web

with living(pathlib.Path(sys.argv[2])) as live:
    source = live.source
    hub_folder.keep(pathlib.Path(source.settings.upgrade.installer), sys.argv[3], 0o755)
    files.make_private(source.hub.work)
    if "configured" in sys.argv:
        hub_folder.write_config(live.hub, 80)
    if "stopped" in sys.argv:
        source.services.stop(services.PROXY)
    if "staged" in sys.argv:
        with port_80.answered(source, staged=True):
            print(web.get("http://127.0.0.1/").status)
    else:
        try:
            installer.install("2.0.0", [], source, str)
        except InstallerFailed as error:
            print(error.message)
    print(web.get("http://127.0.0.1/").status)
"""


def inside(tmp_path: Path, *how: str) -> list[str]:
    """Return what is printed for a hub whose proxy does not listen on port 80."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = [sys.executable, "-c", INSIDE, str(Path(__file__).parent), str(tmp_path / "s"), WAITS]
    done = subprocess.run(
        ["unshare", "--net", *own, *script, *how], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no network can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_installer_gets_its_answer_where_the_hub_listens_elsewhere(tmp_path: Path) -> None:
    assert inside(tmp_path) == ["0"]  # it has not failed, and nothing is left on the port


def test_the_port_is_left_to_the_proxy_that_the_installer_restarts(tmp_path: Path) -> None:
    told, left = inside(tmp_path, "configured")
    assert "did not start" in told
    assert left == "0"


def test_a_proxy_that_listens_elsewhere_by_hand_does_not_stop_what_is_staged(
    tmp_path: Path,
) -> None:
    assert inside(tmp_path, "configured", "staged") == ["503", "0"]


def test_a_proxy_that_is_down_finds_its_port_free(tmp_path: Path) -> None:
    assert inside(tmp_path, "configured", "stopped", "staged") == ["0", "0"]
