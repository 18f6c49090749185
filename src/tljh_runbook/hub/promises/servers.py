"""User servers run on: the same process, with the same start time, answering as before."""

from __future__ import annotations

from typing import Any

from tljh_runbook.hub import config, databases, hubdb, processes, web
from tljh_runbook.hub.source import Source


class Servers:
    name = "user servers"
    vow = "Every user server that ran before runs on as the same process and answers."
    order = 1

    def measure(self, source: Source) -> Any:
        found = databases.find(source.hub, source.services, source.settings)
        address = config.address(source.hub)
        return {
            server.label: _server(server, web.get(address.at(server.api)).ok)
            for server in hubdb.servers(found["jupyterhub"])
        }

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        changed = [f"{name}: {_change(was, after.get(name))}" for name, was in before.items()]
        changed = [each for each in changed if not each.endswith(": ")]
        if changed:
            return False, "; ".join(changed)
        same = [name for name, was in before.items() if was["started"]]
        answer = [name for name in before if name not in same]
        told = f", same process: {', '.join(same)}" if same else ""
        told += f", answering: {', '.join(answer)}" if answer else ""
        return True, f"{len(before)} of {len(before)} run on{told}"


def _server(server: hubdb.Server, answers: bool) -> dict[str, Any]:
    # Spawners that start a process keep its number; others are judged by their answer alone.
    pid = server.state.get("pid")
    started = processes.started(pid) if pid else None
    container = server.state.get("object_id") or server.state.get("container_id")
    return {"pid": pid, "started": started, "container": container, "answers": answers}


def _change(was: dict[str, Any], now: dict[str, Any] | None) -> str:
    if now is None:
        return "no longer known to the hub"
    if was["started"] and now["started"] is None:
        return f"its process {was['pid']} has ended"
    if was["container"] != now["container"]:
        return "another container"
    if (was["pid"], was["started"]) != (now["pid"], now["started"]):
        return f"restarted (pid {was['pid']}, now {now['pid']})"
    return "does not answer any more" if was["answers"] and not now["answers"] else ""


PROMISE = Servers()
