"""Who may log in, as the hub's own authenticator says: now, and after an upgrade.

``questions.py`` runs in the hub's Python and asks; ``asking`` starts it on copies; ``remedy`` finds
the setting that preserves today's access.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

NAMED = 20  # users that a message names


@dataclass(frozen=True)
class Answers:
    """What an authenticator says of each user of the database; None where it cannot tell."""

    authenticator: str = ""
    """The name of its class."""
    allow_settings: tuple[str, ...] = ()
    """The settings that allow somebody."""
    stranger: bool | None = None
    """Whether its rules allow anyone who proves to be somebody, in the database or not."""
    users: dict[str, bool | None] = field(default_factory=dict)
    why: str = ""
    """Why it cannot tell of some."""
    failed: str = ""
    """Why nobody could be asked about."""

    @property
    def allowed(self) -> list[str]:
        return [name for name, answer in self.users.items() if answer]

    @property
    def not_known(self) -> list[str]:
        return [name for name, answer in self.users.items() if answer is None]

    def about(self, names: Iterable[str], why: str) -> Answers:
        """Return the answers about ``names``: not known of those that are missing, and ``why``."""
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
        """Return what `to_json` wrote."""
        return cls(**{**values, "allow_settings": tuple(values["allow_settings"])})


def parse(text: str) -> Answers:
    """Return what ``questions.py`` printed; a line that was cut off, or is none of it, is left."""
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
    """Return the users who may log in before, and not after."""
    return [name for name in before.allowed if after.users.get(name) is False]


def let_in(before: Answers, after: Answers) -> list[str]:
    """Return the users who may log in after, and not before."""
    return [name for name in after.allowed if before.users.get(name) is False]


def opens(before: Answers, after: Answers) -> bool:
    """Say whether the rules allow anyone after, and did not before."""
    return before.stranger is False and after.stranger is True


def named(names: Iterable[str]) -> str:
    """Return users for a message: a few, on one line, whatever their names are."""
    every = list(names)
    shown = [name if name.isprintable() else ascii(name) for name in every[:NAMED]]
    more = [f"and {len(every) - NAMED} more"] if len(every) > NAMED else []
    return ", ".join(shown + more)
