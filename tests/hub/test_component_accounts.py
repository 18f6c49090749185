"""Accounts are kept as records, and restored where they are missing, with the real tools."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import as_ordinary_user

from tljh_runbook.errors import AccountConflict, RestoreFailed
from tljh_runbook.hub.accounts import accounts
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.system import services

LONG = "a-student-with-a-very-long-name"
HASH = "$6$salt$hash/of.alice"
NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("useradd"), reason="needs root and useradd"
)

PASSWD = f"""\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1001:1001:Alice, O'Neill $(id):/home/alice:/bin/bash
jupyter-bob:x:1002:1002::/home/jupyter-bob:/bin/sh
later:x:1003:100:Comes next week:/home/later:/bin/bash
{accounts.system_name("jupyter-" + LONG)}:x:1004:1004::/srv/elsewhere:/bin/sh
postgres:x:110:115:PostgreSQL:/var/lib/postgresql:/bin/bash
service:x:1500:1500::/opt/service:/bin/bash
nobody:x:65534:65534:nobody:/home/nobody:/usr/sbin/nologin
"""
SHADOW = f"""\
root:$6$root$of-root-himself:19000:0:99999:7:::
alice:{HASH}:19500:1:365:14:30:21915:
jupyter-bob:!:19501:0:99999:7:::
later::19502:0:99999:7:::
{accounts.system_name("jupyter-" + LONG)}:!$y$j9T$locked$hash:19503:0:99999:7:::
service:$6$service$of-the-service:19503:0:99999:7:::
"""
GROUP = """\
root:x:0:
daemon:x:1:
users:x:100:
docker:x:998:alice,service
staff:x:50:service
alice:x:1001:
jupyter-bob:x:1002:
long:x:1004:
course:x:1600:alice,jupyter-bob,service
empty:x:1601:
jupyterhub-admins:x:1602:alice
nogroup:x:65534:
"""
BARE_PASSWD = "root:x:0:0:root:/root:/bin/bash\n"  # noqa: S105
BARE_GROUP = "root:x:0:\nusers:x:100:\ndocker:x:997:\n"


def write_etc(root: Path, passwd: str, shadow: str, group: str) -> None:
    etc = root / "etc"
    hub_folder.keep(etc / "passwd", passwd, 0o644)
    hub_folder.keep(etc / "shadow", shadow, 0o600)
    hub_folder.keep(etc / "group", group, 0o644)
    hub_folder.keep(etc / "gshadow", "", 0o600)
    hub_folder.keep(etc / "subuid", "alice:100000:65536\nalice:300000:10\n", 0o644)
    hub_folder.keep(etc / "subgid", "alice:100000:65536\n", 0o644)


@pytest.fixture
def server(source: Source) -> Source:
    """A hub in a folder with accounts of its own."""
    write_etc(source.hub.root, PASSWD, SHADOW, GROUP)
    hub_folder.change(
        source.hub.state / "jupyterhub.sqlite",
        "INSERT INTO users (id, name, admin, cookie_id)"
        " VALUES (9, ?, 0, 'c9'), (10, 'root', 1, 'd')",
        (LONG,),
    )
    return source


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["accounts"]))


def records(kept: Snapshot) -> dict[str, dict[str, dict[str, object]]]:
    data = json.loads((kept.path / "accounts/accounts.json").read_text())
    return {kind: {each["name"]: each for each in data[kind]} for kind in data}


def reinstall(source: Source, passwd: str = BARE_PASSWD, group: str = BARE_GROUP) -> None:
    """Put a server in its place that knows nobody."""
    write_etc(source.hub.root, passwd, "root:*:1::::::\n", group)
    for name in ("subuid", "subgid"):
        (source.hub.root / "etc" / name).write_text("")


def planned(source: Source, kept: Snapshot, said: list[str] | None = None) -> list[Action]:
    (component,) = components.chosen(["accounts"])
    notes = said if said is not None else []
    return list(component.restore(Restoration(source, kept, lambda _: None, notes=notes)))


def carry_out(source: Source, kept: Snapshot) -> None:
    for action in planned(source, kept):
        action.prepare()
        action.carry_out()


def lines(source: Source, name: str) -> dict[str, str]:
    text = (source.hub.root / "etc" / name).read_text()
    return {line.split(":")[0]: line for line in text.splitlines()}


def test_hub_users_and_those_who_live_there_are_kept(server: Source) -> None:
    kept = backup(server)
    long = accounts.system_name("jupyter-" + LONG)
    assert set(records(kept)["users"]) == {"alice", "jupyter-bob", "later", long}
    assert len(long) == 32
    details = kept.manifest.components["accounts"]
    assert (details["accounts"], details["skipped"]) == (4, 0)
    assert details["without_account"] == 2  # carol, and the one who calls himself root
    assert "note" not in details


def test_groups_are_kept_with_members_that_are_kept(server: Source) -> None:
    found = records(backup(server))["groups"]
    assert set(found) == {
        *("users", "docker", "alice", "jupyter-bob", "long", "course", "empty"),
        "jupyterhub-admins",
    }
    assert found["course"]["members"] == ["alice", "jupyter-bob"]
    assert found["docker"]["members"] == ["alice"]


def test_hashes_are_in_one_private_file_and_only_of_the_hubs_users(server: Source) -> None:
    kept = backup(server)
    secrets = kept.path / "accounts/passwords"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert dict(line.split(":") for line in secrets.read_text().splitlines()) == {
        "alice": HASH,
        "jupyter-bob": "!",
        accounts.system_name("jupyter-" + LONG): "!$y$j9T$locked$hash",
    }
    for path in kept.path.rglob("*"):
        if path.is_file() and path != secrets:
            data = path.read_bytes()
            assert b"$6$" not in data, path
            assert b"$y$" not in data, path


def test_a_server_without_accounts_keeps_none_and_says_so(source: Source) -> None:
    kept = backup(source)
    details = kept.manifest.components["accounts"]
    assert (details["accounts"], details["groups"]) == (0, 0)
    assert "no passwd" in details["why"]
    assert "note" not in details
    assert kept.manifest.files == ()
    assert planned(source, kept) == []
    assert "no accounts" in (kept.path / "RESTORE.md").read_text()


def test_who_may_not_read_passwords_keeps_the_rest_with_a_note(server: Source) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "server"
        shutil.copytree(server.hub.root, root)
        configuration = root / "etc/supervisor/supervisord.conf"
        text = configuration.read_text().replace(str(server.hub.root), str(root))
        configuration.write_text(text)
        for path in [root, *root.rglob("*")] if os.geteuid() == 0 else []:
            os.chown(path, 65534, 65534)
        shadow = root / "etc/shadow"
        shadow.chmod(0)
        if os.geteuid() == 0:
            os.chown(shadow, 0, 0)
        hub = Hub(root / "opt/tljh")
        found = settings.load(hub)
        theirs = Source(hub, found, services.of(hub, found))
        told = as_ordinary_user(lambda: json.dumps(backup(theirs).manifest.components["accounts"]))
    assert told.startswith("{"), told
    details = json.loads(told)
    assert details["accounts"] == 4
    assert "without their passwords" in details["note"]
    assert "sudo" in details["note"]


ODD = [
    "+@students::::::",
    "+",
    "-evil:x:1700:1700::/home/evil:/bin/sh",
    "--root=/x:x:1701:1701::/home/evil:/bin/sh",
    "a b:x:1702:1702::/home/a b:/bin/sh",
    "a$(id):x:1703:1703::/home/a:/bin/sh",
    "a'b:x:1704:1704::/home/a:/bin/sh",
    "short:x:1706",
    "negative:x:-5:5::/home/x:/bin/sh",
    "text:x:abc:5::/home/x:/bin/sh",
    "huge:x:4294967295:5::/home/x:/bin/sh",
    "relative:x:1707:5::home/x:/bin/sh",
    "control:x:1708:5::/home/\x1b[2J:/bin/sh",
    "alice:x:0:0::/home/alice:/bin/bash",
    ":x:1710:5::/home/x:/bin/sh",
]


def test_what_cannot_be_understood_is_left_out_and_counted(server: Source) -> None:
    write_etc(server.hub.root, PASSWD + "\n# note\n" + "\n".join(ODD) + "\n", SHADOW, GROUP)
    kept = backup(server)
    assert len(records(kept)["users"]) == 4
    assert records(kept)["users"]["alice"]["uid"] == 1001
    assert kept.manifest.components["accounts"]["skipped"] == len(ODD)


def test_what_is_left_out_is_named(server: Source) -> None:
    write_etc(server.hub.root, PASSWD + "\n" + "\n".join(ODD) + "\n", SHADOW, GROUP)
    database = server.hub.state / "jupyterhub.sqlite"
    add = "INSERT INTO users (name, cookie_id) VALUES (?, ?)"
    for name in ("nowhere", "daemon"):
        hub_folder.change(database, add, (name, name))
    kept = backup(server)
    named = " ".join(kept.left_out)
    assert "'-evil'" in named
    assert kept.left_out["user 'nowhere'"] == "it has no account in /etc/passwd"
    assert kept.left_out["user 'daemon'"] == "an account of the system"


UNUSUAL = ("müller", "DOM\\user", "a+b", "12345", "jupyter-x.y@example.org")


@NEEDS_ROOT
def test_unusual_names_are_kept_and_come_back(server: Source) -> None:
    records_ = [f"{name}:x:{2000 + n}:1001::/home/{n}:/bin/sh" for n, name in enumerate(UNUSUAL)]
    hashes = [f"{name}:$6$salt$hash{n:08}:19000:0:99999:7:::" for n, name in enumerate(UNUSUAL)]
    write_etc(
        server.hub.root,
        PASSWD + "\n".join(records_) + "\n",
        SHADOW + "\n".join(hashes) + "\n",
        GROUP,
    )
    kept = backup(server)
    assert set(UNUSUAL) <= set(records(kept)["users"])
    assert not any("record" in what for what in kept.left_out)
    before = {file: lines(server, file) for file in ("passwd", "shadow")}
    reinstall(server)
    done = by_hand(server, kept)
    assert done.returncode == 0, done.stderr
    again = {file: lines(server, file) for file in ("passwd", "shadow")}
    assert {name: again["passwd"][name] for name in UNUSUAL} == {
        name: before["passwd"][name] for name in UNUSUAL
    }
    reinstall(server)
    carry_out(server, kept)
    for file, kept_lines in before.items():
        now = lines(server, file)
        assert {name: now[name] for name in UNUSUAL} == {name: kept_lines[name] for name in UNUSUAL}


def test_a_link_in_the_place_of_a_file_is_not_followed(server: Source, tmp_path: Path) -> None:
    shadow = server.hub.root / "etc/shadow"
    shadow.rename(tmp_path / "shadow")
    shadow.symlink_to(tmp_path / "shadow")
    with pytest.raises(Exception, match="shadow"):
        backup(server)


@NEEDS_ROOT
def test_everything_comes_back_on_a_new_server(server: Source) -> None:
    kept = backup(server)
    before = {name: lines(server, name) for name in ("passwd", "shadow", "group")}
    reinstall(server)
    carry_out(server, kept)
    for name in records(kept)["users"]:
        assert lines(server, "passwd")[name] == before["passwd"][name]
        wanted = before["shadow"][name].replace("later::", "later:!:")
        assert lines(server, "shadow")[name] == wanted
    assert lines(server, "group")["course"] == "course:x:1600:alice,jupyter-bob"
    assert lines(server, "group")["empty"] == before["group"]["empty"]
    assert lines(server, "group")["docker"] == "docker:x:997:alice"
    assert "service" not in lines(server, "passwd")
    ranges = sorted((server.hub.root / "etc/subuid").read_text().splitlines())
    assert ranges == ["alice:100000:65536", "alice:300000:10"]
    assert (server.hub.root / "etc/subgid").read_text() == "alice:100000:65536\n"
    assert planned(server, kept) == []


@NEEDS_ROOT
def test_what_is_there_is_left_as_it_is(server: Source) -> None:
    kept = backup(server)
    assert planned(server, kept) == []
    shadow = server.hub.root / "etc/shadow"
    shadow.write_text(shadow.read_text().replace(HASH, "$6$new$password.of.alice"))
    with (server.hub.root / "etc/passwd").open("a") as file:
        file.write("newer:x:1800:100::/home/newer:/bin/sh\n")
    group = server.hub.root / "etc/group"
    group.write_text(group.read_text().replace("course:x:1600:alice,", "course:x:1600:later,"))
    (action,) = planned(server, kept)
    assert (action.what, action.before) == ("groups of alice", "not in course")
    action.carry_out()
    assert lines(server, "group")["course"] == "course:x:1600:later,jupyter-bob,service,alice"
    assert "$6$new$password.of.alice" in lines(server, "shadow")["alice"]
    assert "newer" in lines(server, "passwd")


@NEEDS_ROOT
def test_an_account_whose_password_was_not_reached_gets_it(server: Source) -> None:
    kept = backup(server)
    shadow = server.hub.root / "etc/shadow"
    shadow.write_text(shadow.read_text().replace(f"alice:{HASH}:", "alice:!:"))
    (action,) = planned(server, kept)
    assert action.what == "password of alice"
    action.carry_out()
    assert lines(server, "shadow")["alice"] == SHADOW.splitlines()[1]


@NEEDS_ROOT
def test_no_hash_is_in_a_command_line(server: Source) -> None:
    kept = backup(server)
    reinstall(server)
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for child in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(child.read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        carry_out(server, kept)
    finally:
        over.set()
        looking.join()
    assert not [line for line in seen if HASH.encode() in line]


@pytest.mark.parametrize(
    ("passwd", "group", "said"),
    [
        ("alice:x:1099:100::/home/alice:/bin/sh\n", "", "alice has the number 1099 and had 1001"),
        ("mallory:x:1001:100::/:/bin/sh\n", "", "the number 1001 of alice belongs to mallory"),
        ("", "course:x:1699:\n", "the group course has the number 1699 and had 1600"),
        ("", "other:x:1600:\n", "the number 1600 of the group course belongs to other"),
    ],
)
def test_a_conflict_is_named_before_anything_is_changed(
    server: Source, passwd: str, group: str, said: str
) -> None:
    kept = backup(server)
    reinstall(server, BARE_PASSWD + passwd, BARE_GROUP + group)
    before = hub_folder.contents(server.hub.root / "etc")
    with pytest.raises(AccountConflict, match=said):
        planned(server, kept)
    assert hub_folder.contents(server.hub.root / "etc") == before


def test_all_conflicts_are_named_at_once(server: Source) -> None:
    kept = backup(server)
    others = "alice:x:1099:100::/:/bin/sh\nx:x:1002:100::/:/bin/sh\n"
    reinstall(server, BARE_PASSWD + others, BARE_GROUP + "course:x:1699:\n")
    with pytest.raises(AccountConflict) as told:
        planned(server, kept)
    for name in ("alice", "jupyter-bob", "course"):
        assert name in told.value.message


@NEEDS_ROOT
def test_the_group_of_a_package_is_not_made(server: Source) -> None:
    kept = backup(server)
    reinstall(server, group="root:x:0:\nusers:x:100:\n")
    said: list[str] = []
    for action in planned(server, kept, said):
        action.carry_out()
    assert "docker" not in lines(server, "group")
    assert said == ["alice was in the group docker, which no package made yet."]


@NEEDS_ROOT
def test_a_tool_that_fails_says_why_in_one_line(server: Source) -> None:
    kept = backup(server)
    reinstall(server)
    todo = [each for each in planned(server, kept) if each.what == "account alice"]
    with pytest.raises(RestoreFailed, match=r"useradd did not do its work.*1001") as told:
        todo[0].carry_out()  # before its group is made
    assert "\n" not in told.value.message
    assert HASH not in told.value.message


def by_hand(source: Source, kept: Snapshot) -> subprocess.CompletedProcess[str]:
    (component,) = components.chosen(["accounts"])
    typed = "\n".join(component.by_hand(kept.manifest))
    return subprocess.run(
        ["bash", "-ec", typed], cwd=kept.path, capture_output=True, text=True, check=False
    )


@NEEDS_ROOT
def test_the_notes_do_the_same_as_typed(server: Source) -> None:
    kept = backup(server)
    reinstall(server)
    carry_out(server, kept)
    restored = hub_folder.contents(server.hub.root / "etc")
    reinstall(server)
    for _ in range(2):  # a second time changes nothing
        done = by_hand(server, kept)
        assert done.returncode == 0, done.stderr
        found = hub_folder.contents(server.hub.root / "etc")
        for name in ("passwd", "shadow", "group", "subuid", "subgid"):
            assert sorted(found[name][3].splitlines()) == sorted(restored[name][3].splitlines())
    assert planned(server, kept) == []


@NEEDS_ROOT
def test_the_notes_stop_before_a_conflict(server: Source) -> None:
    kept = backup(server)
    reinstall(server, BARE_PASSWD + "alice:x:1099:100::/home/alice:/bin/sh\n")
    before = hub_folder.contents(server.hub.root / "etc")
    done = by_hand(server, kept)
    assert done.returncode == 1
    assert "alice is there already, with another number than 1001" in done.stderr
    assert hub_folder.contents(server.hub.root / "etc") == before
