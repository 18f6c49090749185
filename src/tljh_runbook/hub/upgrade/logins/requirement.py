"""The check that an upgrade locks no user out, run before the live hub is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh_runbook.errors import LoginsLost
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.logins import Answers, asking, remedy
from tljh_runbook.hub.upgrade.logins.remedy import Remedy
from tljh_runbook.hub.upgrade.stage.stage import Stage

PAGE = "how-to/logins"


@dataclass(frozen=True)
class Compared:
    """The answers of the installed and of the staged version."""

    before: Answers
    after: Answers

    @property
    def warnings(self) -> list[str]:
        """The findings for an administrator to review; they do not block the upgrade."""
        found = []
        if why := self.before.failed or self.after.failed:
            return [f"nobody could be asked about: {why}"]
        if unknown := self.after.not_known:
            see = ", ".join(self.after.allow_settings) or "the settings of the authenticator"
            found.append(
                f"not known of {len(unknown)} users ({logins.named(unknown)}), because "
                f"{self.after.why}: look at {see}"
            )
        if new := logins.let_in(self.before, self.after):
            found.append(f"could not log in before, and could then: {logins.named(new)}")
        if logins.opens(self.before, self.after):
            found.append("anyone whom the authenticator accepts could log in, new users as well")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "authenticator": self.after.authenticator,
            "allowed": len(self.after.allowed),
            "not_known": len(self.after.not_known),
            "not_known_users": self.after.not_known[: logins.NAMED],
            "warnings": self.warnings,
        }


def require(source: Source, made: Stage) -> Compared:
    """Compare both versions' answers for every user, without touching the live hub.

    Raises `LoginsLost` if the upgrade would lock users out.
    """
    before = asking.live(source)
    compared = Compared(before, asking.staged(source, made, before.users))
    lost = logins.locked_out(compared.before, compared.after)
    if not lost:
        return compared
    found = remedy.find(source, made, compared.before, compared.after)
    raise LoginsLost(
        f"{len(lost)} of {len(compared.before.allowed)} users who can log in today could not after "
        f"the upgrade: {logins.named(lost)}. {compared.after.authenticator} of the new version "
        "lets in only those whom a setting allows. The live hub was not touched.",
        hint=_hint(found, compared),
    )


def _hint(found: Remedy | None, compared: Compared) -> tuple[str, ...]:
    if found is None:
        see = ", ".join(compared.after.allow_settings) or "allow_all and allowed_users"
        return (f"No single setting preserves today's access. Look at {see} of the authenticator.",)
    return (
        f"To preserve today's access, and no more: {found.commands[0]}",
        *found.commands[1:],
        "Then upgrade: tljh-runbook upgrade",
    )
