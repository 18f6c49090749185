"""The seal: what was written is read as it was, or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.snapshots.manifest import Entry, Manifest

ENTRY = Entry("config/a", "config", "/opt/tljh/a", 3, "ab" * 32, 0o600, 0, 0, 1)
SEAL = Manifest(
    id="20260115T220000Z",
    created="2026-01-15T22:00:00Z",
    hub="/opt/tljh",
    host="hub",
    tool="1",
    versions={"tljh": None},
    labels={"TLJH": "2.0.0"},
    components={"config": {}},
    files=(ENTRY, replace(ENTRY, path="config/b", size=4, origin=None)),
    notes_sha256="cd" * 32,
)


def test_what_was_written_is_read_as_it_was() -> None:
    assert manifest.read(SEAL.to_bytes(), SEAL.id) == SEAL


def test_sizes_and_components_are_told() -> None:
    assert SEAL.size == 7
    assert [entry.path for entry in SEAL.of("config")] == ["config/a", "config/b"]
    assert SEAL.of("database") == []


def test_a_newer_format_names_the_way_out() -> None:
    newer = replace(SEAL, format=manifest.FORMAT + 1)
    with pytest.raises(SnapshotDamaged, match=r"has format 3") as told:
        manifest.read(newer.to_bytes(), SEAL.id)
    assert "RESTORE.md" in told.value.hint


def test_a_manifest_of_the_first_format_is_read() -> None:
    old = replace(SEAL, format=1)
    assert b"sequence" not in old.to_bytes()
    assert manifest.read(old.to_bytes(), SEAL.id) == old
    assert manifest.sequence(old.to_bytes()) == 0


FORGED: dict[str, dict[str, Any]] = {
    "absolute path": {"path": "/etc/passwd"},
    "path out of the snapshot": {"path": "config/../../x"},
    "path of another component": {"path": "database/x"},
    "path of the seal": {"path": "manifest.json", "component": "manifest.json"},
    "path of a report": {"path": "reports/x", "component": "reports"},
    "no path": {"path": ""},
    "only dots": {"path": "../x", "component": ".."},
    "zero byte": {"path": "config/a\0b"},
    "the same path again": {"path": "config/b"},
    "relative origin": {"origin": "etc/passwd"},
    "origin with dots": {"origin": "/opt/tljh/../../etc/passwd"},
    "origin with two slashes": {"origin": "//etc/passwd"},
    "the root as origin": {"origin": "/"},
    "origin with a zero byte": {"origin": "/opt/tljh/a\0b"},
    "negative size": {"size": -1},
    "no size": {"size": True},
    "size as text": {"size": "3"},
    "another digest": {"sha256": "x" * 64},
    "set-user-id": {"mode": 0o4755},
    "set-group-id": {"mode": 0o2755},
    "a device": {"mode": 0o20600},
    "no user": {"uid": -1},
    "an id that means none": {"gid": (1 << 32) - 1},
    "time as text": {"mtime_ns": "now"},
    "time beyond all": {"mtime_ns": 1 << 70},
}


@pytest.mark.parametrize("name", FORGED)
def test_what_no_snapshot_says_is_refused(name: str) -> None:
    """Somebody has sealed it again: only what it says gives it away."""
    forged = replace(SEAL, files=(replace(ENTRY, **FORGED[name]), SEAL.files[1]))
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        manifest.read(forged.to_bytes(), SEAL.id)


@pytest.mark.parametrize(
    "details",
    [
        {"links": {"etc/x": "/srv/x"}},
        {"links": {"/opt/tljh/../x": "/srv/x"}},
        {"links": {"/opt/tljh/x": ""}},
        {"links": {"/opt/tljh/x": 7}},
        {"folders": {"state": [0o700, 0, 0]}},
        {"folders": {"/opt/tljh/state": [0o170700, 0, 0]}},
        {"folders": {"/opt/tljh/state": [0o700, -1, 0]}},
        {"folders": {"/opt/tljh/state": [0o700]}},
        {"folders": []},
        [],
    ],
)
def test_links_and_folders_that_no_snapshot_has_are_refused(details: Any) -> None:
    forged = replace(SEAL, components={"config": details})
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        manifest.read(forged.to_bytes(), SEAL.id)


@pytest.mark.parametrize("hub", ["", "opt/tljh", "/opt/../tljh", 7])
def test_a_hub_that_is_nowhere_is_refused(hub: Any) -> None:
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        manifest.read(replace(SEAL, hub=hub).to_bytes(), SEAL.id)


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (replace(SEAL, sequence=7).to_bytes(), 7),
        (replace(SEAL, sequence=7, format=manifest.FORMAT + 1).to_bytes(), 7),
        (b"{", None),
        (b"[]", None),
        (b'{"sequence": "7"}', None),
        (b'{"sequence": true}', None),
    ],
)
def test_the_sequence_is_read_where_it_can_be(data: bytes, number: int | None) -> None:
    assert manifest.sequence(data) == number


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"format": 1}',
        b"\xff\xfe",
        b"\0" * 100,
        SEAL.to_bytes()[:-1],
        SEAL.to_bytes() + b"\n",
        SEAL.to_bytes().replace(b"  ", b" "),
        SEAL.to_bytes().replace(b'"id"', b'"idea"'),
        SEAL.to_bytes().replace(b"2026-01-15T", b"2026-21-15T"),
    ],
)
def test_what_is_no_manifest_is_damaged(data: bytes) -> None:
    with pytest.raises(SnapshotDamaged):
        manifest.read(data, "20260115T220000Z")


# As names of files are: bytes, of which some are no text.
PATHS = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(path=PATHS)
def test_every_file_has_one_line_whatever_its_name(path: str) -> None:
    data = manifest.sums({path: "ab" * 32, "longer than any": "cd" * 32})
    assert data.count(b"\n") == 2
    assert b"\r" not in data


@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps(text).encode())
)
def test_no_bytes_make_more_of_it_than_a_refusal(data: bytes) -> None:
    with pytest.raises(SnapshotDamaged):
        manifest.read(data, "x")
