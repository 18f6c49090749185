"""The tasks of this project itself: its documentation, its tests, its gate."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

from tljh_runbook.guide.session import Session
from tljh_runbook.guide.steps import Run

BUILT = "docs/_build"
# -E: Sphinx warns of what it reads only when it reads it, so a second build would pass for clean.
SPHINX = ("-E", "-n", "-W", "--keep-going", "-c", ".", "-d", f"{BUILT}/doctrees", "docs")
DOCTEST = ("sphinx-build", "-q", "-b", "doctest", *SPHINX, f"{BUILT}/doctest")
OFFLINE = "tljh-runbook"
WHERE = "The folder to write into."
UPGRADED = {
    "report": "The report that the upgrade left in its snapshot: reports/upgrade-….json.",
    "back": "What `tljh-runbook rollback --yes --json` printed afterwards.",
    "where": "On what it ran, in words that end a sentence.",
}
TESTS = {
    "record": "Take the evidence of all blocks again, also where nothing has changed.",
    "accept": "Let the pages show what was printed, where it differs.",
}

UPSTREAM = {
    "tljh": "The git address of TLJH, in the place of upstream's; a folder will do.",
    "plasma": "The git address of Plasma.",
    "place": "A folder of files that each server is given first, such as traefik and conda.",
    "record": "Store the results in docs/measured/upstream.json.",
}

# Three parts at a time on two processors: most tests wait for programs of their own.
PARTS = ("-n", "3", "--dist", "loadgroup", "--no-loadscope-reorder")
BOOTED = ("--ignore", "tests/system", "--ignore", "tests/upstream")
KILLS = "--kills=20"
BUSY = {
    "runs": "How many upgrades and rollbacks, in turn.",
    "lose": "In one of so many a user's server is lost on purpose, which must be noticed.",
}
BENCH = {
    "only": "Groups, with commas between: start, copies, user-data, upgrade, files, booted.",
    "rounds": "How often each figure is measured.",
    "copies": "How many copies of a database that is written to must be sound.",
    "record": "Keep what was measured in docs/measured/bench.json.",
}


def _run(c: Context, *commands: tuple[str, ...]) -> None:
    Session().run([Run(command) for command in commands], dry=c.config.run.dry)


def build(c: Context, to: str = f"{BUILT}/html") -> None:
    """Build the site; every warning is an error."""
    _run(c, ("sphinx-build", "-q", "-b", "html", *SPHINX, to))


def offline(c: Context, to: str = f"{BUILT}/htmlzip") -> None:
    """Build the site into one zip file, to be kept for the day on which there is no network."""
    site = f"{BUILT}/offline/{OFFLINE}"
    _run(
        c,
        ("rm", "-rf", site),
        ("sphinx-build", "-q", "-b", "html", *SPHINX, site),
        ("mkdir", "-p", to),
        ("python", "-m", "zipfile", "-c", f"{to}/{OFFLINE}.zip", f"{site}/"),
    )


def epub(c: Context, to: str = f"{BUILT}/epub") -> None:
    """Build the pages into one file for a reader of books."""
    book = f"{BUILT}/book"
    _run(
        c,
        ("sphinx-build", "-q", "-b", "epub", *SPHINX, book),
        ("mkdir", "-p", to),
        ("cp", f"{book}/{OFFLINE}.epub", to),
    )


def links(c: Context) -> None:
    """Ask for every page elsewhere that the guide links to; it needs the internet."""
    _run(c, ("sphinx-build", "-q", "-b", "linkcheck", *SPHINX, f"{BUILT}/links"))


def upgraded(c: Context, report: str, back: str, where: str) -> None:
    """Keep what an upgrade took, for the page *Upgrading*: docs/measured/upgrade.json."""
    _run(c, ("python", "-m", "tljh_runbook.reference", report, back, where))


def serve(c: Context) -> None:
    """Show the site while it is being written, at http://127.0.0.1:8000."""
    _run(c, ("sphinx-autobuild", "--watch", "src", "-c", ".", "docs", f"{BUILT}/live"))


def docs_test(c: Context, record: bool = False, accept: bool = False) -> None:
    """Carry out every transcript on every page, and compare with what the page shows."""
    asked = [f"--{name}" for name, given in (("record", record), ("accept", accept)) if given]
    _run(c, DOCTEST, ("pytest", "-q", "tests/docs", *asked))


def mutants(c: Context) -> None:
    """Say how many lies on the page Upgrading the last docs.test would have found."""
    _run(c, ("python", "tests/docs/mutants.py"))


def test(c: Context) -> None:
    """Run the gate, the tests, the site, and every documented example; not the booted servers."""
    check(c)
    _run(c, DOCTEST, ("pytest", *PARTS, "-m", "not nightly", *BOOTED))


def nightly(c: Context) -> None:
    """Run the tests that `test` leaves out because they add little and take long."""
    upgrading = ("pytest", "-q", "tests/docs/test_transcripts.py", "-k", "test_transcript[upgrade:")
    _run(c, ("pytest", *PARTS, "-m", "nightly", KILLS, *BOOTED), upgrading)
    mutants(c)


def system(c: Context) -> None:
    """Boot servers, deploy them over SSH, and use, back up, upgrade and reboot them."""
    _run(c, ("pytest", "-x", "tests/system"))


def upstream(
    c: Context, tljh: str = "", plasma: str = "", place: str = "", record: bool = False
) -> None:
    """Run the stories of the real TLJH and Plasma on booted servers; not part of `test`."""
    given = {
        "tljh": tljh,
        "plasma": plasma,
        "place": place,
        "record": "docs/measured/upstream.json" if record else "",
    }
    options = [f"--{name}={value}" for name, value in given.items() if value]
    _run(c, ("pytest", "tests/upstream", *options))


def faults(c: Context) -> None:
    """Kill many upgrades at moments chosen by chance, and see what is left of the hub."""
    _run(c, ("pytest", "-n", "2", "--kills=50", "tests/hub/test_faults.py"))


def busy(c: Context, runs: int = 40, lose: int = 5) -> None:
    """Upgrade a sandbox and roll it back while users work; lose servers on purpose."""
    _run(c, ("python", "tests/busy/busy.py", f"--runs={runs}", f"--lose={lose}"))


def bench(
    c: Context, only: str = "", rounds: int = 5, copies: int = 100, record: bool = False
) -> None:
    """Measure what is to be quick, beside a peer in the same run; best on an idle machine."""
    chosen = tuple(f"--only={each}" for each in only.split(",") if each)
    kept = ("--record",) if record else ()
    options = (f"--rounds={rounds}", f"--copies={copies}", *chosen, *kept)
    _run(c, ("python", "tests/benchmarks", *options))


def check(c: Context) -> None:
    """Check code and words without running anything: ruff, mypy, codespell and other readers."""
    _run(
        c,
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("codespell", "docs", "src", "tests", "README.md", "changelog.d"),
        ("mypy",),
        ("lint-imports",),
        ("ansible-lint", "-q", "src/tljh_runbook/playbooks"),
    )


def lock(c: Context) -> None:
    """Resolve requirements.in again into requirements.txt, for every supported Python at once."""
    options = ("--universal", "--python-version", "3.10", "--no-annotate", "--quiet")
    _run(c, ("uv", "pip", "compile", *options, "requirements.in", "-o", "requirements.txt"))


def bundle(c: Context) -> None:
    """Write the hub half into one file, dist/tljh-runbook.pyz, to be brought to a server."""
    _run(c, ("python", "-m", "tljh_runbook.bundle", "dist/tljh-runbook.pyz"))


def advisories(c: Context, address: str) -> None:
    """Refresh the list of advisories that ships with the tool, from a clone of PyPA's database."""
    _run(c, ("python", "-m", "tljh_runbook.reference.shipped_advisories", address))


def add(root: Collection) -> None:
    """Add the project's tasks to ``root``."""
    docs = Collection("docs")
    docs.add_task(Task(build, help={"to": WHERE}), default=True)
    docs.add_task(Task(offline, help={"to": WHERE}))
    docs.add_task(Task(epub, help={"to": WHERE}))
    docs.add_task(Task(links))
    docs.add_task(Task(upgraded, help=UPGRADED))
    docs.add_task(Task(serve))
    docs.add_task(Task(docs_test, help=TESTS, auto_shortflags=False), name="test")
    docs.add_task(Task(mutants))
    root.add_collection(docs)
    tests = Collection("test")
    tests.add_task(Task(test), name="all", default=True)
    tests.add_task(Task(nightly))
    tests.add_task(Task(system))
    tests.add_task(Task(upstream, help=UPSTREAM, auto_shortflags=False))
    tests.add_task(Task(faults))
    tests.add_task(Task(busy, help=BUSY))
    root.add_collection(tests)
    root.add_task(Task(bench, help=BENCH))
    root.add_task(Task(advisories, help={"address": "The git address of the database."}))
    for each in (check, lock, bundle):
        root.add_task(Task(each))
