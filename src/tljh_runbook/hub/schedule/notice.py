"""Notices that a scheduled run has failed, in the system journal and by mail."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from tljh_runbook import hints
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import run_record
from tljh_runbook.hub.runs.run_record import Seen

UNITS = {
    f"{run_record.unit(task)}{end}": task for task in run_record.TASKS for end in (".service", "")
}
PLACES = "/usr/sbin:/usr/lib:/usr/bin"
PATIENCE = 60  # timeout for sendmail in seconds


def lines(hub: Hub, task: str) -> list[str]:
    """Return what failed, why, and what to type, one line each."""
    seen = run_record.seen(hub, task)
    return [
        f"The scheduled {task} of {hub.prefix} on {socket.gethostname()} failed.",
        *_why(seen),
        f"What it wrote: journalctl -u {run_record.unit(task)}.service -n 100",
    ]


def _why(seen: Seen) -> list[str]:
    last = seen.last
    if not last or _older(seen):
        return ["It ended before it could say why."]
    good = last["success"]
    before = [f"The last good one was at {good['at']}: {good['snapshot']}."] if good else []
    if seen.cut_off:
        return [f"It began at {last['at']}, and was cut off before its end.", *before]
    error = last["error"]
    return [f"At {last['at']}: {error['message']}", *_advice(error), *before]


def _advice(error: dict[str, Any]) -> list[str]:
    return hints.lines(f"What to do: {error['hint']}")


def _older(seen: Seen) -> bool:
    """Return whether the record is of an earlier run than the one that failed."""
    last = seen.last or {}
    failed = os.environ.get("MONITOR_INVOCATION_ID", "")  # set since systemd 251
    return last.get("code") == 0 or (failed != "" and last.get("invocation") != failed)


def mail(to: str, told: list[str], attached: Mapping[str, bytes] | None = None) -> str:
    """Mail the lines ``told`` to ``to`` from this server; return an error, '' on success.

    ``attached`` holds files by name. Without an address, or without `sendmail`, nothing is sent,
    and that is not an error.
    """
    program = shutil.which("sendmail", path=PLACES)
    if not to or not program:
        return ""
    try:
        command = [program, "-i", "--", to]
        done = subprocess.run(
            command,
            input=_message(to, told, attached or {}),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"No mail was sent: {type(error).__name__}."
    return f"No mail was sent: sendmail ended with {done.returncode}." if done.returncode else ""


def _message(to: str, told: list[str], attached: Mapping[str, bytes]) -> bytes:
    message = EmailMessage()
    # A header must be one line, and the hub's path may contain a line break.
    message["To"], message["Subject"] = to, f"tljh-runbook: {' '.join(told[0].split())}"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(told) + "\n")
    for name, data in attached.items():
        kind = "html" if name.endswith(".html") else "plain"
        message.add_attachment(data.decode(errors="replace"), subtype=kind, filename=name)
    return bytes(message)
