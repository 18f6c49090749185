"""A server with the real TLJH, installed as its documentation says."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from machines import Server, until
from visitor import Visitor

from tljh_runbook.hub.system import http_client

BOOTSTRAP = "/root/bootstrap.py"
CONFIG = "/opt/tljh/hub/bin/tljh-config"
STARTS = 600  # seconds that a hub may take until it answers


@dataclass
class Hub:
    """The real hub of one server, and the people who use it."""

    server: Server
    port: int = 80
    passwords: dict[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"http://{self.server.address}" + (f":{self.port}" if self.port != 80 else "")

    def install(self, bootstrap: bytes, *options: str, pip: str = "") -> str:
        """Run TLJH's own ``bootstrap.py``; return what it printed.

        ``pip`` holds requirements that limit what pip may choose, one a line.
        """
        self.server.run("sh", "-c", f"cat > {BOOTSTRAP}", stdin=bootstrap)
        self.server.run("sh", "-c", "cat > /root/limits.txt", stdin=pip.encode())
        command = ("env", "PIP_CONSTRAINT=/root/limits.txt", "python3", BOOTSTRAP, *options)
        return self.server.run(*command)

    def configure(self, *pairs: tuple[str, str], reload: bool = True) -> None:
        """Set values with ``tljh-config``, as an administrator does."""
        for key, value in pairs:
            self.server.run(CONFIG, "set", key, value)
        if reload:
            self.server.run(CONFIG, "reload", "hub")
            self.wait()

    def wait(self) -> None:
        """Wait until the hub answers and has started its services."""
        until(self._answers, "the hub and its services answer", STARTS)

    def _answers(self) -> bool:
        services = (f"{self.address}/services/{name}/" for name in self.services)
        login = http_client.get(f"{self.address}/hub/login")
        return login.ok and all(http_client.get(each).there for each in services)

    def password(self, name: str) -> str:
        """Return the password of a person, chosen when it is first needed."""
        return self.passwords.setdefault(name, secrets.token_urlsafe(12))

    def visitor(self, name: str) -> Visitor:
        """Return a person who has logged in."""
        found = Visitor(self.address, name, self.password(name))
        found.log_in()
        return found

    def add_people(self, admin: str, names: Iterable[str]) -> None:
        """Let an admin add users, as on the admin page; FirstUse takes no others at TLJH."""
        self.visitor(admin).api("POST", "users", {"usernames": list(names)})

    def work(self, name: str, **options: Any) -> Visitor:
        """Log in and start a server, unless it runs; wait until it answers."""
        visitor = self.visitor(name)
        if not visitor.server():
            visitor.api("POST", f"users/{name}/server", options)
        until(lambda: visitor.server().get("ready"), f"the server of {name}", 300)
        return visitor
