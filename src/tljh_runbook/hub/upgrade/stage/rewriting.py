"""Changing values in a YAML text while preserving its comments and formatting.

The YAML editor does not support everything that a text can contain: it drops a comment with the
value before it, and a change at an anchor applies to every alias. So each strategy's result is
parsed again, and the first one that has exactly the wanted values is used.
"""

from __future__ import annotations

import copy
from collections import Counter
from contextlib import suppress
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

from tljh_runbook.hub.core import yaml

Values = dict[Any, Any]
EMPTY: tuple[Any, ...] = ({}, [])
# Errors that the editor raises for YAML it does not support.
TROUBLE = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def rewrite(text: str, before: Values, after: Values) -> str:
    """Return ``text`` with its values changed from ``before`` to ``after``.

    Raises `YAMLError` if no strategy writes them correctly.
    """
    for way in (_append, _edit_shared, _edit_apart, _write_plain):
        with suppress(*TROUBLE):
            written = way(text, before, after)
            for result in (_with_comments(text, written), written):
                if same(yaml.parse(result) or {}, after):
                    return result
    raise yaml.YAMLError("its values cannot be written as YAML")


def tree(value: Any) -> Any:
    """Return a deep copy without shared parts. Raises `RecursionError` if it contains itself."""
    if isinstance(value, dict):
        return {key: tree(inner) for key, inner in value.items()}
    return [tree(inner) for inner in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same in YAML: 1, 1.0 and true are all different."""
    return bool(_form(one) == _form(other))


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_form(inner) for inner in value]
    if isinstance(value, set):  # the order of elements may differ
        return {_form(inner) for inner in value}
    return type(value), str(value)  # as text, because .nan is not equal to itself


def _append(text: str, before: Values, after: Values) -> str:
    """Append values to a text that has none: the editor does not see comments there."""
    if before:
        raise ValueError("there are values already")
    lines = text if text.endswith("\n") or not text else f"{text}\n"
    return lines + yaml.dump(after)


def _edit_shared(text: str, before: Values, after: Values, *, apart: bool = False) -> str:
    document = yaml.load(text)
    _edit(document, before, after, apart)
    return yaml.dump(document)


def _edit_apart(text: str, before: Values, after: Values) -> str:
    return _edit_shared(text, before, after, apart=True)


def _write_plain(_text: str, _before: Values, after: Values) -> str:
    return yaml.dump(after)


def _edit(document: Any, before: Values, after: Values, apart: bool) -> None:
    """Set what differs; unless ``apart``, skip values already changed by an edit elsewhere."""
    own = {key for key, _ in document.non_merged_items()}
    for key in [key for key in before if key not in after]:
        document.pop(key, None)
    for key, value in after.items():
        if key not in before:
            document[key] = value
        elif not same(before[key], value) and (apart or (key in own and document[key] != value)):
            part = document[key] if key in own else copy.deepcopy(document[key])
            document[key] = _edited(part, before[key], value, apart)
            if value in EMPTY:  # otherwise its comments would be between key and value
                document.ca.items.pop(key, None)


def _edited(part: Any, before: Any, after: Any, apart: bool) -> Any:
    """Return the part with the values ``after``, edited in place to preserve its comments.

    ``apart`` separates it from other places that share it by an anchor.
    """
    if type(before) is not type(after) or not isinstance(before, dict | list) or not after:
        return after
    if apart and part.anchor.value:
        part = copy.deepcopy(part)
        part.yaml_set_anchor(None)
    if isinstance(before, dict):
        _edit(part, before, after, apart)
    else:
        _edit_list(part, before, after)
    return part


def _edit_list(items: Any, before: list[Any], after: list[Any]) -> None:
    was, now = ([repr(_form(item)) for item in each] for each in (before, after))
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    for kind, start, end, new_start, new_end in reversed(matcher.get_opcodes()):
        if kind != "equal":
            for index in reversed(range(start, end)):
                del items[index]
            for item in reversed(after[new_start:new_end]):
                items.insert(start, item)


def _with_comments(old: str, new: str) -> str:
    """Return ``new`` with the comment lines that only ``old`` has, in their old places."""
    was, now = old.split("\n"), new.split("\n")
    lost = _comments(was) - _comments(now)
    found: list[str] = []
    # Compare without the whitespace that the editor changes before entries and comments.
    words = [[" ".join(line.split()) for line in lines] for lines in (was, now)]
    matcher = SequenceMatcher(None, words[0], words[1], autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        gone = was[start:end] if kind != "equal" else []
        above = list(takewhile(_is_comment, gone))
        found += _take(above, lost)
        found += now[new_start:new_end]
        found += _take(gone[len(above) :], lost)
    return "\n".join(found)


def _take(lines: list[str], lost: Counter[str]) -> list[str]:
    """Return those of ``lines`` that are lost, and remove them from ``lost``."""
    found = []
    for line in lines:
        if lost[line.strip()]:
            lost[line.strip()] -= 1
            found.append(line.rstrip())
    return found


def _comments(lines: list[str]) -> Counter[str]:
    return Counter(line.strip() for line in lines if _is_comment(line))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
