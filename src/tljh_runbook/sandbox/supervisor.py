"""Supervisor, the service manager in a sandbox."""

from __future__ import annotations

import configparser
import os
import secrets
import shlex
import subprocess
import sys
import xmlrpc.client
from http.client import HTTPException
from typing import Any

from tljh_runbook.errors import SandboxFailed
from tljh_runbook.sandbox.layout import FAKES, Layout
from tljh_runbook.sandbox.ports import HOST
from tljh_runbook.sandbox.processes import environment
from tljh_runbook.sandbox.record import write_private

CONFIGURATION = """\
; Supervisor takes the part of systemd here. TLJH's installer adds its two services.
; The file holds a password: only its owner may read it.

[supervisord]
logfile = {logs}/supervisord.log
pidfile = {run}/supervisord.pid
childlogdir = {logs}
directory = {root}
{user}
[inet_http_server]
port = {host}:{port}
username = sandbox
password = {password}

[supervisorctl]
serverurl = http://{host}:{port}
username = sandbox
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
# For the shell this is an exec of Python; for Python it is an unused string. Unlike in a shebang
# line, the path of Python may be long and contain spaces.
FIRST_LINES = """\
#!/bin/sh
'''exec' {python} -I "$0" "$@"
' '''
"""


def configure(layout: Layout, port: int) -> None:
    """Write supervisor's configuration, without any services yet."""
    text = CONFIGURATION.format(
        logs=layout.logs,
        run=layout.run,
        root=layout.root,
        user="user = root\n" if os.geteuid() == 0 else "",
        host=HOST,
        port=port,
        password=secrets.token_urlsafe(24),
    )
    layout.supervisor.parent.mkdir(parents=True, exist_ok=True)
    write_private(layout.supervisor, text)


def bring_command(layout: Layout) -> None:
    """Write the sandbox's fake systemctl, through which TLJH's installer controls supervisor."""
    body = (FAKES / "systemctl.py").read_text(encoding="utf-8")
    layout.systemctl.parent.mkdir(parents=True, exist_ok=True)
    layout.systemctl.write_text(
        FIRST_LINES.format(python=shlex.quote(sys.executable)) + body, encoding="utf-8"
    )
    layout.systemctl.chmod(0o755)


def bring_systemd(layout: Layout) -> None:
    """Write a fake systemd: TLJH's installer only checks that the file exists."""
    layout.systemd.parent.mkdir(parents=True, exist_ok=True)
    layout.systemd.write_text(
        "#!/bin/sh\necho This is a sandbox: supervisor runs it. >&2\nexit 1\n"
    )
    layout.systemd.chmod(0o755)


def start(layout: Layout) -> None:
    """Start supervisor in the background, with its configured services. Raises SandboxFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", layout.supervisor],
        env=environment(layout),
        cwd=layout.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SandboxFailed(
            f"Supervisor did not start: {done.stdout.strip()} {done.stderr.strip()}",
            hint="If a port is taken, take the sandbox down and up again: it gets others.",
        )


def processes(layout: Layout) -> dict[str, Any]:
    """Return each service's state and process id, by name; empty while supervisor is down."""
    section = _section(layout)
    login = f"{section['username']}:{section['password']}"
    address = f"http://{login}@{section['port']}/RPC2"
    try:
        with xmlrpc.client.ServerProxy(address) as server:
            found: Any = server.supervisor.getAllProcessInfo()
    except (OSError, HTTPException, xmlrpc.client.Error):
        return {}
    return {one["name"]: {"state": one["statename"], "pid": one["pid"]} for one in found}


def _section(layout: Layout) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.read(layout.supervisor, encoding="utf-8")
    return parser["inet_http_server"]
