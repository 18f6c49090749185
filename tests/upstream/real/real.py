"""One server with a real hub, its administrator, and what both do in every story."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from controller import Controller
from hub import Hub
from world import World

# What changes without anyone's doing: the database, and what a program writes while it runs.
ALIVE = r"/opt/tljh/state/[^/]*sqlite|/__pycache__|\.pyc |^/opt/tljh/(state|config|hub/bin|user) "
FILES = (
    "find /opt/tljh /etc/systemd/system /etc/sudoers.d -xdev -printf '%p %y %s %T@ %m %U:%G %l\\n'"
    f" | grep -vE '{ALIVE}' | sort"
)
UNITS = "systemctl list-units --plain --no-legend 'jupyter*' traefik.service docker.service"


@dataclass
class Real:
    """A server on which the story plays."""

    world: World
    controller: Controller
    hub: Hub
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> Any:
        return self.hub.server

    def adopt(self) -> list[str]:
        """Bring the tool to the server, as *Upgrading* says; return what was printed."""
        self.want()
        return [self.controller.play(name) for name in ("tljh", "runbook")]

    def want(self, **variables: Any) -> None:
        """Write the inventory; ``variables`` are added to those of the story."""
        self.variables |= variables
        web = self.world.web
        own = {
            "tljh_installer_url": f"{web.address}/bootstrap.py",
            "tljh_installer_checksum": f"sha256:{web.checksum('bootstrap.py')}",
        }
        self.controller.inventory([self.server], own | self.variables)

    def tool(self, *words: str) -> Any:
        """Run ``tljh-runbook``; return its answer as data. Fails when it fails."""
        return self.server.tool(*words)

    def says(self, *words: str, code: int = 0) -> str:
        """Run ``tljh-runbook``; return what it printed. Fails when it ends with another code."""
        done = self.server.tried("env", "COLUMNS=100", "tljh-runbook", *words)
        printed = f"$ tljh-runbook {' '.join(words)}\n{done.stdout}{done.stderr}[{done.returncode}]"
        print(printed)  # noqa: T201 - pytest shows it when a test fails
        self.controller.said.append(printed)
        assert done.returncode == code, printed
        return str(done.stdout)

    def version(self, name: str = "jupyterhub") -> str:
        """Return the version of a package as the tool sees it."""
        return str(self.tool("status")["versions"][name]["version"])

    def files(self) -> set[str]:
        """Return every file of the hub, with its metadata."""
        return set(self.server.run("sh", "-c", FILES).splitlines())

    def processes(self) -> dict[str, str]:
        """Return the main process of each unit of the hub and its users."""
        names = [line.split()[0] for line in self.server.run("sh", "-c", UNITS).splitlines()]
        show = ("systemctl", "show", "--property=MainPID", "--value")
        return {name: self.server.run(*show, name) for name in names if name.endswith(".service")}

    def ask_database(self, sql: str) -> list[Any]:
        """Return the rows of a query on the hub's database."""
        code = (
            "import json, sqlite3, sys\n"
            "file = 'file:/opt/tljh/state/jupyterhub.sqlite?mode=ro'\n"
            "rows = sqlite3.connect(file, uri=True).execute(sys.argv[1]).fetchall()\n"
            "print(json.dumps(rows))"
        )
        found: list[Any] = json.loads(self.server.run("/usr/bin/python3", "-c", code, sql))
        return found
