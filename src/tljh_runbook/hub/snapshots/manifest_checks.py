"""Checks for the values in a manifest, so that a tampered snapshot is not trusted.

Checksums detect damage, not tampering: anyone who can write to the backup folder can also write
valid checksums. So every value is checked before any of them is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

LARGEST_ID = (1 << 32) - 2  # largest uid or gid; chown takes the next number as "don't change"
LARGEST = (1 << 63) - 1  # largest signed 64-bit integer
FILE_MODE = 0o1777  # no setuid or setgid: no file of a hub needs them
FOLDER_MODE = 0o7777
SHA256 = re.compile(r"[0-9a-f]{64}")


def require_sound(values: dict[str, Any], reserved: frozenset[str]) -> None:
    """Check the parsed ``manifest.json``; no file in it may use a name from ``reserved``.

    Raises `ValueError`, or `KeyError`, `TypeError` or `AttributeError` if a value is missing or has
    the wrong type.
    """
    for wrong in _faults(values, reserved):
        raise ValueError(wrong)


def _faults(values: dict[str, Any], reserved: frozenset[str]) -> Iterator[str]:
    if not _is_place(values["hub"]):
        yield f"its hub {values['hub']!r} is no absolute path"
    seen: set[str] = set()
    for entry in values["files"]:
        yield from _file_faults(entry, reserved)
        if entry["path"] in seen:
            yield f"{entry['path']!r} is in it twice"
        seen.add(entry["path"])
    for name, details in values["components"].items():
        for link, target in details.get("links", {}).items():
            if not (_is_place(link) and _is_text(target)):
                yield f"{name} has a link {link!r} that is no absolute path"
        for folder, (mode, uid, gid) in details.get("folders", {}).items():
            if not (_is_place(folder) and _counts(mode, FOLDER_MODE) and _are_ids(uid, gid)):
                yield f"{name} has a folder {folder!r} with a place, mode or owner that none has"


def _file_faults(entry: dict[str, Any], reserved: frozenset[str]) -> Iterator[str]:
    path, origin = entry["path"], entry["origin"]
    if not _is_inside(path, entry["component"]) or path.partition("/")[0] in reserved:
        yield f"{path!r} lies outside its component"
    if origin is not None and not _is_place(origin):
        yield f"{path!r} came from {origin!r}, which is no absolute path"
    if not (_counts(entry["size"], LARGEST) and _is_digest(entry["sha256"])):
        yield f"{path!r} has no size and SHA-256"
    if not _counts(entry["mode"], FILE_MODE):
        yield f"{path!r} has a mode that no file of a hub has: {entry['mode']!r}"
    if not (_are_ids(entry["uid"], entry["gid"]) and _is_number(entry["mtime_ns"])):
        yield f"{path!r} has no owner, group and time"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _is_place(path: object) -> bool:
    """Return whether ``path`` is absolute and normalized, and is not the root itself."""
    if not (_is_text(path) and isinstance(path, str)):
        return False
    return path.startswith("/") and not path.startswith("//") and _is_plain(path) and path != "/"


def _is_inside(path: object, component: object) -> bool:
    """Return whether ``path`` is relative and inside the folder of its component."""
    if not (_is_text(path) and isinstance(path, str)):
        return False
    first, _, rest = path.partition("/")
    return _is_plain(path) and first == component and bool(rest) and first not in {".", ".."}


def _is_plain(path: str) -> bool:
    return os.path.normpath(path) == path


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and bool(SHA256.fullmatch(value))


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) <= LARGEST


def _counts(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _are_ids(uid: object, gid: object) -> bool:
    return _counts(uid, LARGEST_ID) and _counts(gid, LARGEST_ID)
