"""The bundle makes itself at home on a server, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub_fixtures import Cli, until

from tljh_runbook.errors import AccessDenied, Busy, NotBundled, ToolMissing
from tljh_runbook.hub.core.layout import Hub

from .conftest import BARE, SYSTEM, Done, run

pytestmark = pytest.mark.skipif(
    not SYSTEM.exists()
    or bool(run(SYSTEM, "-c", "import sys; sys.exit(sys.version_info < (3, 10))").returncode),
    reason=f"there is no {SYSTEM} of 3.10 or newer, which the launcher is for",
)


def build_of(pyz: Path) -> str:
    return zipfile.ZipFile(pyz).read("tljh_runbook/BUILD").decode().strip()


@dataclass(frozen=True)
class Server:
    """A folder in which the bundle is unpacked as on a server."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "usr/local/lib/tljh-runbook"

    @property
    def launcher(self) -> Path:
        return self.root / "usr/local/bin/tljh-runbook"

    def unpack(self, pyz: Path, *words: str) -> dict[str, object]:
        done = run(SYSTEM, pyz, "unpack", "--root", self.root, "--json", *words)
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told

    def version(self) -> str:
        done = run(self.launcher, "--version")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lists(self) -> list[str]:
        return sorted(path.name for path in self.home.iterdir())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, pyz: Path) -> Path:
    """A server on which the bundle was unpacked."""
    root = tmp_path_factory.mktemp("template") / "root"
    Server(root).unpack(pyz)
    return root


@pytest.fixture
def server(tmp_path: Path, template: Path) -> Server:
    """A server of one's own, on which the bundle was unpacked."""
    return Server(copied(template, tmp_path / "root"))


def copied(template: Path, root: Path) -> Path:
    shutil.copytree(template, root, symlinks=True)
    return root


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return what a change of any file would change."""
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in folder.rglob("*")
    }


def test_it_is_a_command_of_its_own_then(server: Server, pyz: Path) -> None:
    build = build_of(pyz)
    assert server.lists() == sorted([build, "current", "tljh-runbook.pyz"])
    assert (server.home / "current").readlink() == Path(build)
    (server.home / "tljh-runbook.pyz").unlink()  # so that only the copy can run
    assert server.version() == f"tljh-runbook 0.1.0 (build {build})\n"


def test_it_runs_without_writing(server: Server) -> None:
    before = state(server.root)
    server.version()
    run(server.launcher, "--help")
    assert state(server.root) == before


def test_a_second_time_changes_nothing(server: Server, pyz: Path) -> None:
    before = state(server.root)
    told = server.unpack(pyz)
    assert (told["changed"], told["changes"], told["build"]) == (False, [], build_of(pyz))
    assert told["folder"] == str(server.home / build_of(pyz))
    done = run(server.launcher, "unpack", "--root", server.root)
    assert (done.returncode, done.stdout.endswith("Nothing was changed.\n")) == (0, True)
    assert state(server.root) == before


def test_dry_run_says_what_would_change(tmp_path: Path, server: Server, newer: Path) -> None:
    before = state(server.root)
    told = server.unpack(newer, "--dry-run")
    assert told["changed"] is True
    assert state(server.root) == before
    assert told == server.unpack(newer)
    assert str(server.home / "current") in str(told["changes"])
    nowhere = tmp_path / "new"
    assert len(str(Server(nowhere).unpack(newer, "--dry-run")["changes"]).split(",")) == 4
    assert not nowhere.exists()


def test_everybody_may_run_it_and_only_its_owner_change_it(tmp_path: Path, pyz: Path) -> None:
    before = os.umask(0o077)
    try:
        Server(tmp_path / "root").unpack(pyz)
    finally:
        os.umask(before)
    for path in Server(tmp_path / "root").home.rglob("*"):
        if not path.is_symlink():
            wanted = 0o755 if path.is_dir() else 0o644
            assert (path, path.stat().st_mode & 0o777) == (path, wanted)
    assert Server(tmp_path / "root").launcher.stat().st_mode & 0o777 == 0o755


def test_users_settings_of_python_are_not_followed(server: Server, traps: dict[str, str]) -> None:
    folder = Path(traps["PYTHONPATH"])
    (server.home / "tljh-runbook.pyz").unlink()
    done = run(server.launcher, "--version", env=traps, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_says_its_name_where_the_shell_finds_it(server: Server, hub: Hub) -> None:
    path = {**BARE, "PATH": f"{server.launcher.parent}:/usr/bin:/bin"}
    done = run("tljh-runbook", "snapshots", "--hub", hub.prefix, env=path)
    assert f"Make one: tljh-runbook backup --hub {hub.prefix}" in done.stdout
    done = run(server.launcher, "snapshots", "--hub", hub.prefix)
    assert f"Make one: {server.launcher} backup --hub {hub.prefix}" in done.stdout


def lose_copy(copy: Path) -> None:
    shutil.rmtree(copy)


def lose_link(copy: Path) -> None:
    (copy.parent / "current").unlink()


def lose_list(copy: Path) -> None:
    (copy / "FILES").unlink()


def empty_list(copy: Path) -> None:
    (copy / "FILES").write_bytes(b"")


def lose_module(copy: Path) -> None:
    (copy / "tljh_runbook" / "hub" / "snapshots" / "snapshot.py").unlink()


def cut_module(copy: Path) -> None:
    (copy / "rich" / "console.py").write_bytes(b"")


def cut_compiled(copy: Path) -> None:
    os.truncate(next((copy / "tljh_runbook" / "cli" / "__pycache__").glob("__init__*")), 20)


def spoil(copy: Path) -> None:
    """Exchange bytes, and leave the length: what no disk should do."""
    file = next((copy / "tljh_runbook" / "cli" / "__pycache__").glob("__init__*"))
    file.write_bytes(file.read_bytes()[:16] + b"\xff" * (file.stat().st_size - 16))


BROKEN: list[Callable[[Path], None]] = [
    lose_copy,
    lose_link,
    lose_list,
    empty_list,
    lose_module,
    cut_module,
    cut_compiled,
    spoil,
]


@pytest.mark.parametrize("damage", BROKEN, ids=lambda each: each.__name__)
def test_a_broken_copy_does_no_harm(
    server: Server, pyz: Path, damage: Callable[[Path], None]
) -> None:
    build = build_of(pyz)
    damage(server.home / build)
    assert server.version() == f"tljh-runbook 0.1.0 (build {build})\n"
    if damage is spoil:
        return  # nobody reads every byte at each start, so nobody can tell
    done = run(server.launcher, "unpack", "--root", server.root, "--json")
    assert json.loads(done.stdout)["changed"] is True
    assert server.unpack(pyz)["changed"] is False
    (server.home / "tljh-runbook.pyz").unlink()
    assert build in server.version()


def test_after_an_upgrade_of_the_system_it_is_compiled_anew(server: Server, pyz: Path) -> None:
    copy = server.home / build_of(pyz)
    tag = run(SYSTEM, "-c", "import sys; print(sys.implementation.cache_tag)").stdout.strip()
    for file in copy.rglob(f"*.{tag}.pyc"):
        file.rename(file.with_name(file.name.replace(tag, "cpython-38")))
    files = copy / "FILES"
    files.write_text(files.read_text().replace(tag, "cpython-38"))
    assert build_of(pyz) in server.version()
    assert server.unpack(pyz)["changes"] == [str(copy)]
    assert list(copy.rglob(f"__init__.{tag}.pyc"))
    assert server.unpack(pyz)["changed"] is False


def test_nothing_left_is_told(server: Server) -> None:
    for name in ("current", "tljh-runbook.pyz"):
        (server.home / name).unlink()
    done = run(server.launcher, "status")
    assert done.returncode == ToolMissing.code
    assert done.stderr.startswith("error: Neither the copy")
    assert "\nhint: Bring tljh-runbook.pyz" in done.stderr


def test_a_new_build_takes_the_place_of_the_old(server: Server, newer: Path) -> None:
    assert server.unpack(newer)["changed"] is True
    build = build_of(newer)
    assert server.lists() == sorted([build, "current", "tljh-runbook.pyz"])
    assert server.version() == f"tljh-runbook 0.1.1 (build {build})\n"


@pytest.fixture
def busy(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs from the copy until somebody takes what it prints."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    filled = os.write(write, b"x" * (1 << 20))
    os.set_blocking(write, True)
    with subprocess.Popen(
        [server.launcher, "completion", "bash"], stdout=write, env=BARE
    ) as process:
        os.close(write)
        until(lambda: held(server.home / "current"))
        yield process
        with os.fdopen(read, "rb") as out:
            said = out.read()[filled:]
        assert b"_tljh_runbook_completion" in said
    assert process.returncode == 0


def held(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_copy_that_something_runs_from_stays(
    server: Server, pyz: Path, newer: Path, busy: subprocess.Popen[bytes]
) -> None:
    server.unpack(newer)
    assert (server.home / build_of(pyz)).is_dir()
    assert server.unpack(newer)["changed"] is False
    assert busy.poll() is None


def test_what_nothing_runs_from_any_more_goes(server: Server, pyz: Path, newer: Path) -> None:
    old = server.home / build_of(pyz)
    descriptor = os.open(old, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    server.unpack(newer)
    assert old.is_dir()
    os.close(descriptor)
    assert server.unpack(newer)["changes"] == [str(old)]
    assert not old.exists()


def test_two_at_once(server: Server, newer: Path) -> None:
    descriptor = os.open(server.home, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = run(SYSTEM, newer, "unpack", "--root", server.root)
    os.close(descriptor)
    assert done.returncode == Busy.code
    assert "Nothing was changed" in done.stderr


def test_who_is_not_root_is_told(pyz: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(pyz, folder)
        done = run(SYSTEM, folder / pyz.name, "unpack", "--root", folder, user=65534)
        assert [path.name for path in folder.iterdir()] == [pyz.name]
    assert done.returncode == AccessDenied.code
    assert "as root" in done.stderr


def test_a_checkout_unpacks_nothing(cli: Cli, tmp_path: Path) -> None:
    done = cli("unpack", "--root", tmp_path, "--json")
    assert done.returncode == NotBundled.code
    assert json.loads(done.stdout)["error"]["code"] == NotBundled.code
    assert list(tmp_path.iterdir()) == []


def test_a_copy_without_its_rescue_file_is_told(server: Server) -> None:
    (server.home / "tljh-runbook.pyz").write_bytes(b"no zip")
    done = run(server.launcher, "unpack", "--root", server.root)
    assert done.returncode == NotBundled.code
    assert "Nothing was changed" in done.stderr


# Python tells of each change of a file before it is made: so a run can be ended there.
KILLED = """
import os, runpy, signal, sys
point, pyz, *words = sys.argv[1:]
kinds = {"os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "subprocess.Popen"}
seen = []

def told(event, arguments):
    if event in kinds or (event == "open" and arguments[2] & os.O_CREAT):
        seen.append(event)
        if len(seen) == int(point):
            os.kill(os.getpid(), signal.SIGKILL)

sys.argv = [pyz, *words]
sys.addaudithook(told)
try:
    runpy.run_path(pyz, run_name="__main__")
finally:
    sys.stderr.write(" ".join(seen))
"""


def ended_at(point: int, server: Server, pyz: Path) -> Done:
    """Unpack, and kill it before the change of that number; with 0 let it go on to its end."""
    return run(SYSTEM, "-IS", "-c", KILLED, str(point), pyz, "unpack", "--root", server.root)


def points(seen: list[str]) -> list[int]:
    """Return where to kill: at each rename, and at some of what is done hundreds of times."""
    found = set()
    for kind in set(seen):
        at = [number for number, each in enumerate(seen, start=1) if each == kind]
        few = kind in {"os.rename", "os.symlink", "subprocess.Popen"}
        found |= set(at if few else [at[len(at) // 2]])
    return sorted(found)


@pytest.mark.parametrize(
    "begun", ["old", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("new", "broken"))]
)
def test_killed_at_any_moment_it_is_the_old_or_the_new(
    tmp_path: Path, template: Path, pyz: Path, newer: Path, begun: str
) -> None:
    def start(name: str) -> Server:
        made = Server(copied(template, tmp_path / name) if begun != "new" else tmp_path / name)
        if begun == "broken":
            made.unpack(newer)
            lose_module(made.home / build_of(newer))
        return made

    versions = {f"tljh-runbook 0.1.{n} (build {build_of(p)})\n" for n, p in enumerate((pyz, newer))}
    seen = ended_at(0, start("whole"), newer).stderr.split()
    assert seen.count("os.rename") >= 2
    # Each moment costs two whole compilations: from the usual state all, from the others some.
    for point in points(seen)[:: 1 if begun == "old" else 4]:
        server = start(str(point))
        done = ended_at(point, server, newer)
        assert done.returncode == -9, (point, done)
        if server.launcher.exists() or begun != "new":
            assert server.version() in versions, (point, seen[point - 1])
        assert server.unpack(newer)["build"] == build_of(newer)
        assert server.lists() == sorted([build_of(newer), "current", "tljh-runbook.pyz"])
        assert [path.name for path in server.launcher.parent.iterdir()] == ["tljh-runbook"]
        shutil.rmtree(server.root)
