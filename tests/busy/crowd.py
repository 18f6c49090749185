"""Users of a sandbox who do at random what users do, also while it is upgraded."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tljh_runbook.hub.servers.background import Background
from tljh_runbook.sandbox.contents import GROUP
from tljh_runbook.sandbox.layout import Layout
from tljh_runbook.sandbox.servers import WORKING

LIGHT = [f"user-{number}" for number in range(1, 5)]  # their servers start at once
CROWD = [*LIGHT, *LIGHT, *WORKING]  # these have Jupyter's own, and act less often
VICTIM = "victim"  # whose server nobody touches: it is there to be lost on purpose
PAUSE = (0.2, 2.0)  # seconds between two deeds, at least and at most
ACTIVE = 5.0  # seconds after which the victim is seen at work again, else it is culled
WAIT = 60.0  # seconds that an answer may take
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Crowd(Background):
    """Acts through the hub's REST API for as long as the context lasts; counts what was done."""

    def __init__(self, place: Layout, address: str, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._place, self._address, self._chance = place, address, chance
        self._token = place.token.read_text(encoding="utf-8").strip()
        self._added = 0
        super().__init__(self._act, self._keep_active)

    def __enter__(self) -> Crowd:
        while self.ask("GET", "users") is None:
            time.sleep(0.5)
        self.ask("POST", "users", {"usernames": [*LIGHT, VICTIM]})
        super().__enter__()
        return self

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Call the hub's API; None where it refuses or is down."""
        return self._call(method, f"hub/api/{path}", body)

    def servers(self) -> dict[str, Any]:
        """Return the servers that are ready, by user."""
        users = self.ask("GET", "users?include_stopped_servers=1") or []
        found = {user["name"]: user["servers"].get("", {}) for user in users}
        return {name: each for name, each in found.items() if each.get("ready")}

    def victim(self) -> int:
        """Return the process of the victim's server, which is started where it does not run."""
        while VICTIM not in (ready := self.servers()):
            self.ask("POST", f"users/{VICTIM}/server", {})
            time.sleep(1)
        self._be_active()
        return int(ready[VICTIM]["state"]["pid"])

    def forget(self) -> None:
        """Stop the victim's server: the next one is another."""
        self.ask("DELETE", f"users/{VICTIM}/server")
        while VICTIM in self.servers():
            time.sleep(0.5)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self._address}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self._token}"},
        )
        try:
            with _opener.open(request, timeout=WAIT) as answer:
                return json.loads(answer.read() or b"{}")
        except (OSError, ValueError, urllib.error.HTTPError):
            return None

    def _act(self, stop: threading.Event) -> None:
        deeds: dict[str, Callable[[], Any]] = {
            "start": lambda: self.ask("POST", f"users/{self._somebody()}/server", {}),
            "stop": lambda: self.ask("DELETE", f"users/{self._somebody()}/server"),
            # As "File > Shut Down" does: the hub is not asked, and need not be up.
            "exit": lambda: self._call("POST", f"user/{self._somebody()}/api/shutdown", {}),
            "join a group": lambda: self._group("POST"),
            "leave a group": lambda: self._group("DELETE"),
            "add a user": self._add,
            "write a file": self._write,
            "delete a file": self._delete,
        }
        while not stop.wait(self._chance.uniform(*PAUSE)):
            name = self._chance.choice(list(deeds))
            if deeds[name]() is not None:
                self.done[name] += 1

    def _keep_active(self, stop: threading.Event) -> None:
        while not stop.wait(ACTIVE):
            self._be_active()

    def _be_active(self) -> None:
        now = datetime.now(timezone.utc).isoformat()
        body = {"last_activity": now, "servers": {"": {"last_activity": now}}}
        self.ask("POST", f"users/{VICTIM}/activity", body)

    def _somebody(self) -> str:
        return self._chance.choice(CROWD)

    def _group(self, method: str) -> Any:
        return self.ask(method, f"groups/{GROUP}/users", {"users": [self._somebody()]})

    def _add(self) -> Any:
        self._added += 1
        return self.ask("POST", f"users/guest-{self._added}", {})

    def _home(self) -> Path:
        home = self._place.homes / self._somebody()
        home.mkdir(exist_ok=True)
        return home

    def _write(self) -> bool:
        (self._home() / f"note-{self._chance.randrange(1000)}.txt").write_text("text")
        return True

    def _delete(self) -> bool | None:
        written = sorted(self._home().glob("note-*.txt"))
        if not written:
            return None
        self._chance.choice(written).unlink()
        return True
