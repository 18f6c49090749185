"""Quotas are read from what repquota prints, and restored as setquota takes them."""

from __future__ import annotations

from pathlib import Path

from tljh_runbook.hub.accounts import quotas
from tljh_runbook.hub.accounts.quotas import Quota

# As repquota 4.06 prints it.
REPORT = """\
*** Report for user quotas on device /dev/sda2
Block grace time: 7days; Inode grace time: 7days
                        Block limits                File limits
User            used    soft    hard  grace    used  soft  hard  grace
----------------------------------------------------------------------
#0        --      20       0       0      0       2     0     0      0
#1001     +-    3000    1000    2000 1795373654      10   100   200      0
#1002     --       0       0       0      0       0     0     0      0
#1003     --       4       5       6      0       1     0     0      0


*** Report for user quotas on device /dev/sdb1
Block grace time: 7days; Inode grace time: 7days
                        Block limits                File limits
User            used    soft    hard  grace    used  soft  hard  grace
----------------------------------------------------------------------
#1001     --       0       7       8      0       0     0     0      0
"""
MOUNTS = "/dev/sda2 /home ext4 rw,usrquota 0 0\n/dev/sda2 /mnt/again ext4 rw 0 0\n"
NAMES = {1001: "alice", 1002: "bob", 0: "root"}


def test_limits_that_are_set_are_read_with_their_mount_point() -> None:
    assert quotas.read(REPORT, MOUNTS, NAMES) == [Quota("alice", "/home", (1000, 2000, 100, 200))]


def test_each_file_system_has_its_own() -> None:
    found = quotas.read(REPORT, f"{MOUNTS}/dev/sdb1 /srv/data ext4 rw 0 0\n", NAMES)
    assert [each.mount for each in found] == ["/home", "/srv/data"]


def test_what_is_no_report_tells_nothing() -> None:
    for text in ("", "repquota: nothing\n", "#1001 -- 1 2 3 0 4 5 6 0\n"):
        assert quotas.read(text, MOUNTS, NAMES) == []


def test_they_are_set_again_by_one_command() -> None:
    (found,) = quotas.read(REPORT, MOUNTS, NAMES)
    assert found.command() == ["setquota", "-u", "alice", "1000", "2000", "100", "200", "/home"]
    assert Quota.from_json({**vars(found), "limits": list(found.limits)}) == found


def test_a_folder_that_stands_for_a_server_has_none(tmp_path: Path) -> None:
    assert quotas.of([], tmp_path) == []
    assert quotas.of([], Path("/")) == []  # nobody asked for
