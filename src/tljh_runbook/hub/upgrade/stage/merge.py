"""A three-way merge of ``config.yaml`` after a staged upgrade.

The installer writes in the stage while an administrator may edit the live file. Changes of both are
retained; if both set the same key, the administrator's value wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import config, files, yaml
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.stage.rewriting import Values, rewrite, same, tree

BASE = "The config.yaml that the stage was copied from"
LIVE = "The hub's own config.yaml"
STAGED = "The config.yaml that the installer left in the stage"


class Unset(Enum):
    """The marker for a key that is missing; null is a value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True)
class MergeChange:
    """A key that the merge changes; its values may be secrets, so they are not shown."""

    name: str
    before: Any = field(repr=False)
    after: Any = field(repr=False)


@dataclass(frozen=True)
class Merged:
    """The merged text, and how it differs from the live one.

    ``conflicts`` names the keys that both sides set to different values; the live value wins.
    """

    text: str = field(repr=False)
    changes: list[MergeChange]
    conflicts: list[str]


def merge(base: str, live: str, staged: str) -> Merged:
    """Return ``live`` with the changes from ``base`` to ``staged``. Raises `ConfigBroken`."""
    ancestor, ours, theirs = _values(base, BASE), _values(live, LIVE), _values(staged, STAGED)
    conflicts: list[str] = []
    wanted = _merge([ancestor, ours, theirs], "", conflicts)
    changes = list(_changes(ours, wanted, ""))
    text = _rewrite(live, ours, wanted) if changes else live
    return Merged(text, changes, conflicts)


def write(hub: Hub, base: str, staged: str) -> Merged:
    """Merge into the hub's current file, atomically. Raises `ConfigBroken`."""
    with config.locked(hub):
        merged = merge(base, config.text(hub), staged)
        if merged.changes:
            with files.disk_errors(hub.config_file, "Nothing was changed."):
                files.replace(hub.config_file.resolve(), merged.text.encode())
    return merged


def _merge(versions: list[Any], name: str, conflicts: list[str]) -> Any:
    base, live, staged = versions
    if same(live, staged) or same(base, staged):
        return live
    if same(base, live):
        return staged
    if all(map(_is_section, versions)):
        return _merge_sections(versions, name, conflicts)
    conflicts.append(name)
    return live


def _merge_sections(versions: list[Any], name: str, conflicts: list[str]) -> Any:
    _, live, staged = versions
    found = {
        key: _merge([_at(each, key) for each in versions], _below(name, key), conflicts)
        for key in _keys(live, staged)
    }
    kept = {key: value for key, value in found.items() if value is not UNSET}
    # Remove an empty section if either side removed all of it.
    gone = live is UNSET or (staged is UNSET and live)
    return UNSET if gone and not kept else kept


def _changes(before: Any, after: Any, name: str) -> Iterator[MergeChange]:
    if same(before, after):
        return
    keys = _keys(before, after) if _is_section(before) and _is_section(after) else []
    for key in keys:
        yield from _changes(_at(before, key), _at(after, key), _below(name, key))
    if not keys:
        yield MergeChange(name, before, after)


def _is_section(value: Any) -> bool:
    return value is UNSET or isinstance(value, dict)


def _keys(*sections: Any) -> list[Any]:
    return list(dict.fromkeys(key for each in sections if each is not UNSET for key in each))


def _at(section: Any, key: Any) -> Any:
    return UNSET if section is UNSET else section.get(key, UNSET)


def _below(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _values(text: str, which: str) -> Values:
    try:
        values = tree(yaml.parse(text))
    except yaml.YAMLError as error:
        raise _broken(which, f"{_where(error)} is no YAML that can be read.") from None
    except RecursionError:
        raise _broken(which, "a section of it holds itself.") from None
    if values is not None and not isinstance(values, dict):
        raise _broken(which, "it holds no settings, but a single value or a list.")
    return values or {}


def _where(error: yaml.YAMLError) -> str:
    """Return only the line number: the parser's own message quotes values."""
    mark = getattr(error, "problem_mark", None)
    return f"its line {mark.line + 1}" if mark else "it"


def _rewrite(live: str, before: Values, after: Values) -> str:
    try:
        return rewrite(live, before, after)
    except yaml.YAMLError:
        raise _broken(LIVE, "it holds a value that cannot be written again.") from None


def _broken(which: str, why: str) -> ConfigBroken:
    return ConfigBroken(
        f"{which} cannot be merged: {why} Nothing was changed.",
        hint="Correct the hub's own config.yaml where it is the one that is named. "
        "Then upgrade again: the stage is made again.",
    )
