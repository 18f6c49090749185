"""Every text that an error prints stands in the reference, as the source has it."""

from __future__ import annotations

import html
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_fixtures import Cli
from sphinx.search.en import SearchEnglish

from tljh_runbook import hints
from tljh_runbook.errors import NoHub, RunbookError, SettingsInvalid, SnapshotMissing
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.reference import sources, symptoms
from tljh_runbook.reference.sources import Package
from tljh_runbook.reference.symptoms import Site, Symptom

# What cannot be read where it is made: file, and what is called there.
ALLOWED = {
    ("hub/database/postgres_dump.py", "RestoreFailed"),  # repeats the text of another error
    ("hub/database/sqlite.py", "kind"),  # told() takes it from the table _ERRORS, which is read
}
FEWEST = 2  # words of its own by which a text can be recognised


@pytest.fixture(scope="module")
def package() -> Package:
    return sources.package()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], list[Symptom]]:
    """Return the symptoms in a package of one module."""

    def read(source: str) -> list[Symptom]:
        folder = tmp_path / "made_up"
        folder.mkdir()
        (folder / "module.py").write_text(f"from tljh_runbook.errors import *\n{source}")
        return symptoms.every(sources.package(folder))

    return read


def shown(found: list[Symptom]) -> list[str]:
    return [f"{each.message} | {each.hint}" for each in found]


def unreadable(site: Site, package: Package) -> str:
    """Return what is wrong with an error's texts, or ''."""
    found = symptoms.read(site, package)
    mute = [str(each.message) for each in found if len(each.message.words) < FEWEST]
    if found and not mute:
        return ""
    return f"{site.place} {site.kind or site.made_by}: {mute or 'the source does not tell'}"


def test_every_place_that_makes_an_error_is_read(package: Package) -> None:
    found = list(symptoms.sites(package))
    wrong = [
        said
        for site in found
        if (said := unreadable(site, package))
        and (site.place.partition(":")[0], site.made_by) not in ALLOWED
    ]
    assert wrong == []
    assert len(found) > 50


def test_what_is_allowed_is_still_there(package: Package) -> None:
    here = {(site.place.partition(":")[0], site.made_by) for site in symptoms.sites(package)}
    assert here >= ALLOWED


def test_every_error_has_a_text(package: Package) -> None:
    """An error that nothing raises is a symptom that nobody can have."""
    kinds = {each.kind for each in symptoms.every(package)}
    assert {NoHub.__name__, SettingsInvalid.__name__, SnapshotMissing.__name__} <= kinds


READ = {
    "plain": ('NoHub("No hub.", hint="Look.")', ["No hub. | Look."]),
    "implicit": ('NoHub("No " "hub.", hint="Look" + " again.")', ["No hub. | Look again."]),
    "hole": ('NoHub(f"Not in {a.path}.", hint="Look.")', ["Not in PATH. | Look."]),
    "quoted": ('NoHub(f"No {name!r}.", hint="Look.")', ["No 'NAME'. | Look."]),
    "words": ('NoHub(f"It says: {why}.", hint="Look.")', ["It says: …. | Look."]),
    "either": (
        'NoHub("No hub" if x else f"No {y}", hint="Look.")',
        ["No hub | Look.", "No Y | Look."],
    ),
    "or": (
        'NoHub(f"It is {x or \'not here\'}.", hint="L")',
        ["It is not here. | L", "It is X. | L"],
    ),
    "path": ('NoHub(f"No {a.work / \'log\'}.", hint="L")', ["No WORK/log. | L"]),
    "constant": ('HINT = "Look."\nNoHub("No hub.", hint=HINT)', ["No hub. | Look."]),
    "number": ('N = 3\nNoHub(f"Not {N}.", hint="L")', ["Not 3. | L"]),
    "local": (
        'def f():\n    told = f"No {x}."\n    hint = "L"\n    raise NoHub(told, hint=hint)',
        ["No X. | L"],
    ),
    "loop": (
        'for x in ("a", "b"):\n    pass\n'
        'def f():\n    for y in ("a", "b"):\n        raise NoHub(f"No {y}.", hint="L")',
        ["No a. | L", "No b. | L"],
    ),
    "helper": (
        'def fail(x, why):\n    return NoHub(f"{x}: {why} Sorry.", hint="L")\n'
        'fail(p, "it is gone.")\nfail(p, f"it is {x}.")\nfail(p, why=str(error))',
        ["X: it is gone. Sorry. | L", "X: it is X. Sorry. | L", "X: … Sorry. | L"],
    ),
    "helper without words": (
        'def fail(x, state):\n    return NoHub(f"{x}: {state}", hint="L")\n'
        'fail(p, "It is gone.")\nfail(p, state)',
        ["X: It is gone. | L"],
    ),
    "result": (
        'def where(hub):\n    return f"See {hub.log}"\nNoHub("No hub.", hint=f"{where(h)}!")',
        ["No hub. | See LOG!"],
    ),
    "table": (
        'T = {"a": (NoHub, "No {name}.", "Look: ls {path}")}',
        ["No NAME. | Look: ls PATH"],
    ),
    "subclass": ('class Gone(NoHub): pass\nGone("It is gone.", hint="L")', ["It is gone. | L"]),
    "itself": ('def f():\n    x = f"no {x}"\n    NoHub(x, hint="L")', ["no X | L"]),
}


@pytest.mark.parametrize("name", READ)
def test_how_a_text_is_read(written: Callable[[str], list[Symptom]], name: str) -> None:
    source, wanted = READ[name]
    found = written(source)
    assert shown(found) == wanted
    assert {each.kind for each in found} == {"NoHub"}


@pytest.mark.parametrize(
    "source",
    ['NoHub(error.message, hint="L")', 'kind(f"No {x}", hint="L")', 'NoHub(f(x), hint="L")'],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, source: str) -> None:
    (tmp_path / "module.py").write_text(f"from x import NoHub\n\nraise {source}\n")
    made = sources.package(tmp_path)
    (site,) = symptoms.sites(made)
    assert unreadable(site, made).startswith("module.py:3 ")


def wrong_setting(hub: Hub) -> list[str]:
    hub.settings_file.write_text("upgrade: {healthy_within: 0}\n")
    return ["snapshots", "--hub", str(hub.prefix)]


def no_database(hub: Hub) -> list[str]:
    (hub.state / "jupyterhub.sqlite").unlink()
    return ["backup", "--hub", str(hub.prefix)]


def broken_database(hub: Hub) -> list[str]:
    (hub.state / "jupyterhub.sqlite").write_text("no database at all")
    return ["backup", "--hub", str(hub.prefix)]


def broken_config(hub: Hub) -> list[str]:
    hub.config_file.write_text("- a\n- list\n")
    return ["upgrade", "--hub", str(hub.prefix)]


def damaged_snapshot(hub: Hub) -> list[str]:
    (hub.root / "var/backups/tljh/20260115T220000Z").mkdir(parents=True)
    return ["snapshots", "show", "--hub", str(hub.prefix)]


RAISED: dict[str, Callable[[Hub], list[str]]] = {
    "no hub": lambda _: ["check", "--hub", "/nowhere"],
    "no snapshot": lambda hub: ["snapshots", "show", "--hub", str(hub.prefix)],
    "no component": lambda hub: ["backup", "databse", "--hub", str(hub.prefix)],
    "wrong setting": wrong_setting,
    "no database": no_database,
    "broken database": broken_database,
    "broken config": broken_config,
    "damaged snapshot": damaged_snapshot,
}


@pytest.mark.parametrize("name", RAISED)
def test_what_is_printed_stands_in_the_reference(
    hub: Hub, cli: Cli, package: Package, name: str
) -> None:
    done = cli(*RAISED[name](hub), "--json")
    told = json.loads(done.stdout)["error"]
    kinds = {each.__name__ for each in every_kind(RunbookError) if each.code == told["code"]}
    fitting = [
        each
        for each in symptoms.every(package)
        if re.fullmatch(each.message.pattern, told["message"], re.DOTALL)
        and re.fullmatch(each.hint.pattern, told["hint"], re.DOTALL)
    ]
    assert kinds & {each.kind for each in fitting}, told
    assert any(len(each.message.words) > FEWEST for each in fitting)


def every_kind(kind: type[RunbookError]) -> list[type[RunbookError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in every_kind(below))]


CONFIG = """
extensions = ["myst_parser", "tljh_runbook.reference"]
html_theme = "basic"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the table of errors alone."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "conf.py").write_text(CONFIG)
    (folder / "index.md").write_text("# Errors\n\n```{error-table}\n```\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", ".", "built"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return folder / "built"


def test_the_page_shows_the_texts_verbatim(built: Path, package: Package) -> None:
    page = plain(html.unescape(re.sub(r"<[^>]+>", "", (built / "index.html").read_text())))
    for each in symptoms.every(package):
        assert plain(f"error: {each.message}") in page
        assert plain(f"hint: {each.hint}") in page


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_search_finds_every_word_of_a_text(built: Path, package: Package) -> None:
    text = (built / "searchindex.js").read_text()
    terms = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    english = SearchEnglish({})
    # What stands between two holes of a text, in the words that the search goes by.
    own = " ".join(word for each in symptoms.every(package) for word in str(each.message).split())
    words = {word.lower() for word in re.findall(r"\w+", own)}
    sought = [word for word in words if english.word_filter(word)]
    assert [word for word in sought if not {word, english.stem(word)} & set(terms)] == []
    assert len(sought) > 100


def test_the_page_is_made_anew_when_a_source_changes(built: Path, package: Package) -> None:
    pickled = (built / ".doctrees" / "environment.pickle").read_bytes()
    known = {str(path) for path in pickle.loads(pickled).dependencies["index"]}  # noqa: S301
    assert {module.file.name for module in package.modules.values()} <= {
        Path(path).name for path in known
    }


COMMANDS = re.compile(rf"(?<![\w/-])(?:{'|'.join(hints.PROGRAMS)}) ")


def test_every_command_of_a_hint_can_be_copied_as_a_line() -> None:
    """Nothing is on its line but the command: no words before it, no full stop after it."""
    shown = [line for each in symptoms.every() for line in hints.lines(str(each.hint))]
    found = [line for line in shown if COMMANDS.search(line)]
    assert len(found) > 60
    assert [line for line in found if not re.fullmatch(r"  (?!.*\. [A-Z…]).*[^.]", line)] == []


def test_no_value_in_a_hint_becomes_a_line_of_its_own() -> None:
    hint = ("Look: ls -ld 'a\nsudo reboot'", "Then go on.")
    shown = hints.lines(NoHub("No hub.", hint=hint).hint)
    assert shown == ["Look:", "  ls -ld 'a\\nsudo reboot'", "Then go on."]


@pytest.mark.parametrize("hint", ["Go on.", "Look: df -h\nThen: sudo a\nsudo b\nGo on."])
def test_a_hint_that_was_shown_is_read_as_it_was(hint: str) -> None:
    assert hints.read("\n".join(hints.lines(hint))) == hint
