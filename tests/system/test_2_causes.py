"""Whose doing the end of a user's server was, as a real systemd and a real Docker record it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

import pytest
from machines import Server, until
from story import ENVIRONMENT, Story, Working

# What the tool on the server makes of the records, as an upgrade asks it.
ASK = """
import json, sys
sys.path.insert(0, "/usr/local/lib/tljh-runbook/current")
from tljh_runbook.hub.servers import ends
from tljh_runbook.hub.system import services
since, servers = float(sys.argv[1]), json.loads(sys.argv[2])
manager = services.Systemd()
print(json.dumps({name: ends.own(each, manager, since) for name, each in servers.items()}))
"""
STAYS = "exec sleep 1000"
SAYS = "echo '[I 2026-11-30 ServerApp] Shutting down on /api/shutdown request.';"
# How a server ends, what its program does, what is done to it, and what is to be found.
ENDS = {
    "ends": ("exit 0", (), "exited with 0"),
    "fails": ("exit 3", (), "exited with 3"),
    "stopped": (STAYS, ("stop",), ""),
    "killed": (STAYS, ("kill", "--signal=KILL"), ""),
    "removed": (STAYS, ("rm", "--force"), ""),
}
# systemd starts them as SystemdSpawner has it do, and there is nothing to remove.
OF_UNITS = {name: each for name, each in ENDS.items() if name != "removed"}
GREEDY = "exec python3 -c 'b = bytearray(1 << 30)'"


def told(
    server: Server, since: float, servers: Mapping[str, Mapping[str, object]]
) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        server.run("/usr/bin/python3", "-c", ASK, str(since), json.dumps(servers))
    )
    return found


def start_unit(server: Server, name: str, script: str, *options: str) -> None:
    server.run("systemd-run", "--quiet", f"--unit={name}", *options, "/bin/sh", "-c", script)


def ended(server: Server, name: str) -> Callable[[], bool]:
    return lambda: server.tried("systemctl", "is-active", name).stdout.strip() != "active"


def test_systemd_tells_how_a_unit_ended(story: Story, deployed: str) -> None:
    server, since = story.one, time.time()
    for name, (script, act, _) in OF_UNITS.items():
        start_unit(server, f"jupyter-{name}", script)
        if act:
            server.run("systemctl", *act, f"jupyter-{name}")
        until(ended(server, f"jupyter-{name}"), f"jupyter-{name} ends")
    servers = {name: {"unit": f"jupyter-{name}"} for name in (*OF_UNITS, "unknown")}
    expected = {name: found for name, (_, _, found) in OF_UNITS.items()}
    assert told(server, since, servers) == {**expected, "unknown": ""}


def test_systemd_tells_which_unit_ran_out_of_memory(story: Story, deployed: str) -> None:
    server, since = story.one, time.time()
    if server.run("stat", "--file-system", "--format=%T", "/sys/fs/cgroup") != "cgroup2fs":
        pytest.skip("systemd is told of it by control groups of version 2 alone")
    limits = ("--property=MemoryMax=16M", "--property=MemorySwapMax=0")
    start_unit(server, "jupyter-greedy", GREEDY, *limits)
    until(ended(server, "jupyter-greedy"), "jupyter-greedy ends")
    found = told(server, since, {"greedy": {"unit": "jupyter-greedy"}})
    assert found == {"greedy": "ran out of memory"}


def test_the_journal_tells_what_a_process_wrote_last(story: Story, deployed: str) -> None:
    server, since, servers = story.one, time.time(), {}
    for name, script in {"says": SAYS + STAYS, "silent": STAYS}.items():
        start_unit(server, f"process-{name}", script)
        pid = server.run("systemctl", "show", "--property=MainPID", "--value", f"process-{name}")
        servers[name] = {"pid": int(pid)}
    try:
        until(lambda: told(server, since, servers)["says"], "the journal has it", 10)
        assert told(server, since, servers) == {"says": "its user shut it down", "silent": ""}
    finally:
        server.run("systemctl", "stop", "process-says", "process-silent")


@pytest.mark.parametrize("name", ENDS)
def test_docker_tells_how_a_container_ended(
    story: Story, inhabited: dict[str, Working], name: str
) -> None:
    server, since = story.one, time.time()
    script, act, found = ENDS[name]
    run = ("docker", "run", "--detach", "--rm", "--network=none", ENVIRONMENT)
    made = server.run(*run, "/bin/sh", "-c", script)
    if act:
        server.run("docker", *act, made)
    until(lambda: server.tried("docker", "inspect", made).returncode, "it has ended", 60)
    assert told(server, since, {name: {"container": made}}) == {name: found}
