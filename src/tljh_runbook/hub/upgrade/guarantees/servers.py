"""The guarantee that user servers keep running: same process, same start time, still answering.

Four records tell why a server ended: the hub's database when the hub was stopped, the time at which
the process ended, what systemd, Docker or the server itself recorded about it, and what the hub
logs about the servers that it gives up on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.database.sql import Database
from tljh_runbook.hub.servers import ends, running
from tljh_runbook.hub.servers.watch import Seen
from tljh_runbook.hub.system import processes
from tljh_runbook.hub.system.docker import Container
from tljh_runbook.hub.system.services import Services

NOTHING: tuple[set[str], set[str]] = (set(), set())


class Servers:
    name = "user servers"
    statement = (
        "Every user server that its user has not left runs on as the same process, is known to the "
        "hub, and can be reached."
    )
    order = 1

    def measure(self, source: Source) -> Any:
        return running.measure(source)

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        """Record which servers were stopped before the hub was, according to its database."""
        known = {server.label for server in hubdb.servers(found["jupyterhub"])}
        return {
            label: each if label in known else {**each, "left": "stopped before the swap"}
            for label, each in before.items()
        }

    def investigate(self, before: Any, source: Source, seen: Seen | None) -> Any:
        """Record for each server that has ended what caused it."""
        gone = _gone(before)
        said = ends.said_by_hub(source.services, seen.began) if seen and gone else NOTHING
        stops = _stops(source) if any(_only_a_row(each) for each in before.values()) else {}
        told = {label: _end(label, before[label], source.services, seen, said) for label in gone}
        told |= {
            label: _stop(stops[label], seen)
            for label, each in before.items()
            if _only_a_row(each) and label in stops
        }
        return {label: {**each, **told.get(label, {})} for label, each in before.items()}

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        wrong = {name: _wrong(was, after.get(name)) for name, was in before.items()}
        broken = [f"{name}: {what}" for name, what in wrong.items() if what]
        if broken:
            return False, "; ".join(broken)
        left = {name: _left(was, after.get(name)) for name, was in before.items()}
        stay = {name: was for name, was in before.items() if not left[name]}
        same = [name for name, was in stay.items() if was["started"]]
        answer = [name for name in stay if name not in same]
        told = f", same process: {', '.join(same)}" if same else ""
        told += f", answering: {', '.join(answer)}" if answer else ""
        gone = "".join(f"; {name}: {why}" for name, why in left.items() if why)
        return True, f"{len(stay)} of {len(before)} run on{told}{gone}"


def left(before: Any, after: Any) -> list[str]:
    """Return the servers that have changed for reasons other than the upgrade."""
    return [
        name
        for name, was in before.items()
        if _left(was, after.get(name)) and not _wrong(was, after.get(name))
    ]


def lost(before: Any) -> bool:
    """Return whether a server is lost for good, so that waiting for it is pointless."""
    return any(was.get("lost") for was in before.values())


def forgotten(before: Any, after: Any) -> bool:
    """Return whether the only fault is that the hub no longer knows servers that still run."""
    wrong = [name for name, was in before.items() if _wrong(was, after.get(name))]
    return bool(wrong) and not any(name in after for name in wrong)


def _gone(before: Any) -> set[str]:
    """Return the servers whose process has ended, unless they were stopped before the swap.

    If Docker does not answer, its containers do not count as gone: whether the servers answer is
    judged instead.
    """
    containers = running.containers({each["container"] for each in before.values()})
    return {
        label
        for label, each in before.items()
        if each["started"] and not each.get("left") and not _runs(each, containers)
    }


def _only_a_row(server: dict[str, Any]) -> bool:
    """Return whether a server is known only from the hub, without a process to follow."""
    return not server["started"] and bool(server["answers"]) and not server.get("left")


def _stops(source: Source) -> dict[str, float]:
    found = databases.find(source.hub, source.services, source.settings)
    return hubdb.stops(found["jupyterhub"])


def _stop(moment: float, seen: Seen | None) -> dict[str, str]:
    """Return what caused the hub to stop a server at ``moment``."""
    if seen and seen.while_down(moment - seen.began):
        return {"lost": "the hub stopped it when it started"}
    return {"left": "was stopped, or ended on its own"}


def _runs(server: dict[str, Any], containers: dict[str, Container] | None) -> bool:
    if server["container"]:
        if containers is None:
            return True
        found = containers.get(server["container"])
        return found is not None and found.started == server["started"]
    return bool(processes.started(server["pid"]) == server["started"])


def _end(
    label: str,
    server: dict[str, Any],
    manager: Services,
    seen: Seen | None,
    said: tuple[set[str], set[str]],
) -> dict[str, str]:
    """Return why a server has ended: ``left`` or ``lost``, with the reason.

    While the hub answered, the server was stopped by its user or the culler, or ended on its own,
    unless the hub logged that it gave up on it. While the hub was down, nobody could stop it; but
    the hub may have been stopping it before, and it gives up on one that was still starting.
    Otherwise only a record of systemd, Docker or the server itself shows that it ended on its own.
    """
    given_up, stopping = said
    if not (server["answers"] or server.get("itself")):
        return {"left": "had not yet answered"}
    if label in given_up:
        return {"lost": "the hub did not find it where it looked, and stopped it"}
    if not (seen and seen.while_down(seen.ended.get(label))):
        return {"left": "was stopped, or ended on its own"}
    if label in stopping:
        return {"left": "was being stopped when the hub was"}
    if own := ends.own(server, manager, seen.began):
        return {"left": f"ended on its own ({own})"}
    return {"lost": f"its process {server['pid']} ended while the hub was down"}


def _wrong(was: dict[str, Any], now: dict[str, Any] | None) -> str:
    """Return what the upgrade broke about a server; empty if nothing."""
    if was.get("lost") or _left(was, now):
        return str(was.get("lost", ""))
    runs = f"its process {was['pid']} runs on, but " if was["started"] else ""
    if now is None:
        return f"{runs}the hub no longer knows it"
    if runs and _another(was, now):
        return f"{runs}the hub knows another"
    if was["answers"] and not now["answers"]:
        return "does not answer through the proxy any more"
    return ""


def _another(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether the hub's database now has another process or container."""
    if was["container"] and was["container"] == now["container"] and not now["started"]:
        return False  # Docker did not report a start time
    return running.changed(was, now)


def _left(was: dict[str, Any], now: dict[str, Any] | None) -> str:
    """Return why a server has changed, if the upgrade did not cause it; otherwise empty."""
    if was.get("left"):
        again = " and started again" if now and now["answers"] else ""
        return f"{was['left']}{again}"
    if now is None:
        # Without a process to check, only the hub's own record counts.
        return "" if was["started"] or was["answers"] else "was about to start"
    if was["answers"] and now["answers"] is False and was.get("itself") and not now["itself"]:
        return "does not answer itself"
    return ""


GUARANTEE = Servers()
