"""The users who may log in, according to the hub's own authenticator, before and after an upgrade.

``questions.py`` runs in the hub's Python and asks the authenticator; ``asking`` runs it on copies;
``remedy`` finds the setting that preserves the current access.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

NAMED = 20  # the maximum number of users in a message


@dataclass(frozen=True)
class Answers:
    """An authenticator's answer for each user in the database; None if it cannot tell."""

    authenticator: str = ""
    """The class name of the authenticator."""
    allow_settings: tuple[str, ...] = ()
    """The settings that allow any users."""
    stranger: bool | None = None
    """Whether its rules allow everyone who can authenticate, in the database or not."""
    users: dict[str, bool | None] = field(default_factory=dict)
    why: str = ""
    """Why it cannot tell for some users."""
    failed: str = ""
    """Why it could not be asked about any user."""

    @property
    def allowed(self) -> list[str]:
        return [name for name, answer in self.users.items() if answer]

    @property
    def not_known(self) -> list[str]:
        return [name for name, answer in self.users.items() if answer is None]

    def about(self, names: Iterable[str], why: str) -> Answers:
        """Return the answers for ``names``: None for missing ones, with ``why`` as the reason."""
        missing = [name for name in names if name not in self.users]
        if self.failed or not missing:
            return self
        reason = f"{len(missing)} were not asked about: {why}"
        users = {**self.users, **dict.fromkeys(missing)}
        return replace(self, users=users, why="; ".join(filter(None, [reason, self.why])))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Answers:
        """Load the output of `to_json`."""
        return cls(**{**values, "allow_settings": tuple(values["allow_settings"])})


def parse(text: str) -> Answers:
    """Parse the output of ``questions.py``; skip lines that are truncated or not JSON objects."""
    about: dict[str, Any] = {}
    users: dict[str, bool | None] = {}
    reasons: list[str] = []
    for told in _objects(text):
        if "name" in told:
            users[str(told["name"])] = _answer(told.get("answer"))
        else:
            about |= told
        reasons.append(str(told.get("why") or ""))
    return Answers(
        str(about.get("authenticator") or ""),
        tuple(map(str, about.get("allow_settings") or ())),
        _answer(about.get("stranger")),
        users,
        next(filter(None, reasons), ""),
        str(about.get("error") or "") or ("" if about else "it ended without an answer"),
    )


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        with suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict):
                yield told


def _answer(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def locked_out(before: Answers, after: Answers) -> list[str]:
    """Return the users who may log in before the upgrade but not after it."""
    return [name for name in before.allowed if after.users.get(name) is False]


def let_in(before: Answers, after: Answers) -> list[str]:
    """Return the users who may log in after the upgrade but not before it."""
    return [name for name in after.allowed if before.users.get(name) is False]


def opens(before: Answers, after: Answers) -> bool:
    """Return whether the rules allow everyone after the upgrade, but did not before it."""
    return before.stranger is False and after.stranger is True


def named(names: Iterable[str]) -> str:
    """Return up to `NAMED` users on one line, with unprintable names escaped."""
    every = list(names)
    shown = [name if name.isprintable() else ascii(name) for name in every[:NAMED]]
    more = [f"and {len(every) - NAMED} more"] if len(every) > NAMED else []
    return ", ".join(shown + more)
