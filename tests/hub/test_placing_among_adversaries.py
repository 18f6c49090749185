"""Users who work against it, and a machine that stops at any moment, do no harm."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from homes_folder import ALICE, BOB, Homes, Seen, age, everything, folder, own, put, seen
from hub_fixtures import until
from hypothesis import given, settings
from hypothesis import strategies as st

import tljh_runbook
from tljh_runbook.errors import RestoreFailed
from tljh_runbook.hub.core import renames
from tljh_runbook.hub.snapshots.placement import private_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
ROUNDS = 2000  # exchanges by the adversary that a test outlasts
# A disk that others use, too, takes long to be brought up to date.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def homes() -> Iterator[Homes]:
    """Homes where ordinary users get to, too: pytest's own folders are for one user alone."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as top:
        Path(top).chmod(0o755)
        yield Homes(Path(top))


# Counts in a pipe how often it has done both: what is in place is a folder, then a link.
SWAPPER = """\
import os, sys
home, victim, how = sys.argv[1:]
os.setgroups([]); os.setgid(1001); os.setuid(1001)
os.chdir(home)

def swap():
    if how == "rename":
        os.rename("project", "aside")
        os.symlink(victim, "project")
        os.unlink("project")
        os.rename("aside", "project")
    elif how == "kinds":
        os.rename("project", "aside")
        os.mkfifo("project")
        os.unlink("project")
        os.mkdir("project")
        os.symlink(victim + "/file", "project/x.ipynb")
        os.unlink("project/x.ipynb")
        os.rmdir("project")
        os.rename("aside", "project")
    elif how == "file":
        os.symlink(victim + "/file", "project/new")
        os.replace("project/new", "project/x.ipynb")
        os.unlink("project/x.ipynb")
        os.link("project/other", "project/x.ipynb")
        os.unlink("project/x.ipynb")
        os.mkdir("project/x.ipynb")
        os.rmdir("project/x.ipynb")

while True:
    try:
        swap()
    except OSError:
        for act in (lambda: os.unlink("project/x.ipynb"), lambda: os.unlink("project"),
                    lambda: os.rename("aside", "project"), lambda: os.mkdir("project")):
            try:
                act()
            except OSError:
                pass
    os.write(1, b".")
"""


@contextmanager
def working_against(program: str, *arguments: object) -> Iterator[Callable[[], int]]:
    """Run a program that writes a byte each time it has done something; give their number."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as counted,
        subprocess.Popen(command, stdout=counted, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            until(lambda: os.fstat(counted.fileno()).st_size)
            yield lambda: os.fstat(counted.fileno()).st_size
        finally:
            process.kill()


@needs_root
@pytest.mark.parametrize("exchanges", [True, False], ids=["in one moment", "one after the other"])
@pytest.mark.parametrize("asked", [(), ("alice/project/x.ipynb",)], ids=["all", "one"])
@pytest.mark.parametrize("how", ["rename", "kinds", "file"])
def test_nothing_outside_is_touched_while_a_user_exchanges_folders_for_links(
    homes: Homes,
    how: str,
    asked: tuple[str, ...],
    exchanges: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not exchanges:
        monkeypatch.setattr(renames, "can_exchange", lambda _: False)
    victim = homes.root / "victim"
    for name in ("file", "x.ipynb", "other"):
        put(victim / name, "precious", uid=ALICE)  # as hers, it would be entered
    folder(victim / "below", uid=ALICE)
    age(victim)
    before = seen(victim)
    put(homes.live / "alice" / "project" / "other", "of alice", uid=ALICE)
    put(homes.live / "bob" / "file", "of bob", uid=BOB)
    bobs, placed = seen(homes.live / "bob"), 0
    with working_against(SWAPPER, homes.live / "alice", victim, how) as times:
        while times() < ROUNDS or placed < 10:
            stage(homes, "then" * (placed + 1))
            with suppress(RestoreFailed):
                homes.place(*asked)
                placed += 1
            private_folder.clean(homes.top)
            assert times() < 1000 * ROUNDS, "it was never placed"
    assert seen(victim) == before
    assert seen(homes.live / "bob") == bobs
    assert [each.name for each in homes.root.iterdir()].count("victim") == 1
    stage(homes, "at last")
    homes.place()
    assert (homes.live / "alice" / "project" / "x.ipynb").read_text() == "at last"


def stage(homes: Homes, text: str) -> None:
    folder(homes.staged)
    homes.top.chmod(0o700)
    put(homes.staged / "alice" / "project" / "x.ipynb", text, uid=ALICE)
    put(homes.staged / "alice" / "project" / "below" / "file", text, uid=ALICE)


MOVER = """\
import os, sys
home = sys.argv[1]
os.setgroups([]); os.setgid(1001); os.setuid(1001)
os.chdir(home)
deep = "/".join(["d"] * 80)
number = 0
while True:
    os.rename(deep, "moved")
    try:
        os.rename("moved", deep)
    except OSError:  # another one was put in place meanwhile
        number += 1
        os.rename("moved", f"moved-{number}")
    os.write(1, b".")
"""


@needs_root
def test_a_folder_that_is_moved_while_we_are_below_it_is_told_and_the_rest_is_placed(
    homes: Homes,
) -> None:
    deep = "/".join(["d"] * 80)
    live = folder(homes.live / "alice", uid=ALICE)
    folder(live / deep / "d" / "d" / "d", uid=ALICE)
    told: set[str] = set()
    number = 0
    with working_against(MOVER, live) as times:
        while times() < 50 * ROUNDS and "moved" not in str(told):
            number += 1
            stage_deep(homes, deep, "x" * number)
            try:
                homes.place()
            except RestoreFailed as error:
                told.add(error.message)
            assert (live / "z").read_text() == "x" * number
            private_folder.clean(homes.top)
    assert "moved while it was restored" in str(told)
    assert all("alice/d/d" in each for each in told)


def stage_deep(homes: Homes, deep: str, text: str) -> None:
    homes.top.mkdir(mode=0o700, exist_ok=True)
    put(homes.staged / "alice" / deep / "d" / "d" / "d" / "file", text)
    put(homes.staged / "alice" / "z", text)
    for path in (homes.staged / "alice", *(homes.staged / "alice").rglob("*")):
        own(path, ALICE)


@needs_root
def test_a_planted_entry_is_kept_too(homes: Homes) -> None:
    """What lies under a name that is kept already goes beside it, and stays what it is."""
    for number, text in enumerate(("first", "second", "third")):
        stage(homes, f"staged {number}")
        put(homes.live / "alice" / "project" / "x.ipynb", text, uid=ALICE)
        homes.place("alice/project/x.ipynb")
        homes.runs -= 1
        private_folder.clean(homes.top)
    homes.runs += 1
    kept = [homes.replaced, homes.replaced / ".again-1", homes.replaced / ".again-2"]
    found = [(each / "alice" / "project" / "x.ipynb").read_text() for each in kept]
    assert found == ["first", "second", "third"]


# Counts what it asks the system for, before and after, and ends itself at one of these moments.
PLACER = """\
import os, signal, sys
from pathlib import Path
sys.path[:0] = {helpers!r}
from homes_folder import Homes
from tljh_runbook.hub.core import renames
root, runs, moment, end, exchanges = sys.argv[1:]
homes = Homes(Path(root))
homes.runs = int(runs) - 1
if exchanges == "False":
    renames.can_exchange = lambda _: False
left = int(moment)
acts = {{os.rename, os.mkdir, os.utime, os.fchmod}}

def count(frame, event, argument):
    global left
    if argument in acts if event.startswith("c_") else frame.f_code.co_name == "_renameat2":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), int(end))

sys.setprofile(count)
homes.place()
"""
FILES = 60


def fill(homes: Homes) -> None:
    """Stage files; what is in place differs, is missing, or is of another kind."""
    homes.top.mkdir(mode=0o700, exist_ok=True)
    for number in range(FILES):
        here = f"alice/{number % 7}/{number % 3}/{number}"
        if number % 5:
            put(homes.staged / here, f"then {number}")
        else:
            put(homes.staged / here / "below", f"then {number}")
    age(homes.top)


def texts(top: Path) -> set[str]:
    return {path.read_text() for path in everything(top) if path.is_file()}


def without_root(found: Seen) -> Seen:
    return {name: each for name, each in found.items() if name != "."}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("exchanges", [True, False], ids=["in one moment", "one after the other"])
def test_cut_off_anywhere_nothing_is_lost_and_the_next_run_finishes(
    homes: Homes, end: signal.Signals, exchanges: bool
) -> None:
    helpers = [str(Path(__file__).parent), str(Path(tljh_runbook.__file__).parents[1])]
    program = PLACER.format(helpers=helpers)
    chance, moment, ended = random.Random(7), 0, 0  # noqa: S311 - it chooses moments
    while ended == 0:
        moment += chance.randrange(1, 40)
        for number in range(0, FILES, 2):
            put(homes.live / f"alice/{number % 7}/{number % 3}/{number}", f"of today {number}")
        put(homes.live / "alice" / "mine", "of today mine")
        before = texts(homes.live)
        fill(homes)
        wanted = without_root(seen(homes.staged))
        homes.runs += 1
        values = map(str, (homes.root, homes.runs, moment, int(end), exchanges))
        command = [sys.executable, "-c", program, *values]
        ended = subprocess.run(command, capture_output=True, check=False).returncode == 0
        assert before - texts(homes.live) <= texts(homes.replaced)
        private_folder.clean(homes.top)
        fill(homes)
        homes.place()
        found = seen(homes.live)
        assert {name: found[name] for name in wanted} == wanted
        assert "of today mine" in texts(homes.live)
        for each in (homes.live / "alice", homes.top, *homes.work.glob("replaced-*")):
            shutil.rmtree(each)
    assert moment > 5 * FILES, "it was cut off until it had done all"


NAMES = st.sampled_from(["a", "b", "\udcff", "new\nline", "x" * 255])
MODES = st.sampled_from([0o644, 0o600, 0o4755, 0o000])
FILE = st.tuples(st.just("file"), st.binary(max_size=3), MODES)
LINK = st.tuples(st.just("link"), st.sampled_from([b"a", b"/etc/passwd", b".."]), st.just(0))
FIFO = st.tuples(st.just("fifo"), st.just(b""), MODES)
TREE = st.recursive(
    st.one_of(FILE, FILE, LINK, FIFO),
    lambda below: st.tuples(
        st.just("folder"),
        st.dictionaries(NAMES, below, max_size=4),
        st.sampled_from([0o755, 0o700, 0o2775]),
    ),
    max_leaves=12,
)
HOMES = st.dictionaries(NAMES, TREE, max_size=3)


def grow(path: Path, tree: tuple[str, object, int]) -> None:
    kind, content, mode = tree
    if kind == "link":
        path.symlink_to(os.fsdecode(content))  # type: ignore[arg-type]
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "file":
        path.write_bytes(content)  # type: ignore[arg-type]
    else:
        path.mkdir()
        for name, below in content.items():  # type: ignore[attr-defined]
            grow(path / name, below)
    if kind != "link":
        path.chmod(mode)


@needs_root
@settings(max_examples=100, deadline=None)
@given(staged=HOMES, live=HOMES, times=st.booleans())
def test_whatever_is_staged_comes_into_place_and_whatever_was_there_is_kept(
    staged: dict[str, tuple[str, object, int]],
    live: dict[str, tuple[str, object, int]],
    times: bool,
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as top:
        homes = Homes(Path(top))
        for where, trees in ((homes.staged, staged), (homes.live, live)):
            for name, tree in trees.items():
                grow(where / name, tree)
        age(homes.staged)
        age(homes.live)
        if times:
            for path in everything(homes.live):
                os.utime(path, (7, 7), follow_symlinks=False)
        before, wanted = seen(homes.live), seen(homes.staged)
        left = homes.compare(missing_only=True)
        would = homes.compare()
        assert seen(homes.live) == before
        assert homes.place(missing_only=True) == left
        after = seen(homes.live)
        assert {name: after[name] for name in before} == before
        assert not homes.replaced.exists()
        private_folder.clean(homes.top)
        homes.top.mkdir(mode=0o700)
        homes.staged.mkdir(parents=True)
        for name, tree in staged.items():
            grow(homes.staged / name, tree)
        age(homes.staged)
        done = homes.place()
        assert {name: what for name, what in would.items() if what != "missing"} == done
        check(homes, before, wanted)


def check(homes: Homes, before: Seen, wanted: Seen) -> None:
    """Hold what is there against what was there, and what was staged."""
    found = seen(homes.live)
    kept = seen(homes.replaced) if homes.replaced.exists() else {}
    wanted = without_root(wanted)
    assert {name: found[name] for name in wanted} == wanted
    for name, each in without_root(before).items():
        if each not in (found.get(name), kept.get(name)):
            # A folder stays in place: only its own attributes are those that were staged.
            assert each[4] == "folder"
            assert found[name] == wanted[name]
            assert found[name][4] == "folder"
