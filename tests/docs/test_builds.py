"""The site is published as Read the Docs does it, and every address in it leads somewhere.

The suite itself runs on one Python. Here the site is built in full on the one that Read the Docs
uses, the newest, and nightly as pages alone on the oldest. Each has a Sphinx of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import supported
from documented.folder import Folder

from tljh_runbook.hub.core import yaml

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "published-urls.txt"
LABELS = {"persistence-user-data", "install-ansible", "install-individual-playbook"}
ADDRESS = "https://tljh-runbook.readthedocs.io/en/latest/"
OLDEST = supported.ENDS[0]
# Their anchors come and go with the code; test_complete holds that each thing has one.
MADE_FROM_CODE = ("error-", "setting-", "variable-", "playbook-", "component-", "guarantee-")

pytestmark = pytest.mark.long


def interpreter(version: str) -> str | None:
    """Return a Python of this version: the running one, pyenv's, or one on the PATH."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [*sorted(map(str, pyenv.glob(f"{version}.*/bin/python"))), f"python{version}"]
    return next((shutil.which(each) for each in found if works(each)), None)


def works(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: object, cwd: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def checked_out(folder: Path) -> Path:
    """Return a copy of the repository without what was made in it."""
    made = (".git", ".venv*", ".sandbox", "_build", "logs", "dist", "*cache*", "*.egg-info")
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*made)))


def installed(checkout: Path, python: str, *requirements: str) -> Path:
    """Make an environment from nothing but these files; return its programs' folder."""
    uv = (sys.executable, "-m", "uv")
    programs = checkout.with_name("environment") / "bin"
    run(*uv, "venv", "--python", python, programs.parent, cwd=checkout)
    files = [part for name in requirements for part in ("-r", name)]
    run(*uv, "pip", "install", "--python", programs / "python", *files, cwd=checkout)
    return programs


def environment(programs: Path, **more: object) -> dict[str, str]:
    """Return the variables of a clean shell in which the environment is active."""
    home = str(programs.parent)
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        **{name: str(value) for name, value in more.items()},
    }


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Read the Docs would publish: its own commands, as they stand in its file."""
    asked: dict[str, Any] = yaml.parse((ROOT / ".readthedocs.yaml").read_text())
    folder = tmp_path_factory.mktemp("read-the-docs")
    checkout = checked_out(folder / "checkout")
    python = interpreter(asked["build"]["tools"]["python"]) or sys.executable
    requirements = [each["requirements"] for each in asked["python"]["install"]]
    variables = environment(
        installed(checkout, python, *requirements),
        READTHEDOCS=True,
        READTHEDOCS_OUTPUT=folder / "output",
        READTHEDOCS_CANONICAL_URL=ADDRESS,
    )
    commands = asked["build"]["jobs"]["build"]
    for form in ("html", *asked["formats"]):
        for command in commands[form]:
            run("sh", "-c", command, cwd=checkout, env=variables)
    return folder / "output"


@pytest.fixture(scope="module")
def site(output: Path) -> Folder:
    return Folder(output / "html")


@pytest.fixture(scope="module")
def offline(output: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The one zip file, unpacked."""
    folder = tmp_path_factory.mktemp("offline")
    with zipfile.ZipFile(only(output / "htmlzip", "zip")) as packed:
        packed.extractall(folder)
    return Folder(only(folder, "*"))


def only(folder: Path, pattern: str) -> Path:
    """Return the one file in a folder: Read the Docs refuses a second one."""
    (found,) = folder.iterdir()
    assert found.match(f"*{pattern}")
    return found


def anchors(site: Folder) -> Iterator[tuple[str, str]]:
    """Yield each label with its address: behind four lines of text the inventory is compressed."""
    packed = (site.path / "objects.inv").read_bytes().split(b"\n", 4)[4]
    for line in zlib.decompress(packed).decode().splitlines():
        name, kind, _, address, _ = line.split(" ", 4)
        if kind in {"std:label", "step:step"} and "#" in address:
            yield name, address.replace("$", name)


def published() -> list[str]:
    return LIST.read_text(encoding="utf-8").splitlines()


def test_every_page_knows_its_address(site: Folder) -> None:
    for name in site.names:
        if name != "404.html":
            assert f'rel="canonical" href="{ADDRESS}{name}"' in (site.path / name).read_text()


def test_the_page_for_a_wrong_address_works_at_every_depth(site: Folder) -> None:
    page = site.page("404.html")
    from_the_top = [each for each in page.links | page.loads if each.startswith("/")]
    assert len(from_the_top) > len(site.names) / 2
    assert all(each.startswith("/en/latest/") for each in from_the_top)
    assert not any(each.startswith("../") or each[0].isalpha() for each in page.loads)


def test_labels_that_others_link_to(site: Folder) -> None:
    assert {name for name, _ in anchors(site)} >= LABELS


def test_commands_are_shown_as_they_are_typed(site: Folder) -> None:
    """Two hyphens stay two, and a default is no piece of Python."""
    text = (site.path / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "--hub" in text
    assert not re.findall(r"\u2013(?=[a-z])|PosixPath", text)


def test_every_address_ever_published_still_leads_somewhere(site: Folder) -> None:
    gone = [address for address in published() if not site.has(address)]
    assert gone == [], (
        "People have links to these. Bring the page or its label back; a page that must move "
        "leaves a redirect: `redirects` in conf.py, of the extension sphinx-reredirects."
    )


def test_every_page_and_label_is_in_the_list_of_addresses(site: Folder) -> None:
    labels = (address for name, address in anchors(site) if not name.startswith(MADE_FROM_CODE))
    missing = sorted({*site.names, *labels} - {*published()})
    assert missing == [], f"Add these lines to {LIST.relative_to(ROOT)}."


def test_the_list_of_addresses_is_in_order() -> None:
    assert published() == sorted(set(published()))


def test_no_link_within_the_site_leads_nowhere(site: Folder) -> None:
    assert list(site.dead_links()) == []


def test_the_offline_copy_is_the_site_and_needs_no_network(site: Folder, offline: Folder) -> None:
    assert offline.names == site.names
    assert list(offline.dead_links()) == []
    assert list(offline.loads_from_elsewhere()) == []


def test_the_book_holds_every_page(site: Folder, output: Path) -> None:
    with zipfile.ZipFile(only(output / "epub", "epub")) as book:
        assert book.namelist()[0] == "mimetype"
        held = {name.removesuffix(".xhtml") for name in book.namelist()}
    assert {name.removesuffix(".html") for name in site.names} - held == {"404", "search"}


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#there">1</a><a href="b.html#gone">2</a>')
    (tmp_path / "b.html").write_text('<p id="there"><img src="gone.png"><a href="a.html">3</a>')
    assert list(Folder(tmp_path).dead_links()) == ["a.html: b.html#gone", "b.html: gone.png"]


def test_what_is_loaded_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<script src="//cdn.example.org/x.js"></script>')
    assert list(Folder(tmp_path).loads_from_elsewhere()) == ["//cdn.example.org/x.js"]


@pytest.mark.nightly
def test_the_oldest_python_builds_every_page_without_a_warning(tmp_path: Path) -> None:
    python = interpreter(OLDEST)
    if python is None:
        pytest.skip(f"Python {OLDEST} is not on this machine")
    checkout = checked_out(tmp_path / "checkout")
    programs = installed(checkout, python, "requirements.txt")
    task = ("-m", "invoke", "docs.build", "--to", tmp_path / "site")
    run(programs / "python", *task, cwd=checkout, env=environment(programs))
    assert {name for name, _ in anchors(Folder(tmp_path / "site"))} >= LABELS


def test_a_warning_fails_the_build_the_second_time_too(tmp_path: Path) -> None:
    """Sphinx warns of a page when it reads it, and reads it again only when it has changed."""
    task = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "docs.build"]
    page = tmp_path / "docs" / "index.md"
    page.parent.mkdir()
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\n')
    codes = []
    for text in ("# Good\n", "# Bad\n\n### Three\n", "# Bad\n\n### Three\n"):
        page.write_text(text)
        done = subprocess.run(task, cwd=tmp_path, capture_output=True, check=False)
        codes.append(done.returncode)
    assert codes == [0, 1, 1]
