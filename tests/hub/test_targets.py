"""The target of each package: never down, never sideways, and no plugin that a hub lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import hub_folder
import pytest
import uv

from tljh_runbook.errors import VersionUnknown
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.settings import PLUGINS, Settings, UpgradeSettings
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.upgrade import changes
from tljh_runbook.hub.upgrade.guarantees.versions import GUARANTEE
from tljh_runbook.hub.versions import targets, upstream, versions
from tljh_runbook.hub.versions.targets import Target

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@h", "-c", "commit.gpgsign=false"]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PLASMA, TLJH = "tljh-plasma", "the-littlest-jupyterhub"


@dataclass(frozen=True)
class Repository:
    """A git repository in a folder, with commits that a test names."""

    folder: Path

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def git(self, *words: str) -> str:
        done = subprocess.run(
            [*GIT, "-C", str(self.folder), *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, name: str, files: dict[str, str] | None = None) -> str:
        for path, text in (files or {}).items():
            hub_folder.keep(self.folder / path, text, 0o644)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={name}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "git")
    made.folder.mkdir()
    made.git("init", "--quiet", "--initial-branch=master")
    return made


def install(source: Source, name: str, version: str, commit: str = "", url: str = "") -> None:
    """Have the hub's environment hold a package in the place of the one that it held."""
    module = name.replace("-", "_")
    for old in source.hub.environment.glob(f"lib/python*/site-packages/{module}*"):
        shutil.rmtree(old)
    info = hub_folder.distribution(source.hub, name, version, group="tljh", commit=commit)
    if url:
        about = {"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}}
        (info / "direct_url.json").write_text(json.dumps(about))


def choosing(source: Source, **written: object) -> Source:
    """Return the source with these settings of ``upgrade`` in its settings file, and no others."""
    upgrade = replace(UpgradeSettings(), **written)  # type: ignore[arg-type]
    names = frozenset(f"upgrade.{name}" for name in written)
    return replace(source, settings=replace(Settings(), upgrade=upgrade, written=names))


def target(source: Source, name: str) -> Target:
    found = source.targets.get(name)
    assert found
    return found


def shipping(source: Source, monkeypatch: pytest.MonkeyPatch, requirement: str) -> Source:
    """Return the source as a tool sees it that ships another default, with no settings written."""
    changed = (requirement, *PLUGINS[1:])
    monkeypatch.setattr(targets, "PLUGINS", changed)
    found = choosing(source, plugins=changed)
    return replace(found, settings=replace(found.settings, written=frozenset()))


@pytest.mark.parametrize("version", ["2.0.1.dev0", "2.1.0rc1", "2.1", "10.0.0", "2.0.0.post1"])
def test_a_tljh_newer_than_the_default_stays(source: Source, version: str) -> None:
    install(source, TLJH, version)
    found = target(choosing(source), TLJH)
    assert (found.why, found.version, found.changes) == (targets.NEWER, version, False)


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0b1", "2.0.0.dev0", "1.10.0"])
def test_an_older_tljh_goes_to_the_default(source: Source, version: str) -> None:
    install(source, TLJH, version)
    found = target(choosing(source), TLJH)
    assert (found.why, found.version, found.changes) == (targets.DEFAULT, "2.0.0", True)


def test_what_is_written_may_go_down_even_to_the_default(source: Source) -> None:
    install(source, TLJH, "2.1.0")
    found = target(choosing(source, tljh="2.0.0"), TLJH)
    assert (found.why, found.before, found.after) == (targets.SETTING, "2.1.0", "2.0.0")
    assert found.changes


def test_versions_compare_as_packaging_says(source: Source) -> None:
    install(source, TLJH, "2.0")
    assert not target(choosing(source), TLJH).changes


def test_a_plugin_that_descends_from_the_default_stays(
    source: Source, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, newer = repository.commit("default"), repository.commit("master of today")
    source = shipping(source, monkeypatch, f"{PLASMA} @ git+{repository.url}@{default}")
    install(source, PLASMA, "0.2.0", newer, repository.url)
    found = target(source, PLASMA)
    assert (found.why, found.commit, found.changes) == (targets.NEWER, newer, False)
    assert "newer than" in changes.remarks(source)[0]


def test_a_plugin_that_the_default_descends_from_is_upgraded(
    source: Source, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, default = repository.commit("older"), repository.commit("default")
    source = shipping(
        source, monkeypatch, f"{PLASMA} @ git+{repository.url}@{default}#subdirectory=x"
    )
    install(source, PLASMA, "0.2.0", older, repository.url)
    found = target(source, PLASMA)
    assert (found.why, found.commit, found.changes) == (targets.DEFAULT, default, True)
    assert found.requirement == f"{PLASMA} @ git+{repository.url}@{default}#subdirectory=x"


def test_a_plugin_of_another_branch_is_not_moved_sideways(
    source: Source, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("common")
    default = repository.commit("default")
    repository.git("checkout", "--quiet", "-b", "ours", "HEAD~1")
    ours = repository.commit("a change of our own")
    source = shipping(source, monkeypatch, f"{PLASMA} @ git+{repository.url}@{default}")
    install(source, PLASMA, "0.2.0", ours, repository.url)
    found = target(source, PLASMA)
    assert (found.why, found.commit, found.changes) == (targets.INCOMPARABLE, ours, False)
    assert "does not descend" in found.note


@pytest.mark.parametrize("commit", ["", "b" * 40])
def test_a_plugin_that_cannot_be_compared_stays(
    source: Source, repository: Repository, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    source = shipping(
        source, monkeypatch, f"{PLASMA} @ git+{repository.url}@{repository.commit('default')}"
    )
    install(source, PLASMA, "0.2.0", commit)
    found = target(source, PLASMA)
    assert (found.why, found.commit, found.changes) == (
        targets.INCOMPARABLE,
        commit or None,
        False,
    )
    assert found.note


@pytest.mark.parametrize(
    ("version", "commit", "why"),
    [
        ("3.0.16", "", targets.NEWER),
        ("3.1.0a1", "", targets.NEWER),
        ("3.0.15", "c" * 40, targets.INCOMPARABLE),
        ("3.0.14", "", targets.DEFAULT),
        ("3.0.15rc1", "", targets.DEFAULT),
    ],
)
def test_a_plugin_from_the_index_compares_by_version(
    source: Source, version: str, commit: str, why: str
) -> None:
    install(source, "tljh-repo2docker", version, commit)
    found = target(choosing(source), "tljh-repo2docker")
    assert (found.why, found.changes) == (why, why == targets.DEFAULT)


def test_new_defaults_bring_no_plugin_that_the_hub_does_not_have(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(next(source.hub.environment.glob("lib/python*/site-packages/tljh_plasma-*")))
    source = shipping(source, monkeypatch, "tljh-plasma==9.9")
    found = target(source, PLASMA)
    assert (found.why, found.changes, found.requirement) == (
        targets.ABSENT,
        False,
        f"{PLASMA}==None",
    )
    assert source.targets.plugins == []


def test_a_branch_is_resolved_to_its_commit(source: Source, repository: Repository) -> None:
    old = repository.commit("old")
    install(source, PLASMA, "0.2.0", old, repository.url)
    new = repository.commit("new")
    named = f"{PLASMA} @ git+{repository.url}@master#subdirectory=tljh-plasma"
    found = target(choosing(source, plugins=(named,)), PLASMA)
    assert (found.commit, found.after) == (new, f"{new[:12]} (@master)")
    assert found.requirement == f"{PLASMA} @ git+{repository.url}@{new}#subdirectory=tljh-plasma"
    assert found.hidden


def test_a_branch_without_an_address_is_one_of_where_it_came_from(
    source: Source, repository: Repository
) -> None:
    install(source, PLASMA, "0.2.0", repository.commit("old"), repository.url)
    new = repository.commit("new")
    assert target(choosing(source, plugins=(f"{PLASMA} @master",)), PLASMA).commit == new


def test_a_branch_that_is_written_may_go_back(source: Source, repository: Repository) -> None:
    old = repository.commit("old")
    repository.git("branch", "stable")
    install(source, PLASMA, "0.2.0", repository.commit("new"), repository.url)
    found = target(choosing(source, plugins=(f"{PLASMA} @ stable",)), PLASMA)
    assert (found.commit, found.changes) == (old, True)


def test_an_annotated_tag_is_its_commit(source: Source, repository: Repository) -> None:
    commit = repository.commit("release")
    repository.git("tag", "--annotate", "--message=x", "v0.7")
    install(source, PLASMA, "0.2.0", commit, repository.url)
    assert target(choosing(source, plugins=(f"{PLASMA} @ v0.7",)), PLASMA).commit == commit


def test_the_newest_release_is_the_highest_tag_and_no_pre_release(
    source: Source, repository: Repository
) -> None:
    old = repository.commit("old")
    for tag in ("v0.9", "v0.10", "v0.11rc1", "nightly"):
        commit = repository.commit(tag)
        repository.git("tag", "--annotate", "--message=x", tag)
        if tag == "v0.10":
            newest = commit
    install(source, PLASMA, "0.2.0", old, repository.url)
    wanted = choosing(source, plugins=(f"{PLASMA} @ newest",))
    assert target(wanted, PLASMA).commit == newest
    install(source, PLASMA, "0.2.0", repository.git("rev-parse", "HEAD"), repository.url)
    assert target(wanted, PLASMA).why == targets.NEWER


def test_the_newest_tljh_is_the_highest_release(source: Source, repository: Repository) -> None:
    commit = repository.commit("old")
    for tag in ("1.10.0", "1.9.0", "2.0.0b1"):
        repository.git("tag", tag)
    install(source, TLJH, "1.0.0", commit, repository.url)
    assert target(choosing(source, tljh="newest"), TLJH).version == "1.10.0"
    install(source, TLJH, "1.11.0.dev0", commit, repository.url)
    assert target(choosing(source, tljh="newest"), TLJH).why == targets.NEWER


def test_a_branch_of_tljh_is_resolved(source: Source, repository: Repository) -> None:
    install(source, TLJH, "1.0.0", repository.commit("old"), repository.url)
    new = repository.commit("new")
    found = target(choosing(source, tljh="@master"), TLJH)
    assert (found.commit, found.after) == (new, f"{new[:12]} (@master)")


def test_a_branch_that_cannot_be_resolved_is_an_error_and_not_a_guess(
    source: Source, repository: Repository
) -> None:
    install(source, PLASMA, "0.2.0", repository.commit("old"), repository.url)
    wanted = choosing(source, plugins=(f"{PLASMA} @nowhere",))
    assert not target(wanted, PLASMA).changes
    with pytest.raises(VersionUnknown, match="@nowhere"):
        wanted.targets.require()


def test_a_git_that_never_answers_has_a_deadline(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "bin" / "git"
    hub_folder.keep(slow, "#!/bin/sh\nsleep 600 & wait\n", 0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
    monkeypatch.setattr(upstream, "SECONDS", 0.5)
    found = target(choosing(source, plugins=(f"{PLASMA} @ git+file:///x@master",)), PLASMA)
    assert "no answer" in found.note


def asked_of_tljh(source: Source, *lines: str) -> None:
    """Have the installed TLJH be the default's version, and ask for ranges."""
    install(source, TLJH, "2.0.0")
    site = next(source.hub.environment.glob("lib/python*/site-packages"))
    text = "".join(f"{line}\n" for line in ("# comment", *lines))
    hub_folder.keep(site / "tljh" / "requirements-hub-env.txt", text, 0o644)


@pytest.fixture
def pip(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the hub's environment a real pip, whose index is a folder; return that."""
    kept = list(source.hub.environment.glob("lib/python*/site-packages/*"))
    made = [uv.find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable]
    subprocess.run([*made, "--allow-existing", str(source.hub.environment)], check=True)
    site = next(iter(source.hub.environment.glob(f"lib/{PYTHON}/site-packages")))
    for path in kept:
        if path.parent != site:
            path.rename(site / path.name)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def offer(index: Path, name: str, version: str) -> None:
    """Put a wheel with nothing in it into the index."""
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(index / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        described = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{about}/METADATA", described)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_a_newer_jupyterhub_within_the_range_of_tljh_is_a_change(source: Source, pip: Path) -> None:
    asked_of_tljh(source, "jupyterhub>=5.2.0,<6", "pycurl>=7 --no-binary=pycurl")
    install(source, "jupyterhub", "5.2.1")
    for version in ("5.2.1", "5.5.4", "5.6.0rc1", "6.0.0"):
        offer(pip, "jupyterhub", version)
    found = target(choosing(source), "jupyterhub")
    assert (found.why, found.before, found.after) == (targets.RANGE, "5.2.1", "5.5.4")
    assert found.changes
    assert found.requirement == "jupyterhub==5.5.4"
    install(source, "jupyterhub", "5.5.4")
    assert not target(choosing(source), "jupyterhub").changes


NOTHING = "# takes --version, and finds all that it asks for\n"


def test_what_the_installer_leaves_below_the_range_is_installed_once(
    source: Source, pip: Path
) -> None:
    asked_of_tljh(source, "jupyterhub>=5.2.0,<6")
    install(source, "jupyterhub", "5.5.1")
    offer(pip, "jupyterhub", "5.5.4")
    hub_folder.keep(Path(source.settings.upgrade.installer), NOTHING, 0o755)
    files.make_private(source.hub.work)
    known = versions.packages(source.hub)
    wanted = targets.Targets(
        (
            Target(TLJH, known[TLJH], targets.DEFAULT, "2.0.0"),
            Target("jupyterhub", known["jupyterhub"], targets.RANGE, "5.5.4"),
        )
    )
    for installs in (True, False):
        assert installer.run(replace(source, resolved=wanted), print) is installs
        assert versions.packages(source.hub)["jupyterhub"].version == "5.5.4"


def test_authenticators_spawners_and_the_proxy_count_and_their_libraries_do_not(
    source: Source, pip: Path
) -> None:
    names = ["oauthenticator", "jupyterhub-systemdspawner", "jupyterhub-traefik-proxy", "pycurl"]
    asked_of_tljh(source, *(f"{name}>=1,<3" for name in [*names, "jupyterhub-tmpauthenticator"]))
    for name in names:
        install(source, name, "1.0")
        offer(pip, name, "2.0")
    offer(pip, "jupyterhub-tmpauthenticator", "2.0")
    found = [each for each in choosing(source, plugins=()).targets if each.changes]
    assert [each.name for each in found if each.why != targets.SECURITY] == names[:3]


def test_a_jupyterhub_newer_than_the_range_stays(source: Source, pip: Path) -> None:
    asked_of_tljh(source, "jupyterhub>=5.2.0,<6")
    install(source, "jupyterhub", "6.0.0")
    offer(pip, "jupyterhub", "5.4.2")
    found = target(choosing(source), "jupyterhub")
    assert (found.why, found.version, found.changes) == (targets.NEWER, "6.0.0", False)


def test_without_an_index_it_is_not_known_and_no_failure(
    source: Source, pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_of_tljh(source, "jupyterhub>=5.2.0,<6")
    install(source, "jupyterhub", "5.5.4")  # no advisory is known of it
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    found = target(choosing(source), "jupyterhub")
    assert (found.why, found.changes) == (targets.UNKNOWN, False)
    assert "JupyterHub stays at 5.5.4: it is not known" in changes.remarks(choosing(source))[-1]
    choosing(source).targets.require()  # raises nothing


def test_an_exact_version_is_no_question_to_an_index(source: Source) -> None:
    asked_of_tljh(source, "jupyterhub==5.5.4")
    install(source, "jupyterhub", "5.2.1")
    assert not source.hub.python.exists()
    assert target(choosing(source), "jupyterhub").after == "5.5.4"


def test_the_range_is_that_of_the_tljh_that_an_upgrade_brings(
    source: Source, repository: Repository
) -> None:
    old = repository.commit("1", {"tljh/requirements-hub-env.txt": "jupyterhub==4.1.6\n"})
    repository.commit("2", {"tljh/requirements-hub-env.txt": "jupyterhub==5.5.4\n"})
    repository.git("tag", "2.0.0")
    install(source, TLJH, "1.0.0", old, repository.url)
    found = choosing(source).targets
    assert [(each.title, each.before, each.after) for each in found if each.changes] == [
        ("TLJH", "1.0.0", "2.0.0"),
        ("JupyterHub", "4.1.6", "5.5.4"),
    ]


def test_the_newest_of_an_index_may_be_named(source: Source, pip: Path) -> None:
    install(source, "tljh-repo2docker", "3.0.15")
    offer(pip, "tljh-repo2docker", "3.0.16")
    wanted = choosing(source, plugins=("tljh-repo2docker==newest",))
    assert target(wanted, "tljh-repo2docker").after == "3.0.16 (newest)"
    install(source, "tljh-repo2docker", "3.0.16")
    assert not target(wanted, "tljh-repo2docker").changes


def test_what_was_resolved_is_what_is_verified_although_the_branch_moves(
    source: Source, repository: Repository
) -> None:
    install(source, TLJH, "2.0.0")
    install(source, PLASMA, "0.2.0", repository.commit("old"), repository.url)
    asked = repository.commit("asked for")
    settled = choosing(source, plugins=(f"{PLASMA} @ master",)).settled()
    before = json.loads(json.dumps(GUARANTEE.measure(settled)))
    later = repository.commit("a minute later")
    install(source, PLASMA, "0.2.0", asked, repository.url)
    assert GUARANTEE.judge(before, GUARANTEE.measure(source)) == (True, "as asked")
    install(source, PLASMA, "0.2.0", later, repository.url)
    kept, said = GUARANTEE.judge(before, GUARANTEE.measure(source))
    assert not kept
    assert said == f"{PLASMA} is 0.2.0 ({later[:12]}), not {asked[:12]} (@master)"


def test_a_package_that_stays_is_verified_too(source: Source) -> None:
    install(source, TLJH, "2.1.0")
    before = json.loads(json.dumps(GUARANTEE.measure(choosing(source).settled())))
    install(source, TLJH, "2.0.0")
    assert GUARANTEE.judge(before, GUARANTEE.measure(source)) == (False, "TLJH is 2.0.0, not 2.1.0")


def test_what_nobody_has_resolved_is_not_judged(source: Source) -> None:
    measured = GUARANTEE.measure(source)
    assert GUARANTEE.judge(measured, measured)[0] is None
    assert GUARANTEE.judge([], measured)[0] is None  # as an earlier version of the tool kept it
