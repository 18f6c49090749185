"""The guarantee that users can still log in, according to the hub's own authenticator."""

from __future__ import annotations

from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.logins import Answers, asking


class Logins:
    name = "logins"
    statement = (
        "Every user who could log in before can log in after, as the hub's authenticator says."
    )
    order = 3

    def measure(self, source: Source) -> Any:
        return asking.live(source).to_json()

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        was, now = Answers.of(before), Answers.of(after)
        if why := was.failed or now.failed:
            return None, why
        if lost := logins.locked_out(was, now):
            return False, f"{len(lost)} users cannot log in any more: {logins.named(lost)}"
        if was.users and not was.allowed:
            return None, was.why or "nobody could log in before"
        told = f"{len(now.allowed)} of {len(now.users)} users can"
        if unknown := now.not_known:
            told += f", not known of {len(unknown)} ({logins.named(unknown)}): {now.why}"
        return True, told


GUARANTEE = Logins()
