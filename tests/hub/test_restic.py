"""A repository is made once, opened with its own password, and never taken for another's."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import as_ordinary_user, free_port, until
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from restic_servers import SECRET, needs, using
from test_snapshot import small_disk

from tljh_runbook.errors import (
    Busy,
    NoSpace,
    RepositoryDamaged,
    RepositoryForeign,
    RepositoryLocked,
    RepositoryUnreachable,
    RunbookError,
    SettingsInvalid,
    ToolMissing,
)
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.system import processes
from tljh_runbook.hub.user_data import user_data_check
from tljh_runbook.hub.user_data.restic import (
    password,
    repository,
    repository_settings,
    restic,
    restic_errors,
    tree,
)
from tljh_runbook.hub.user_data.restic.restic import Repository


@pytest.fixture(autouse=True)
def _restic_is_installed() -> None:
    needs("restic")


@pytest.fixture
def first(source: Source) -> Repository:
    """The repository of a hub, made just now."""
    return repository.opened(source, make=True)


def backup(source: Source, *names: str) -> dict[str, object]:
    made = capture.create(source, components.chosen(names or ("user-data",)))
    return made.manifest.components["user-data"]


def password_file(source: Source) -> Path:
    return Path(source.settings.user_data.password_file)


def folder_of(source: Source) -> Path:
    return Path(source.settings.user_data.repository)


# The password


def test_the_password_is_made_once_and_for_root_alone(source: Source, first: Repository) -> None:
    made = password_file(source).read_text(encoding="utf-8")
    assert re.fullmatch(r"[\w-]{32,}\n", made)
    assert stat.S_IMODE(password_file(source).stat().st_mode) == 0o600
    repository.opened(source, make=True)
    assert password_file(source).read_text(encoding="utf-8") == made


def test_a_repository_that_is_there_gets_no_new_password(source: Source, first: Repository) -> None:
    password_file(source).unlink()
    with pytest.raises(RepositoryLocked, match="no password file") as told:
        repository.opened(source, make=True)
    assert "emergency copy" in told.value.hint
    assert not password_file(source).exists()


def others_may_read(file: Path) -> None:
    file.chmod(0o640)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [others_may_read, empty, a_link, a_folder])
def test_a_password_file_that_is_not_safe_is_refused(
    source: Source, first: Repository, spoil: object
) -> None:
    assert callable(spoil)
    spoil(password_file(source))
    with pytest.raises(RepositoryLocked, match=r"The password file .* It was not used"):
        repository.opened(source, make=True)


def test_another_password_does_not_open_it(source: Source, first: Repository) -> None:
    password_file(source).write_text("another one\n", encoding="utf-8")
    with pytest.raises(RepositoryLocked, match="does not open") as told:
        backup(source)
    assert "another one" not in f"{told.value} {told.value.hint}"


def test_a_copy_is_confirmed_by_typing_it(source: Source, first: Repository) -> None:
    backup(source)
    assert "keep a copy elsewhere" in user_data_check.look(source)[2]
    with pytest.raises(RepositoryLocked, match="not the password"):
        password.confirm(source, "guessed")
    assert not password.confirmed(source)
    copy = password_file(source).read_text(encoding="utf-8")
    password.confirm(source, copy.strip())
    assert password.confirmed(source)
    assert "6 files kept" in user_data_check.look(source)
    record = source.hub.work / password.CONFIRMED
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert copy.strip() not in record.read_text(encoding="utf-8")
    password_file(source).write_text("changed\n", encoding="utf-8")
    assert not password.confirmed(source)


def test_what_nobody_kept_cannot_be_confirmed(source: Source) -> None:
    with pytest.raises(RepositoryLocked, match="no password yet"):
        password.confirm(source, "")


# Whose it is


def other(source: Source) -> Source:
    """Return the same hub as if it were another server's."""
    shutil.rmtree(source.hub.work)
    return using(source, name="another")


def test_the_repository_of_another_hub_is_not_used(source: Source, first: Repository) -> None:
    backup(source)
    before = hub_folder.contents(folder_of(source))
    with pytest.raises(RepositoryForeign, match=re.escape(first.name)) as told:
        repository.opened(other(source), make=True)
    assert "user_data.name" in told.value.hint
    left = {name for name in hub_folder.contents(folder_of(source)) if "locks/" not in name}
    assert left == set(before)


def test_a_new_server_takes_the_place_of_the_old_one(source: Source, first: Repository) -> None:
    backup(source)
    there = using(other(source), name=first.name)
    assert repository.opened(there).name == first.name


def test_a_known_repository_is_opened_without_a_question(source: Source, first: Repository) -> None:
    """restic takes its time over each password: it is not asked what is known."""
    password_file(source).write_text("another one\n", encoding="utf-8")
    assert repository.opened(source, make=True) == first


def test_a_repository_that_was_exchanged_is_looked_at(source: Source, first: Repository) -> None:
    backup(source)
    there = using(source, repository=f"{folder_of(source)}-2", name="another")
    shutil.rmtree(there.hub.work)
    repository.opened(there, make=True)
    backup(there)
    shutil.rmtree(source.hub.work)
    repository.opened(source)
    shutil.rmtree(folder_of(source))
    folder_of(there).rename(folder_of(source))
    with pytest.raises(RepositoryForeign, match="another"):
        repository.opened(source, make=True)


def test_a_repository_that_is_gone_is_not_made_again(source: Source, first: Repository) -> None:
    """Its disk may not be mounted: a new one would fill the folder below."""
    shutil.rmtree(folder_of(source))
    with pytest.raises(RepositoryUnreachable, match="any more") as told:
        repository.opened(source, make=True)
    assert "mounted" in told.value.hint
    assert not folder_of(source).exists()
    (source.hub.work / repository.RECORD).unlink()
    repository.opened(source, make=True)
    assert (folder_of(source) / "config").exists()


def test_what_an_interrupted_first_use_left_is_taken_away(
    source: Source, first: Repository
) -> None:
    (folder_of(source) / "config").unlink()
    shutil.rmtree(source.hub.work)
    assert backup(source)["kept"]


def test_a_folder_with_other_files_is_no_place_for_a_repository(source: Source) -> None:
    hub_folder.keep(folder_of(source) / "thesis.tex", "", 0o644)
    with pytest.raises(RepositoryDamaged, match="not empty"):
        repository.opened(source, make=True)
    assert [path.name for path in folder_of(source).iterdir()] == ["thesis.tex"]
    assert not password_file(source).exists()


def test_reading_makes_no_repository(source: Source) -> None:
    with pytest.raises(RepositoryLocked):
        repository.opened(source)
    assert not folder_of(source).exists()


# What may be wrong with it


def flip(file: Path) -> None:
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def one_of(source: Source, kind: str) -> Path:
    return next(path for path in (folder_of(source) / kind).rglob("*") if path.is_file())


@pytest.mark.parametrize("part", ["keys", "index", "snapshots"])
def test_a_damaged_repository_is_told(source: Source, first: Repository, part: str) -> None:
    backup(source)
    flip(one_of(source, part))
    with pytest.raises(RepositoryDamaged) as told:
        backup(source)
    assert "invalid" in told.value.message
    assert not re.search(r"github|\.go|\.s:", told.value.message)  # restic's own traceback


def test_a_damaged_config_is_told(source: Source, first: Repository) -> None:
    backup(source)
    flip(folder_of(source) / "config")
    with pytest.raises(RepositoryDamaged, match="is damaged"):
        repository.opened(source)


def test_damaged_content_is_found_by_reading_it(source: Source, first: Repository) -> None:
    backup(source)
    repository.check(first)
    repository.check(first, "100%")
    repository.check(first, "5%")
    for pack in (folder_of(source) / "data").rglob("*"):
        if pack.is_file():
            flip(pack)
    with pytest.raises(RepositoryDamaged, match="contains errors"):
        repository.check(first, "100%")


def test_a_full_disk_is_told_and_harms_nothing_that_was_kept(
    source: Source, tmp_path: Path
) -> None:
    with small_disk(tmp_path, "6m") as disk:
        there = using(source, repository=str(disk / "repository"))
        backup(there)
        hub_folder.keep(source.hub.root / "home/alice/film", os.urandom(20 << 20), 0o644)
        with pytest.raises(NoSpace, match="no room left"):
            backup(there)
        kept = backup(there, "user-data", "config")
        assert "no room left" in str(kept["note"])
        (source.hub.root / "home/alice/film").unlink()
        repository.check(repository.opened(there), "100%")


@pytest.mark.parametrize(
    "address",
    [f"rest:http://hub:{SECRET}@127.0.0.1:{{port}}/x", "sftp:127.0.0.1:/x"],
    ids=["rest", "sftp"],
)
def test_what_cannot_be_reached_is_told(source: Source, address: str) -> None:
    port = free_port()
    options = {"sftp.command": f"ssh -F none -p {port} 127.0.0.1 -s sftp"}
    there = using(source, repository=address.format(port=port), options=options)
    with pytest.raises(RepositoryUnreachable, match=r"cannot be reached: .*(refused|sftp)") as told:
        backup(there)
    assert SECRET not in f"{told.value} {told.value.hint}"
    kept = backup(there, "user-data", "config")
    assert not kept["kept"]
    assert "cannot be reached" in str(kept["note"])
    assert SECRET not in json.dumps(kept)


def test_without_restic_the_other_components_are_kept(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = "restic is not installed. Install it: sudo apt-get install restic"
    assert backup(source, "user-data", "config") == {
        "kept": False,
        "note": f"user data is not backed up, because {wanted}",
    }
    assert user_data_check.look(source)[2] == f"user data is not backed up, because {wanted}"
    with pytest.raises(ToolMissing):
        backup(source)


# Locks, kills and interruptions


@contextmanager
def at_work(first: Repository) -> Iterator[int]:
    """Have another restic hold the repository for itself, stopped; yield its process."""
    keys = {"RESTIC_REPOSITORY": first.address, "RESTIC_PASSWORD_FILE": str(first.password_file)}
    command = ["restic", "check", "--no-cache", "--read-data"]
    quiet = subprocess.DEVNULL
    folder = Path(first.address)
    with subprocess.Popen(command, env=os.environ | keys, stdout=quiet, stderr=quiet) as process:
        try:
            locked = "locks/" + "?" * 64  # beside it the file that it is written to first
            until(lambda: process.poll() is not None or any(folder.glob(locked)))
            process.send_signal(signal.SIGSTOP)
            assert any(folder.glob(locked)), "it was over too soon"
            yield process.pid
        finally:
            process.kill()


def test_another_run_is_waited_for_and_a_dead_ones_lock_is_not(
    source: Source, first: Repository
) -> None:
    hub_folder.keep(source.hub.root / "home/alice/film", os.urandom(60 << 20), 0o644)
    backup(source)
    with at_work(first):
        with pytest.raises(Busy, match="Another run of restic"):
            backup(source)
        note = backup(source, "user-data", "config")["note"]
    assert "another run of restic" in str(note)
    assert any((folder_of(source) / "locks").iterdir())
    assert backup(source)["kept"]
    assert not any((folder_of(source) / "locks").iterdir())


@contextmanager
def half_way(source: Source) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a backup in a process of its own, up to the middle; yield it, and its restic."""
    hub_folder.keep(source.hub.root / "home/alice/film", os.urandom(120 << 20), 0o644)
    command = [sys.executable, "-m", "tljh_runbook", "backup", "--hub", str(source.hub.prefix)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        packs = folder_of(source) / "data"
        until(lambda: sum(path.stat().st_size for path in packs.glob("*/*")) > 10 << 20)
        (restic_,) = (pid for pid in processes.children(process.pid) if pid != process.pid)
        yield process, restic_


def test_ctrl_c_ends_restic_and_leaves_nothing(source: Source, first: Repository) -> None:
    with half_way(source) as (process, restic_):
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert processes.started(restic_) is None
    assert list((folder_of(source) / "locks").iterdir()) == []
    assert repository.snapshots(first) == []
    assert list(source.backups.iterdir()) == []


def test_restic_does_not_outlive_a_killed_run(source: Source, first: Repository) -> None:
    with half_way(source) as (process, restic_):
        process.kill()
        until(lambda: processes.started(restic_) is None)
    assert repository.snapshots(first) == []
    assert backup(source)["kept"]
    repository.check(first, "100%")


# Settings of the way


def test_what_the_shell_says_of_restic_does_not_count(
    source: Source, first: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD_COMMAND", "false")
    monkeypatch.setenv("RESTIC_REPOSITORY_FILE", "/nowhere")
    assert repository.snapshots(first) == []


def test_the_environment_file_is_read_and_hidden(source: Source) -> None:
    file = source.hub.root / "etc/keys"
    hub_folder.keep(file, "# the store\nAWS_SECRET_ACCESS_KEY=hush-hush\nB=1=2\n", 0o600)
    found = repository_settings.of(using(source, environment_file=str(file)))
    assert dict(found.environment) == {"AWS_SECRET_ACCESS_KEY": "hush-hush", "B": "1=2"}
    assert "hush" not in repr(found)
    assert found.hidden("no hush-hush") == "no ***"


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [("A=1\n", 0o644, "others"), ("A\n", 0o600, "entry 1"), (b"\xff=1", 0o600, "no text")],
)
def test_an_environment_file_that_cannot_be_used_is_refused(
    source: Source, text: str | bytes, mode: int, why: str
) -> None:
    file = source.hub.root / "etc/keys"
    hub_folder.keep(file, text, mode)
    with pytest.raises(SettingsInvalid, match=why):
        repository_settings.of(using(source, environment_file=str(file)))


SIGNS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="@")


@example(user="hub", hidden="a/b:c")
@example(user="", hidden="x")
@given(user=st.text("abc", max_size=3), hidden=st.text(SIGNS, min_size=1, max_size=12))
def test_a_masked_address_holds_no_password(user: str, hidden: str) -> None:
    address = f"rest:https://{user}:<{hidden}>@backup.example.org/hub"
    assert f"<{hidden}>" not in restic_errors.mask(address)
    assert "backup.example.org/hub" in restic_errors.mask(address)


@pytest.mark.parametrize(
    "address", ["/var/kept", "sftp:me@host:/a@b", "s3:https://host/x", "rest:https://me@host/x"]
)
def test_an_address_without_a_password_is_shown_as_it_is(address: str) -> None:
    assert restic_errors.mask(address) == address


@pytest.mark.parametrize(
    ("code", "said", "wanted"),
    [
        (12, '{"message_type":"exit_error","message":"Fatal: no"}', RepositoryLocked),
        (11, "unable to create lock in backend", Busy),
        (10, "Fatal: repository does not exist", RepositoryUnreachable),
        (1, "Fatal: unable to open config file: <config/> does not exist", RepositoryUnreachable),
        (1, "Save(<data>): no space left on device", NoSpace),
        (1, "something new", RepositoryDamaged),
        (1, "", RepositoryDamaged),
    ],
)
def test_newer_and_older_ones_of_restic_are_understood(
    code: int, said: str, wanted: type[RunbookError]
) -> None:
    assert isinstance(restic_errors.explain("/x", True, code, said), wanted)


# What is removed


def test_only_what_this_hub_kept_is_forgotten(source: Source, first: Repository) -> None:
    for tags in ([], ["--tag", "tljh-runbook", "--host", "another"], ["--host", first.name]):
        restic.run(first, "backup", *tags, "--", str(source.hub.config))
    names = [capture.create(source, components.chosen(("user-data",))).path.name for _ in range(3)]
    assert repository.forget(first, set()) == 0
    assert repository.forget(first, {names[1], "unknown"}) == 4  # user data and the snapshots
    assert repository.forget(first, {names[1]}) == 0
    assert {repository.kept_as(each) for each in repository.own(first)} == {names[1]}
    (everything,) = restic.run(first, "snapshots")
    assert len(everything) == 3 + 2
    repository.check(first, "100%")


# What is restored


NASTY = st.text(
    st.sampled_from("ab*?[]\\!$ -\n~é\N{REPLACEMENT CHARACTER}^{}#"), min_size=1, max_size=5
)


@pytest.fixture(scope="module")
def shelf() -> Iterator[Repository]:
    """A repository beside which files can be made and kept."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        password.make(work / "password")
        made = Repository(str(work / "repository"), work / "password", "test", work)
        restic.run(made, "init")
        yield made


def stored(shelf: Repository, names: set[bytes]) -> str:
    """Keep files of these names, each holding its own; return restic's snapshot."""
    folder = shelf.work / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(name)
    messages = restic.run(shelf, "backup", "--force", "--", str(folder))
    return str(messages[-1]["snapshot_id"])


def restored(shelf: Repository, snapshot: str, names: list[str]) -> set[bytes]:
    """Return the names of the files that are restored for these names."""
    target = shelf.work / "target"
    shutil.rmtree(target, ignore_errors=True)
    tree.restore(shelf, snapshot, [f"{shelf.work}/files/{name}" for name in names], target)
    below = target / str(shelf.work).lstrip("/") / "files"
    found = {os.fsencode(path.name): path.read_bytes() for path in below.glob("*")}
    assert all(name == content for name, content in found.items())
    return set(found)


@example(names={"*", "a"}, wanted="*")
@example(names={"**", "\\*", "a*"}, wanted="**")
@example(names={"[ab]", "a", "b"}, wanted="[ab]")
@given(names=st.sets(NASTY, min_size=1, max_size=6), wanted=NASTY)
@hypothesis_settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_exactly_what_is_named_is_restored(shelf: Repository, names: set[str], wanted: str) -> None:
    lost = tree.LOST
    names = {name.replace(lost, "x") for name in names} | {wanted.replace(lost, "x")}
    snapshot = stored(shelf, {name.encode() for name in names})
    back = restored(shelf, snapshot, [wanted.replace(lost, "x")])
    assert back == {wanted.replace(lost, "x").encode()}


def test_a_name_that_is_no_text_is_restored_by_what_is_listed(shelf: Repository) -> None:
    names = {b"bad\xff\xfe", b"good", b"bad"}
    snapshot = stored(shelf, names)
    listed = [Path(node.path).name for node in tree.listing(shelf, snapshot)]
    assert "bad\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}" in listed
    assert restored(shelf, snapshot, [name for name in listed if "\ufffd" in name]) == {
        b"bad\xff\xfe"
    }
    assert restored(shelf, snapshot, [os.fsdecode(b"bad\xff\xfe")]) == {b"bad\xff\xfe"}


def test_a_listing_says_type_size_mode_and_owner(shelf: Repository) -> None:
    snapshot = stored(shelf, {b"plain"})
    file = shelf.work / "files/plain"
    file.chmod(0o4755)
    (shelf.work / "files/below").mkdir()
    (shelf.work / "files/link").symlink_to("plain")
    messages = restic.run(shelf, "backup", "--", str(shelf.work / "files"))
    snapshot = messages[-1]["snapshot_id"]
    found = {node.path: node for node in tree.listing(shelf, snapshot, [str(shelf.work / "files")])}
    node = found[str(file)]
    status = file.stat()
    assert (node.type, node.size, node.mode) == ("file", 5, 0o4755)
    assert (node.uid, node.gid) == (status.st_uid, status.st_gid)
    assert {found[str(file.with_name(name))].type for name in ("below", "link")} == {
        "dir",
        "symlink",
    }
    assert str(shelf.work) not in found


def test_holes_come_back_and_times_stay(shelf: Repository) -> None:
    snapshot = stored(shelf, {b"other"})
    file = shelf.work / "files/sparse"
    with file.open("wb") as made:
        made.write(b"begin")
        made.truncate(64 << 20)
        made.seek(32 << 20)
        made.write(b"middle")
    os.utime(file, ns=(10**18, 10**18))
    snapshot = restic.run(shelf, "backup", "--", str(file.parent))[-1]["snapshot_id"]
    target = shelf.work / "target"
    shutil.rmtree(target, ignore_errors=True)
    tree.restore(shelf, snapshot, [], target)
    back = target / str(file).lstrip("/")
    assert back.stat().st_mtime_ns == 10**18
    assert back.read_bytes() == file.read_bytes()
    assert back.stat().st_blocks * 512 < 4 << 20  # restic keeps half a MB or more around each
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_what_is_no_longer_there_is_told(shelf: Repository) -> None:
    with pytest.raises(RepositoryDamaged, match="no longer holds"):
        tree.restore(shelf, "abcdef12", [], shelf.work / "nothing")


def test_an_ordinary_user_is_told_what_is_missing(first: Repository, source: Source) -> None:
    def use() -> object:
        return restic.run(first, "snapshots")

    if os.geteuid() != 0:
        pytest.skip("the files belong to us already")
    for folder in source.hub.root.parents[:3]:
        folder.chmod(0o755)
    assert as_ordinary_user(use) == "AccessDenied"
