"""What a user exchanges for a link while a backup reads it leads root nowhere."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hub_folder
import pytest
from restic_servers import needs

from tljh_runbook.errors import BackupStalled
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import mounts
from tljh_runbook.hub.user_data import link_guard, user_files
from tljh_runbook.hub.user_data.restic import repository, tree

HIDDEN = "what only root may read"
AT_CWD, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, see renameat2(2)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what others may not")


@pytest.fixture(autouse=True)
def _links_can_be_guarded(tmp_path: Path) -> None:
    reason = link_guard.refused([tmp_path])
    if reason:
        pytest.skip(f"this machine cannot forbid links: {reason}")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only root may enter, with a secret in it."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "secret").write_text(HIDDEN)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    words = [*link_guard.command([folder]), *command]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_link_is_read_and_not_followed(tmp_path: Path, closed: Path) -> None:
    homes = tmp_path / "homes"
    homes.mkdir()
    (homes / "link").symlink_to(closed)
    (homes / "file").write_text("mine")
    assert run(homes, "/bin/cat", str(homes / "file")).stdout == "mine"
    assert run(homes, "/bin/readlink", str(homes / "link")).stdout.strip() == str(closed)
    done = run(homes, "/bin/cat", str(homes / "link" / "secret"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "symbolic links" in done.stderr
    assert (homes / "link" / "secret").read_text() == HIDDEN  # outside all is as before


def test_what_is_mounted_below_is_seen_and_guarded_too(tmp_path: Path, closed: Path) -> None:
    homes, disk = tmp_path / "homes", tmp_path / "homes" / "a disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
    try:
        (disk / "file").write_text("mine")
        (disk / "link").symlink_to(closed)
        assert run(homes, "/bin/cat", str(disk / "file")).stdout == "mine"
        assert run(homes, "/bin/cat", str(disk / "link" / "secret")).returncode == 1
        assert (disk / "file").read_text() == "mine"
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_way_to_a_folder_is_guarded_from_where_a_user_can_change_it(
    tmp_path: Path, closed: Path
) -> None:
    """The folder itself is exchanged, which lies in one of the user's own."""
    tmp_path.chmod(0o755)
    theirs = tmp_path / "theirs"
    (theirs / "course").mkdir(parents=True)
    os.chown(theirs, 65534, 65534)
    words = link_guard.command([theirs / "course"])
    (theirs / "course").rmdir()
    (theirs / "course").symlink_to(closed)
    done = subprocess.run(
        [*words, "/bin/cat", str(theirs / "course" / "secret")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_without_the_guard_nothing_is_started(tmp_path: Path) -> None:
    """As in a container whose root may mount nothing."""
    less = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    words = [*less, *link_guard.command([tmp_path]), "/bin/echo", "started"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "unshare" in done.stderr


def test_a_folder_that_is_gone_by_then_holds_nothing_up(tmp_path: Path) -> None:
    assert run(tmp_path / "nowhere", "/bin/echo", "started").stdout == "started\n"


def test_homes_that_are_mounted_on_demand_are_read_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"30 1 0:40 / {tmp_path}/homes rw - autofs /etc/auto.home rw\n")
    monkeypatch.setattr(mounts, "MOUNTED", table)
    assert link_guard.refused([tmp_path / "homes"]) == link_guard.AUTOMOUNTED
    assert link_guard.refused([tmp_path]) == link_guard.AUTOMOUNTED
    assert link_guard.refused([tmp_path / "others"]) == ""


def test_a_backup_holds_nothing_that_an_exchanged_folder_led_to(
    source: Source, closed: Path
) -> None:
    needs("restic")
    home = Path(source.settings.homes) / "alice"
    for number in range(300):
        hub_folder.keep(home / f"{number}" / "folder" / "secret", "mine", 0o644)
    closed.joinpath("secret").write_text(HIDDEN)
    links = []
    for number in range(0, 300, 10):
        link = home / f"{number}" / "link"
        link.symlink_to(closed)
        links.append(link)
    with exchanging_all(links):
        made = capture.create(source, components.chosen(["user-data"]))
    kept = made.manifest.components["user-data"]
    assert "Links could be followed" not in kept.get("note", "")
    out = source.hub.root / "out"
    tree.restore(repository.opened(source), kept["snapshot"], [], out)
    contents = {path.read_text() for path in out.rglob("secret") if not path.is_symlink()}
    assert HIDDEN not in contents
    assert "mine" in contents


def test_a_file_that_becomes_a_pipe_holds_no_backup_up(source: Source) -> None:
    """Opening a named pipe waits for whoever writes to it, and nobody does."""
    needs("restic")
    home = Path(source.settings.homes) / "alice"
    folders = [home / f"{number}" for number in range(100)]
    for folder in folders:
        (folder / "pipes").mkdir(parents=True)
        for number in range(20):
            hub_folder.keep(folder / "folder" / f"{number}", "mine", 0o644)
            os.mkfifo(folder / "pipes" / f"{number}")
    for _ in range(3):
        with exchanging_all([folder / "pipes" for folder in folders]):
            made = capture.create(source, components.chosen(["user-data"]))
        assert made.manifest.components["user-data"]["kept"]


@pytest.mark.parametrize("current", [["/home/alice/pipe"], None])
def test_a_backup_without_progress_is_ended(current: list[str] | None) -> None:
    status = {"total_files": 2, "files_done": 1, "bytes_done": 5, "current_files": current}
    progress = user_files.Progress()
    progress.note(status, 0.0)
    progress.note(status, user_files.STALLED - 1)
    progress.note({**status, "bytes_done": 6}, user_files.STALLED + 1)
    progress.note({**status, "bytes_done": 6}, 2 * user_files.STALLED)
    with pytest.raises(BackupStalled) as stalled:
        progress.note({**status, "bytes_done": 6}, 2 * user_files.STALLED + 2)
    assert ("/home/alice/pipe" in stalled.value.message) is bool(current)


@contextmanager
def exchanging_all(entries: list[Path]) -> Iterator[None]:
    """Exchange each entry for the folder beside it, one after the other, all the time."""
    libc, stop = ctypes.CDLL(None, use_errno=True), threading.Event()
    pairs = [(os.fsencode(entry), os.fsencode(entry.with_name("folder"))) for entry in entries]

    def exchange() -> None:
        while not stop.is_set():
            for one, other in pairs:
                libc.renameat2(AT_CWD, one, AT_CWD, other, EXCHANGE)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
