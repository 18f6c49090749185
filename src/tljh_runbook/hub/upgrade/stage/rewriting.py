"""A YAML text that gets other values, and keeps what its author wrote besides.

The editor of YAML knows less than a text can hold: it drops comments with the value before them,
and what is changed at an anchor changes wherever the anchor is named. So each way of writing is
read back, and the first that says exactly what is wanted is taken.
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
# What the editor lets through for what it cannot handle.
TROUBLE = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def rewrite(text: str, before: Values, after: Values) -> str:
    """Return ``text``, whose values are ``before``, with the values ``after``.

    Raises `YAMLError` when they cannot be written so that they are read again.
    """
    for way in (_append, _edit_shared, _edit_apart, _write_plain):
        with suppress(*TROUBLE):
            written = way(text, before, after)
            for result in (_with_comments(text, written), written):
                if same(yaml.parse(result) or {}, after):
                    return result
    raise yaml.YAMLError("its values cannot be written as YAML")


def tree(value: Any) -> Any:
    """Return a value of which no part is in two places. Raises `RecursionError`."""
    if isinstance(value, dict):
        return {key: tree(inner) for key, inner in value.items()}
    return [tree(inner) for inner in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Say whether two values are one to YAML: 1, 1.0 and true are three."""
    return bool(_form(one) == _form(other))


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_form(inner) for inner in value]
    if isinstance(value, set):  # equal ones may be written in another order
        return {_form(inner) for inner in value}
    return type(value), str(value)  # the text, because .nan is not equal to itself


def _append(text: str, before: Values, after: Values) -> str:
    """Write below what holds no values: the editor sees no comments there."""
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
    """Set what differs; unless ``apart``, not what shows a change made at another place."""
    own = {key for key, _ in document.non_merged_items()}
    for key in [key for key in before if key not in after]:
        document.pop(key, None)
    for key, value in after.items():
        if key not in before:
            document[key] = value
        elif not same(before[key], value) and (apart or (key in own and document[key] != value)):
            part = document[key] if key in own else copy.deepcopy(document[key])
            document[key] = _edited(part, before[key], value, apart)
            if value in EMPTY:  # else its comments would stand between the key and the value
                document.ca.items.pop(key, None)


def _edited(part: Any, before: Any, after: Any, apart: bool) -> Any:
    """Return what stands for ``after``: the part itself, so that its own comments stay.

    ``apart`` takes it out of what other places share with it.
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
    """Return ``new`` with the lines of comment that only ``old`` has, where they stood."""
    was, now = old.split("\n"), new.split("\n")
    lost = _comments(was) - _comments(now)
    found: list[str] = []
    # Without the room that the editor sets otherwise: before an entry, before a comment.
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
    """Return those of ``lines`` that are lost, which they are no longer then."""
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
