"""Users' files come back as they were, whatever users did to them, from wherever they are kept."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import Cli
from restic_servers import SECRET, needs, rest, sftp, using

from tljh_runbook.errors import RepositoryForeign, SettingsInvalid, SnapshotMissing
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import manifest, snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.user_data import fetch, homes, replicas, user_files
from tljh_runbook.hub.user_data.restic import password, repository, restic, tree

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights of root")


pytestmark = pytest.mark.usefixtures("repository_there")


@pytest.fixture(autouse=True)
def _restic_is_installed() -> None:
    needs("restic")


def backup(source: Source, *names: str) -> Snapshot:
    return capture.create(source, components.chosen(names or ("user-data",)))


def kept(made: Snapshot) -> dict[str, Any]:
    return made.manifest.components["user-data"]


def home(source: Source, user: str = "alice") -> Path:
    return Path(source.settings.homes) / user


def by_plain_restic(source: Source, made: Snapshot, target: Path) -> Path:
    """Restore with restic alone; return where the folder of the homes is now."""
    place = ["--repo", kept(made)["repository"], "--password-file", kept(made)["password_file"]]
    command = ["restic", *place, "restore", kept(made)["snapshot"], "--target", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target / str(source.settings.homes).lstrip("/")


# What is kept


def test_the_manifest_says_what_is_kept_and_where(source: Source) -> None:
    made = backup(source)
    found = kept(made)
    assert found["kept"] is True
    assert found["repository"] == source.settings.user_data.repository
    assert found["name"] == f"{socket.gethostname()}:{source.hub.prefix}"
    assert found["paths"] == [source.settings.homes]
    assert found["homes"] == {user: str(home(source, user)) for user in hub_folder.PEOPLE}
    assert (found["homeless"], found["files"], "note" in found) == ([], 6, False)
    assert re.fullmatch(r"[0-9a-f]{64}", found["snapshot"])
    assert made.manifest.of("user-data") == []
    again = kept(backup(source))
    assert again["files"] == 6
    assert again["added"] < found["added"]


def test_all_is_told_as_tags_and_as_the_hubs_name(source: Source) -> None:
    made = backup(using(source, name="old hub"))
    opened = repository.opened(using(source, name="old hub"))
    found = {tuple(each["tags"]): each for each in repository.snapshots(opened)}
    name = f"id={made.path.name}"
    copied = ("tljh-runbook", "snapshot", name, "sequence=1")
    assert set(found) == {("tljh-runbook", "user-data", name), copied}
    assert {each["hostname"] for each in found.values()} == {"old hub"}
    assert found["tljh-runbook", "user-data", name]["id"] == kept(made)["snapshot"]


def test_what_programs_make_again_is_left_out(source: Source, tmp_path: Path) -> None:
    for name in (".cache/pip/x", "deep/.cache/y", "a/__pycache__/z", "$HOME/kept", "mine.tmp"):
        hub_folder.keep(home(source) / name, "", 0o644)
    hub_folder.keep(Path(source.settings.homes) / ".tljh-runbook-staged/alice/x", "", 0o644)
    there = using(source, exclude=(*source.settings.user_data.exclude, "*.tmp"))
    back = by_plain_restic(there, backup(there), tmp_path / "back")
    found = {str(path.relative_to(back / "alice")) for path in (back / "alice").rglob("*")}
    assert {"lesson.ipynb", "$HOME/kept"} <= found
    assert not any(re.search(r"cache|tmp|staged", name) for name in found)
    assert {path.name for path in back.iterdir()} == set(hub_folder.PEOPLE)


def test_the_repository_is_not_kept_in_itself(source: Source, tmp_path: Path) -> None:
    inside = home(source, "carol")
    there = using(source, repository=str(inside / "[kept]"), also=(str(source.hub.root),))
    backup(there)
    back = by_plain_restic(there, backup(there), tmp_path / "back")
    assert (back / "carol/lesson.ipynb").exists()
    root = back.parent
    for folder in (back / "carol/[kept]", root / "var/backups/tljh", root / "var/lib/tljh-runbook"):
        assert not folder.exists()


def test_more_folders_are_kept_and_missing_ones_told(source: Source, tmp_path: Path) -> None:
    data = source.hub.root / "srv/data"
    hub_folder.keep(data / "set.csv", "1", 0o644)
    there = using(source, also=(str(data), str(home(source)), "/nowhere"))
    made = backup(there)
    assert kept(made)["paths"] == sorted([source.settings.homes, str(data)])
    assert "/nowhere" in kept(made)["note"]


# Hostile users


def hostile(source: Source) -> Path:
    """Fill a home with all that a user can make; return a secret outside that must stay there."""
    outside = source.hub.root / "etc/shadow"
    hub_folder.keep(outside, "the-secret-of-root", 0o600)
    mine = home(source)
    (mine / "steal").symlink_to(outside)
    (mine / "steal-all").symlink_to(outside.parent)
    os.mkfifo(mine / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(mine)
        made.bind("socket")
        os.chdir(here)
    for name in (b"line\nbreak", b"bad\xff\xfe", b"\x1b[2Jclear", b"-rf", b"[*]?\\"):
        (mine / os.fsdecode(name)).write_bytes(name)
    (mine / "one").write_text("linked")
    os.link(mine / "one", mine / "two")
    with (mine / "sparse").open("wb") as file:
        file.truncate(256 << 20)
    hub_folder.keep(mine / "deep" / Path(*["d"] * 200) / "end", "", 0o644)
    return outside


def test_what_users_make_is_kept_without_following_it(source: Source, tmp_path: Path) -> None:
    outside = hostile(source)
    made = backup(source)
    assert "note" not in kept(made)
    back = by_plain_restic(source, made, tmp_path / "back") / "alice"
    assert (back / "steal").readlink() == outside
    assert (back / "steal-all").is_symlink()
    assert stat.S_ISFIFO((back / "pipe").lstat().st_mode)
    for name in (b"line\nbreak", b"bad\xff\xfe", b"\x1b[2Jclear", b"-rf", b"[*]?\\"):
        assert (back / os.fsdecode(name)).read_bytes() == name
    assert (back / "one").stat().st_ino == (back / "two").stat().st_ino
    assert (back / "sparse").stat().st_size == 256 << 20
    assert (back / "deep" / Path(*["d"] * 200) / "end").exists()
    grep = ["grep", "-r", "-D", "skip", "-l", "the-secret-of-root", str(tmp_path / "back")]
    assert subprocess.run(grep, check=False, capture_output=True).stdout == b""


@ROOT_ONLY
def test_owners_modes_times_and_attributes_come_back(source: Source, tmp_path: Path) -> None:
    needs("setfacl", "setfattr")
    mine = home(source)
    os.mknod(mine / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    file = mine / "lesson.ipynb"
    os.chown(file, 54321, 12345)
    file.chmod(0o2640)
    os.utime(file, ns=(10**18, 10**18 + 123456789))
    subprocess.run(["setfattr", "-n", "user.course", "-v", "statistics", file], check=True)
    subprocess.run(["setfacl", "-m", "u:4242:rw", file], check=True)
    os.utime(mine / "project", ns=(10**18, 10**18))
    back = by_plain_restic(source, backup(source), tmp_path / "back") / "alice"
    status = (back / "lesson.ipynb").stat()
    assert (status.st_uid, status.st_gid) == (54321, 12345)
    assert stat.S_IMODE(status.st_mode) == stat.S_IMODE(file.stat().st_mode)
    assert status.st_mtime_ns == 10**18 + 123456789
    assert (back / "project").stat().st_mtime_ns == 10**18
    assert os.getxattr(back / "lesson.ipynb", "user.course") == b"statistics"
    lists = [
        subprocess.run(["getfacl", "-cn", path], check=True, capture_output=True).stdout
        for path in (file, back / "lesson.ipynb")
    ]
    assert lists[0] == lists[1]
    assert b"user:4242:rw" in lists[0]
    assert (back / "null").lstat().st_rdev == os.makedev(1, 3)


@ROOT_ONLY
def test_what_cannot_be_read_is_named_and_the_rest_is_kept(source: Source) -> None:
    """Root can read all but a user's own mount or a bad disk: an ordinary user stands in."""
    bad = home(source) / "\x1b[31mred"
    bad.mkdir()
    hub_folder.keep(bad / "x", "", 0o644)
    for path in (source.hub.root, *source.hub.root.rglob("*")):
        os.lchown(path, 65534, 65534)
    os.chown(bad, 0, 0)
    bad.chmod(0o700)
    for folder in source.hub.root.parents[:4]:
        folder.chmod(0o755)
    command = [sys.executable, "-m", "tljh_runbook", "backup", "user-data"]
    command += ["--hub", str(source.hub.prefix)]
    ordinary = ["setpriv", "--reuid", "65534", "--clear-groups", *command]
    done = subprocess.run(ordinary, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "1 files could not be read" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    (path,) = snapshot.listed(source.backups)
    assert kept(snapshot.read(path))["files"] == 6


def test_a_file_that_vanishes_meanwhile_is_nothing_to_tell() -> None:
    assert user_files.gone({"Op": "open", "Path": "x", "Err": 2})
    assert user_files.gone({"message": "open /x: no such file or directory"})
    assert not user_files.gone({"Op": "open", "Path": "x", "Err": 13})


# Where homes are


def account(home_: str, uid: int = 1001) -> Callable[[str], pwd.struct_passwd]:
    def find(name: str) -> pwd.struct_passwd:
        if name != "bob":
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", uid, uid, "", home_, "/bin/sh"))

    return find


@pytest.fixture
def on_root(source: Source, tmp_path: Path) -> Source:
    """The same hub at another prefix, so that its server's root is ``/``."""
    moved = tmp_path / "elsewhere"
    source.hub.prefix.rename(moved)
    source.hub.prefix.symlink_to(moved)  # where its services are said to work
    return Source(Hub(moved), source.settings, source.services)


def test_a_home_that_lies_elsewhere_is_kept_too(on_root: Source, tmp_path: Path) -> None:
    (tmp_path / "data/bob").mkdir(parents=True)
    found = homes.find(on_root, account(str(tmp_path / "data/bob")))
    assert found.of["bob"] == str(tmp_path / "data/bob")
    assert set(map(str, found.paths)) == {on_root.settings.homes, str(tmp_path / "data/bob")}


@pytest.mark.parametrize(
    ("place", "uid"),
    [
        ("/", 1001),
        ("/etc", 1001),
        ("/usr/lib", 1001),
        ("/tmp", 1001),
        ("{elsewhere}", 1001),
        ("{elsewhere}/..", 1001),
        ("/nowhere", 1001),
        ("", 1001),
        ("{data}", 0),
        ("{data}", 65534),
    ],
)
def test_a_folder_of_the_system_is_nobodys_home(
    on_root: Source, tmp_path: Path, place: str, uid: int
) -> None:
    (tmp_path / "data").mkdir()
    shutil.rmtree(home(on_root, "bob"))
    named = place.format(elsewhere=tmp_path / "elsewhere", data=tmp_path / "data")
    found = homes.find(on_root, account(named, uid))
    assert found.homeless == ("bob",)
    assert list(map(str, found.paths)) == [on_root.settings.homes]


def test_on_a_sandbox_the_accounts_of_this_machine_do_not_count(
    source: Source, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    assert homes.find(source, account(str(tmp_path / "data"))).of["bob"] == str(home(source, "bob"))


def test_a_home_that_holds_other_homes_is_a_mistake(on_root: Source, tmp_path: Path) -> None:
    shutil.rmtree(home(on_root, "bob"))
    (tmp_path / "data/alice").mkdir(parents=True)
    shutil.rmtree(home(on_root, "alice"))
    home(on_root, "alice").symlink_to(tmp_path / "data/alice")
    found = homes.find(on_root, account(str(tmp_path / "data")))
    assert found.homeless == ("bob",)
    assert found.of["alice"] == str(tmp_path / "data/alice")
    assert tmp_path / "data/alice" in found.paths


@pytest.mark.parametrize(
    "name", ["../../etc", "..", ".", "", "a/b", "é" * 300, "x" * 5000, "nul\0", "\n"]
)
def test_no_name_leads_out_of_the_homes(source: Source, name: str) -> None:
    insert = "INSERT INTO users (id, name, admin, cookie_id) VALUES (9, ?, 0, 'c9')"
    hub_folder.change(source.hub.state / "jupyterhub.sqlite", insert, (name,))
    found = homes.find(source)
    assert found.homeless == (name,)
    assert list(map(str, found.paths)) == [source.settings.homes]


@pytest.mark.parametrize(
    ("user", "account_"),
    [
        ("alice", "jupyter-alice"),
        ("a" * 17, "jupyter-" + "a" * 17),
        # As tljh.normalize.generate_system_username says it.
        ("a" * 18, "jupyter-" + "a" * 18 + "-3f1e4"),
    ],
)
def test_accounts_are_named_as_tljh_names_them(source: Source, user: str, account_: str) -> None:
    assert homes.account_name(user) == account_


def test_the_home_that_tljh_made_comes_first(source: Source) -> None:
    (Path(source.settings.homes) / "jupyter-alice").mkdir()
    assert homes.find(source).of["alice"].endswith("/jupyter-alice")


def test_the_folder_of_the_homes_may_be_a_link(source: Source, tmp_path: Path) -> None:
    moved = source.hub.root / "data"
    Path(source.settings.homes).rename(moved)
    Path(source.settings.homes).symlink_to(moved)
    made = backup(source)
    assert kept(made)["paths"] == [str(moved)]
    assert kept(made)["files"] == 6


def test_without_homes_there_is_nothing_to_keep(source: Source) -> None:
    shutil.rmtree(source.settings.homes)
    with pytest.raises(SettingsInvalid, match="no folder"):
        backup(source)
    assert "no folder" in kept(backup(source, "user-data", "config"))["note"]


def test_a_broken_database_does_not_keep_files_from_being_kept(source: Source) -> None:
    (source.hub.state / "jupyterhub.sqlite").write_bytes(b"no database at all" * 100)
    made = backup(source)
    assert kept(made)["files"] == 6
    assert "database" in kept(made)["note"]


# Snapshots that ride along


def test_a_snapshot_comes_back_on_a_new_server(source: Source) -> None:
    made = backup(source, "user-data", "config", "database")
    before = hub_folder.contents(made.path)
    shutil.rmtree(source.backups)
    shutil.rmtree(source.hub.work)
    (riding,) = fetch.available(source)
    assert riding.name == made.path.name
    back = fetch.bring(source, made.path.name)
    assert hub_folder.contents(back.path) == before
    assert [path.name for path in source.backups.iterdir()] == [made.path.name]
    assert fetch.bring(source).path == back.path


def test_on_a_server_with_another_name_it_is_asked_for(source: Source) -> None:
    made = backup(using(source, name="old"))
    shutil.rmtree(source.hub.work)
    with pytest.raises(RepositoryForeign, match="old"):
        fetch.available(source)
    assert [each.name for each in fetch.available(using(source, name="old"))] == [made.path.name]


def test_what_does_not_ride_cannot_be_fetched(source: Source) -> None:
    repository.opened(source, make=True)
    with pytest.raises(SnapshotMissing, match="No snapshot"):
        fetch.bring(source)
    backup(source)
    with pytest.raises(SnapshotMissing, match="no snapshot '20200101T000000Z'"):
        fetch.bring(source, "20200101T000000Z")


def test_a_snapshot_without_user_data_does_not_ride(source: Source) -> None:
    repository.opened(source, make=True)
    backup(source, "config")
    assert fetch.available(source) == []


def test_a_copy_that_fails_is_told_and_the_snapshot_stays(source: Source) -> None:
    made = backup(source)
    Path(source.settings.user_data.password_file).write_text("another\n")
    told = replicas.ride(source, made)
    assert told.path == made.path
    assert "no copy of it was kept elsewhere" in told.note
    assert "does not open" in told.note
    assert snapshot.verify(made.path)


# Elsewhere


def test_over_sftp(source: Source, tmp_path: Path) -> None:
    with sftp(source, tmp_path / "there") as there:
        made = backup(there)
        assert kept(made)["kept"], kept(made)
        assert re.fullmatch(r"[0-9a-f]{64}", kept(made)["snapshot"])
        assert backup(there).note == ""
        shutil.rmtree(there.backups)
        assert len(fetch.available(there)) == 2
        assert fetch.bring(there, made.path.name).path.name == made.path.name
        repository.check(repository.opened(there), "100%")


def test_over_sftp_a_password_is_never_made_for_what_is_there(
    source: Source, tmp_path: Path
) -> None:
    with sftp(source, tmp_path / "there") as there:
        backup(there)
        Path(there.settings.user_data.password_file).unlink()
        shutil.rmtree(there.hub.work)
        note = kept(backup(there, "user-data", "config"))["note"]
        assert "no password file" in note
        assert not Path(there.settings.user_data.password_file).exists()


def test_a_server_that_is_not_known_is_not_waited_for(source: Source, tmp_path: Path) -> None:
    with sftp(source, tmp_path / "there") as there:
        (tmp_path / "there/known").write_text("")
        note = kept(backup(there, "user-data", "config"))["note"]
        assert "cannot be reached" in note


def test_the_password_in_an_address_is_seen_by_nobody(source: Source, tmp_path: Path) -> None:
    with rest(source, tmp_path / "there") as there:
        file = there.hub.root / "etc/there.yaml"
        address = there.settings.user_data.repository
        told = {"services": "supervisor", "user_data": {"repository": address}}
        hub_folder.keep(file, json.dumps(told), 0o600)
        hub_folder.keep(home(there) / "film", os.urandom(20 << 20), 0o644)
        command = [sys.executable, "-m", "tljh_runbook", "backup", "--json"]
        command += ["--hub", str(there.hub.prefix), "--settings", str(file)]
        seen = ""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            while process.poll() is None:
                seen += arguments_of_all()
            said = process.communicate()[0]
        assert process.returncode == 0, said
        assert "restic" in seen
        (path,) = snapshot.listed(there.backups)
        assert kept(snapshot.read(path))["repository"].startswith("rest:http://hub:***@")
        assert SECRET not in seen + said
        found = subprocess.run(
            ["grep", "-r", "-l", SECRET, there.backups, there.hub.work],
            check=False,
            capture_output=True,
        )
        assert found.stdout == b""
        assert len(fetch.available(there)) == 1


def arguments_of_all() -> str:
    """Return the command lines of all processes that run now."""
    found = ""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes().decode(errors="replace")
        except OSError:
            continue
    return found


# By hand, and by command


def test_the_notes_give_the_files_back_by_hand(source: Source) -> None:
    hostile(source)
    made = backup(source)
    notes = os.fsdecode((made.path / manifest.NOTES).read_bytes())
    (section,) = re.findall(r"^## User data\n\n```sh\n(.*?)^```$", notes, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-e", "-c", section], cwd=made.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [target] = (source.hub.root / "var/lib").glob(f"tljh-user-data-{made.path.name}.*")
    assert done.stdout.splitlines()[-1] == f"The files are in {target}/files"
    back = target / "files" / source.settings.homes.lstrip("/")
    assert hub_folder.contents(back) == hub_folder.contents(Path(source.settings.homes))
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_the_notes_write_where_no_user_can_lead_them(source: Source) -> None:
    """A user makes the folder first, or a link in its place: another one is used."""
    made = backup(source)
    lines = list(components.chosen(["user-data"])[0].by_hand(made.manifest))
    assert not [line for line in lines if "/tmp" in line.replace(str(source.hub.root), "")]
    assert not [line for line in lines if "mkdir" in line]
    assert [line for line in lines if line.startswith("users=$(mktemp -d ")]


def test_progress_is_told_in_words(source: Source) -> None:
    hub_folder.keep(home(source) / "film", os.urandom(80 << 20), 0o644)
    said: list[str] = []
    capture.create(source, components.chosen(("user-data",)), said.append)
    told = [
        line for line in said if re.match(r"User data: \d+ MB of \d+ MB, \d+ of \d+ files", line)
    ]
    assert told
    status = {"bytes_done": 2 * 10**9, "total_bytes": 5 * 10**9, "seconds_remaining": 61}
    assert user_files.progress(status) == "User data: 2.0 GB of 5.0 GB, 0 of 0 files, 1:01 left"
    assert "left" not in user_files.progress({"seconds_remaining": 2**63})


def test_the_check_warns_until_a_copy_of_the_password_is_confirmed(source: Source) -> None:
    def look() -> Any:
        return checks.CHECKS["user data"](source)

    assert list(checks.CHECKS)[-5:-2] == ["user data", "scheduled", "security"]
    assert "never backed up" in look()[2]
    backup(source)
    assert "password --confirm" in look()[2]
    file = Path(source.settings.user_data.password_file)
    password.confirm(source, file.read_text())
    assert look() == f"6 files kept in {source.settings.user_data.repository}"


def test_the_command_tells_why_user_data_is_missing(source: Source, cli: Cli) -> None:
    folder = Path(source.settings.user_data.repository)
    shutil.rmtree(folder)
    hub_folder.keep(folder / "thesis", "", 0o644)
    hub = ("--hub", source.hub.prefix)
    done = cli("backup", "user-data", "config", *hub)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "user data is not backed up, because" in done.stderr
    assert cli("backup", "user-data", *hub).returncode == 33
    assert lock.held(source.hub) is False
    assert restic.version() > (0, 12)
    assert tree.escaped("/a*") == "/a\\*"
