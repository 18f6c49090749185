"""A person who uses the hub: logs in, starts a server, works in it over a websocket."""

from __future__ import annotations

import json
import re
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from websockets.sync.client import ClientConnection, connect


class Visitor:
    """One user of the hub at an address, as a browser is."""

    def __init__(self, address: str, name: str, password: str) -> None:
        self.address, self.name = address, name
        self._password = password
        self._cookies = CookieJar()
        # No proxy of the environment: the hub is a server of ours.
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._cookies))

    def log_in(self) -> None:
        """Fill in the login page. Fails where the hub shows it again."""
        form = {"username": self.name, "password": self._password}
        self.submit("hub/login", form, "?next=%2Fhub%2Fhome")
        assert self.api("GET", "user")["name"] == self.name

    def submit(self, path: str, form: dict[str, str], query: str = "") -> str:
        """Fill in the form of a page; return the page that follows."""
        found = re.search(r'name="_xsrf"\s+value="([^"]*)"', self.page(path))
        form = form | ({"_xsrf": found[1]} if found else {})
        return self._ask("POST", f"{path}{query}", form=form)

    def page(self, path: str) -> str:
        """Return a page of the hub."""
        return self._ask("GET", path)

    def start_server(self, image: str) -> None:
        """Ask for a server in this environment, unless one runs; it takes its time to start."""
        if not self.server():
            self.api("POST", f"users/{self.name}/server", {"image": image})

    def server(self) -> dict[str, Any]:
        """Return what the hub says of this user's server; empty where it has none."""
        found: dict[str, Any] = self.api("GET", f"users/{self.name}")["servers"].get("", {})
        return found

    def token(self) -> str:
        """Return a new token, as a program of the user would be given."""
        made = self.api("POST", f"users/{self.name}/tokens", {"note": "a test"})
        return str(made["token"])

    def websocket(self, token: str) -> ClientConnection:
        """Open a websocket to this user's server, as an open notebook has one."""
        there = self.address.replace("http", "ws", 1)
        return connect(
            f"{there}/user/{self.name}/api/events/subscribe",
            additional_headers={"Authorization": f"token {token}"},
            open_timeout=30,
            proxy=None,
        )

    def compute(self, token: str) -> str:
        """Start a kernel that computes for an hour, as a cell that was run does; return its id."""
        kernel = str(json.loads(self._kernels("", token))["id"])
        there = self.address.replace("http", "ws", 1)
        header = {"msg_id": "1", "msg_type": "execute_request", "session": "1", "version": "5.3"}
        content = {"code": "import time; time.sleep(3600)", "silent": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        with connect(
            f"{there}/user/{self.name}/api/kernels/{kernel}/channels",
            additional_headers={"Authorization": f"token {token}"},
            open_timeout=120,
            proxy=None,
        ) as socket:
            socket.send(json.dumps(message | {"channel": "shell"}))
            while '"busy"' not in str(answer := socket.recv(60)) or "execute" not in str(answer):
                pass
        return kernel

    def interrupt(self, kernel: str, token: str) -> None:
        """End what a kernel computes."""
        self._kernels(f"/{kernel}/interrupt", token)

    def _kernels(self, path: str, token: str) -> str:
        url = f"{self.address}/user/{self.name}/api/kernels{path}"
        request = Request(url, b"{}", {"Authorization": f"token {token}"})
        with self._opener.open(request, timeout=60) as answer:
            return str(answer.read().decode())

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the hub's REST API as this user."""
        text = self._ask(method, f"hub/api/{path}", data=body)
        return json.loads(text or "null")

    def _ask(
        self, method: str, path: str, *, form: dict[str, str] | None = None, data: object = None
    ) -> str:
        body = urlencode(form).encode() if form else None
        headers = {"Referer": f"{self.address}/hub/home"}
        if data is not None:
            body = json.dumps(data).encode()
            headers["Content-Type"] = "application/json"
        xsrf = [each.value for each in self._cookies if each.name == "_xsrf" and "hub" in each.path]
        if method == "POST" and not form and xsrf:
            headers["X-XSRFToken"] = xsrf[0] or ""
        request = Request(f"{self.address}/{path}", method=method, data=body, headers=headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                text: str = answer.read().decode()
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error
        return text
