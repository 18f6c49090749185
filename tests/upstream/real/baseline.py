"""What users notice without the tool: a bare restart, the limit, and upstream's own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from downtime import Downtime, measured
from hub import Hub
from visitor import Visitor

RESTART_OLD = "bare restart of the old version"
UPSTREAM = "upstream's way"
RESTART_NEW = "bare restart of the new version"
LIMIT = "stop of the old + first start of the new version"
ACTIONS = (RESTART_OLD, UPSTREAM, RESTART_NEW, LIMIT)

SAVE = """
set -e
rm -rf /opt/saved && mkdir /opt/saved
cp -a /opt/tljh/hub /opt/tljh/state /opt/tljh/config /opt/saved
cp -a /etc/systemd/system/jupyterhub.service /etc/systemd/system/traefik.service /opt/saved
"""
# The new version aside, the old one back as it was, running.
BACK = """
set -e
systemctl stop jupyterhub traefik
mkdir /opt/newer && cd /opt/tljh
mv hub state config /opt/newer
cp -a /etc/systemd/system/jupyterhub.service /etc/systemd/system/traefik.service /opt/newer
mv /opt/saved/hub /opt/saved/state /opt/saved/config .
cp -a /opt/saved/*.service /etc/systemd/system
systemctl daemon-reload
systemctl start traefik jupyterhub
"""
# No upgrade that restarts the hub once can be quicker: the environment lies ready, is renamed into
# place, and the new version migrates the database when it starts.
FORWARD = """
set -e
systemctl stop jupyterhub
mv /opt/tljh/hub /opt/saved/hub && mv /opt/newer/hub /opt/tljh/hub
cp -a /opt/newer/state/traefik.toml /opt/newer/state/rules /opt/tljh/state
cp -a /opt/newer/*.service /etc/systemd/system
systemctl daemon-reload
[ {proxy} = same ] || systemctl restart traefik
systemctl start jupyterhub
"""
PROXY = "/opt/tljh/hub/bin/traefik"


def compare(
    hub: Hub,
    people: Sequence[Visitor],
    versions: str,
    install: Callable[[], object],
    add: Callable[[Downtime], None],
) -> list[Downtime]:
    """Measure all of it on a server that can be spared; ``install`` is upstream's way."""
    done: list[Downtime] = []

    def measure(action: str, act: Callable[[], object]) -> None:
        done.append(measured(hub, people, versions, action, act))
        add(done[-1])

    def script(text: str) -> Callable[[], object]:
        return lambda: hub.server.run("sh", "-c", text)

    restart = script("systemctl restart jupyterhub")
    hub.server.run("sh", "-c", SAVE)
    old = hub.server.run("sha256sum", PROXY)
    measure(RESTART_OLD, restart)
    measure(UPSTREAM, install)
    new = hub.server.run("sha256sum", PROXY)
    measure(RESTART_NEW, restart)
    hub.server.run("sh", "-c", BACK)
    hub.wait()
    measure(LIMIT, script(FORWARD.format(proxy="same" if new == old else "other")))
    return done
