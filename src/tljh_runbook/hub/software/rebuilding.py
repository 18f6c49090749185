"""Recreation of the hub's environment if its Python is gone: same packages, new Python."""

from __future__ import annotations

import shutil
from importlib.metadata import Distribution
from pathlib import Path

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import installer, security_fixes
from tljh_runbook.hub.software.installer import Elsewhere, Say
from tljh_runbook.hub.versions import interpreter, versions
from tljh_runbook.hub.versions.versions import Package

# These come with Python, and versions for an older Python fail on a newer one. Plugins may import
# pkg_resources, which setuptools dropped after version 80; Debian once listed it as a package.
FITTING = {"pip": "pip", "setuptools": "setuptools<81", "wheel": "wheel", "pkg-resources": ""}
LIST = "rebuild.txt"
ASIDE = "lib.aside"

Known = dict[Package, Distribution]


def install(source: Source, say: Say, stage: Elsewhere | None = None) -> bool:
    """Run the upgrade; recreate the environment first if its Python is gone.

    Returns what `installer.run` returns. Raises `ToolMissing`, `InstallerFailed`.
    """
    gone = interpreter.gone(source.hub)
    left = _rebuild(source, say, stage) if gone else []
    only_fixes = source.targets.only_fixes and not gone
    late = False if only_fixes else installer.run(source, say, stage)
    _require_brought(_place(source, stage), left)
    return security_fixes.install(source, say, stage, required=only_fixes) or late


def _rebuild(source: Source, say: Say, stage: Elsewhere | None) -> list[Package]:
    """Recreate the environment with the same versions; return packages still to be installed.

    Other files in it are preserved, such as the proxy binary.
    """
    python, environment = interpreter.require(source.hub), _place(source, stage).environment
    known = _set_aside(source.hub, environment)
    say(f"making the hub's environment again, with Python {interpreter.version(python)}")
    command = [python, "-m", "venv", str(source.hub.environment)]
    installer.carry_out(source.hub, command, say, stage)
    names = {"pip", *(package.name for package in known)}
    fitting = [wanted for name, wanted in FITTING.items() if wanted and name in names]
    # If this fails, everything after it would, for example without a network.
    _pip(source, ["--upgrade", *fitting], say, stage)
    left = [package for package in _put_back(source, known, say, stage) if _asked(known[package])]
    copies.remove(environment / ASIDE)
    return left


def _set_aside(hub: Hub, environment: Path) -> Known:
    """Move the files of the missing Python aside; return the packages installed for it."""
    folders = [path.relative_to(hub.environment / "lib") for path in versions.site_packages(hub)]
    (environment / "lib").rename(environment / ASIDE)
    for link in (environment / "bin").glob("python*"):
        link.unlink()
    found = versions.found([environment / ASIDE / each for each in folders])
    first = {package.name: (package, item) for package, item in reversed(found)}
    return dict(first.values())


def _put_back(source: Source, known: Known, say: Say, stage: Elsewhere | None) -> list[Package]:
    """Install the same packages at the same versions; return those that are unavailable."""
    wanted = sorted((each for each in known if each.name not in FITTING), key=lambda it: it.name)
    by_pip = [package for package in wanted if not package.local]
    place = _place(source, stage)
    left = [each for each in wanted if each.local and not _copied(known[each], place)]
    listed = source.hub.work / LIST
    files.replace(listed, "".join(f"{each.requirement}\n" for each in by_pip).encode())
    try:
        _pip(source, ["--no-deps", "--requirement", str(listed)], say, stage)
    except InstallerFailed:
        say("installing one package after the other: not all can be had at their version")
        left += [each for each in by_pip if not _installed(source, each, say, stage)]
    finally:
        listed.unlink()
    return left


def _installed(source: Source, package: Package, say: Say, stage: Elsewhere | None) -> bool:
    try:
        _pip(source, ["--no-deps", package.requirement], say, stage)
    except InstallerFailed:
        return False
    return True


def _copied(item: Distribution, place: Hub) -> bool:
    """Copy a package that no index has; return whether that was possible.

    Compiled code works with one Python version only.
    """
    (site,) = versions.site_packages(place)
    own = [file for file in item.files or [] if ".." not in file.parts and not file.is_absolute()]
    if not own or any(file.suffix == ".so" for file in own):
        return False
    for file in own:
        origin, target = Path(str(item.locate_file(file))), site / file
        if origin.is_file() and "__pycache__" not in file.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target, follow_symlinks=False)
    return True


def _asked(item: Distribution) -> bool:
    """Return whether a package was requested, and is not merely a dependency."""
    return item.read_text("REQUESTED") is not None


def _pip(source: Source, words: list[str], say: Say, stage: Elsewhere | None) -> None:
    pip = [str(source.hub.python), "-m", "pip", "install", "--disable-pip-version-check"]
    installer.carry_out(source.hub, [*pip, *words], say, stage)


def _place(source: Source, stage: Elsewhere | None) -> Hub:
    return stage.copy if stage else source.hub


def _require_brought(place: Hub, left: list[Package]) -> None:
    """Raise `InstallerFailed` if a package that was installed before is missing."""
    missing = [each for each in left if each.name not in versions.packages(place)]
    if missing:
        names = ", ".join(f"{each.name} {each.label}" for each in missing)
        raise InstallerFailed(
            f"Python {versions.python(place)} cannot have these packages of the hub at their "
            f"version, and TLJH's installer brings no other: {names}.",
            hint="Name for each a version that it can have in the settings file, under "
            "upgrade.plugins; then run it again: tljh-runbook upgrade",
        )
