"""The target version of each package, resolved once per upgrade, and the reason for it.

Unless the settings say so, no package is downgraded or switched to a diverged version: one that is
newer than our default, or cannot be compared with it, stays as it is. No plugin is added to a hub
that does not have it. The announcement, the installer's command line, the rehearsal and the
verification all use these targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from packaging.version import InvalidVersion, Version

from tljh_runbook.errors import VersionUnknown
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import PLUGINS, TLJH, Settings
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME, Requirement
from tljh_runbook.hub.versions import ranges, upstream, versions
from tljh_runbook.hub.versions.security import assessment
from tljh_runbook.hub.versions.upstream import Unknown
from tljh_runbook.hub.versions.versions import Package

TLJH_ADDRESS = "https://github.com/jupyterhub/the-littlest-jupyterhub.git"
SETTING, DEFAULT, RANGE, SECURITY = "setting", "default", "range", "security"
NEWER, INCOMPARABLE, ABSENT, UNKNOWN = "newer", "incomparable", "absent", "unknown"
STAYS = {NEWER, INCOMPARABLE, ABSENT, UNKNOWN}


@dataclass(frozen=True)
class Target:
    """One package: the installed version, the target version, and the reason for it (``why``).

    ``version`` or ``commit`` is the target; if ``why`` is in `STAYS`, it is what is installed.
    ``note`` is the reason in plain text, ``asked`` is what the target was resolved from, such as
    ``@master`` or ``>=5.2,<6``. ``source`` is the git URL with the commit, as pip installs from it.
    """

    name: str
    installed: Package | None
    why: str
    version: str | None = None
    commit: str | None = None
    source: str | None = None
    asked: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """The display name."""
        return {TLJH_NAME: "TLJH", "jupyterhub": "JupyterHub"}.get(self.name, self.name)

    @property
    def kept(self) -> bool:
        """Whether the target is what is installed, because that has to stay."""
        return self.why in STAYS

    @property
    def changes(self) -> bool:
        return not self.met(self.installed)

    @property
    def before(self) -> str:
        if self.installed and self.name == TLJH_NAME and not self.commit:
            return self.installed.version  # the commit of a release adds nothing
        return _label(self.installed)

    @property
    def after(self) -> str:
        """The target in short, with the branch that it was resolved from."""
        if self.kept:
            return self.before
        named = f" ({self.asked})" if self.asked.startswith("@") or self.asked == "newest" else ""
        return f"{self.version or (self.commit or '')[:12]}{named}"

    @property
    def requirement(self) -> str:
        """The pip requirement that installs the target."""
        if self.source:
            return f"{self.name} @ {self.source}"
        return f"{self.name}=={self.version}"

    @property
    def hidden(self) -> bool:
        """Whether pip may consider it satisfied: it is another commit of the same version."""
        same = self.installed is not None and self.installed.version == self.version
        return self.changes and (self.commit is not None or same)

    def met(self, package: Package | None) -> bool:
        """Return whether ``package`` is at the target; without a target version, anything is."""
        if self.version is None and self.commit is None:
            return True
        if package is None:
            return False
        if self.why == SECURITY:  # a newer version is as good
            return _parsed(package.version) >= _parsed(str(self.version))
        if self.commit:
            return package.commit == self.commit
        # TLJH's releases are git tags, so its installer installs each of them as a commit.
        source = self.kept or package.commit is None or self.name == TLJH_NAME
        return source and _same(package.version, self.version)

    def to_json(self) -> dict[str, Any]:
        shown = {"before": self.before, "after": self.after, "changes": self.changes}
        return {**asdict(self), **shown}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Target:
        known = {item.name: values[item.name] for item in fields(cls)}
        package = known["installed"]
        return cls(**{**known, "installed": Package(**package) if package else None})


@dataclass(frozen=True)
class Targets:
    """All targets of an upgrade: TLJH first, then plugins, then what TLJH requires, then fixes."""

    all: tuple[Target, ...]

    def __iter__(self) -> Iterator[Target]:
        return iter(self.all)

    def get(self, name: str) -> Target | None:
        """Return the target of a package by its canonical name."""
        return next((each for each in self.all if each.name == name), None)

    @property
    def tljh(self) -> Target:
        return self.all[0]

    @property
    def plugins(self) -> list[Target]:
        """The plugins whose target comes from the settings or our defaults."""
        return [each for each in self.all[1:] if each.why in {SETTING, DEFAULT}]

    @property
    def only_fixes(self) -> bool:
        """Whether the only changes are fixes for known vulnerabilities."""
        return not any(each.changes and each.why != SECURITY for each in self.all)

    def left(self, now: Mapping[str, Package]) -> list[Target]:
        """Return the targets that the packages in ``now``, live or staged, have not reached."""
        return [each for each in self.all if not each.met(now.get(each.name))]

    def unmet(self, now: Mapping[str, Package]) -> list[str]:
        """Return a message for each package that is not at its target.

        A fix that cannot be installed together with the other new versions is left out: the hub is
        no worse off, and its vulnerability is still reported.
        """
        left = [(each, now.get(each.name)) for each in self.left(now) if each.why != SECURITY]
        return [f"{each.title} is {_label(found)}, not {each.after}" for each, found in left]

    def require(self) -> None:
        """Raise `VersionUnknown` if the settings name a version that cannot be resolved."""
        for each in self.all:
            if each.why == UNKNOWN and each.asked:
                raise VersionUnknown(
                    f"The settings ask for {each.title} {each.asked}, and it cannot be found out "
                    f"which version that is: {each.note}. Nothing was changed.",
                    hint="Is it spelled right, and can this server reach that address? Otherwise "
                    "name a release or a full commit in the settings file.",
                )

    def to_json(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in self.all]

    @classmethod
    def from_json(cls, values: list[dict[str, Any]]) -> Targets:
        return cls(tuple(map(Target.from_json, values)))


def resolve(hub: Hub, settings: Settings) -> Targets:
    """Return the target of every package; one that cannot be resolved stays, with a note."""
    installed = versions.packages(hub)
    tljh = _tljh(hub, settings, installed.get(TLJH_NAME))
    plugins = [_plugin(hub, settings, each, installed) for each in settings.asked()]
    named = {tljh.name, *(each.name for each in plugins)}
    fitting = [each for each in _ranged(hub, tljh, installed) if each.name not in named]
    moved = {each.name for each in fitting if each.changes}
    fixes = {each.name: each for each in _fixes(hub, named | moved)}
    fitting = [each for each in fitting if each.name not in fixes]
    return Targets((tljh, *plugins, *fitting, *fixes.values()))


def only_fixes(hub: Hub, settings: Settings) -> Targets:
    """Return targets that leave TLJH and the plugins as they are, and fix vulnerable packages."""
    package = versions.packages(hub).get(TLJH_NAME)
    tljh = _kept(package, NEWER, "") if package else Target(TLJH_NAME, None, ABSENT)
    named = {TLJH_NAME, *(each.name for each in settings.asked())}
    return Targets((tljh, *_fixes(hub, named)))


def _fixes(hub: Hub, decided: set[str]) -> Iterator[Target]:
    """Yield the fixes for known vulnerabilities of packages that have no other target."""
    installed = versions.packages(hub)
    for each in assessment.of(hub).fixable:
        if each.name not in decided:
            note = f"fixes {assessment.listed([known.id for known in each.advisories])}"
            yield Target(each.name, installed[each.name], SECURITY, each.fix, note=note)


def _tljh(hub: Hub, settings: Settings, package: Package | None) -> Target:
    asked = Requirement.of_tljh(settings.upgrade.tljh)
    address = _address(package) or TLJH_ADDRESS
    chosen = "upgrade.tljh" in settings.written or settings.upgrade.tljh != TLJH
    return _resolved(hub, asked, package, address, chosen=chosen)


def _plugin(
    hub: Hub, settings: Settings, asked: Requirement, installed: dict[str, Package]
) -> Target:
    package = installed.get(asked.name)
    chosen = "upgrade.plugins" in settings.written or settings.upgrade.plugins != PLUGINS
    if package is None and not chosen:
        return Target(asked.name, None, ABSENT, note="this hub does not have it")
    address = asked.address or _address(package) or _default_address(asked.name)
    return _resolved(hub, asked, package, address, chosen=chosen)


def _resolved(
    hub: Hub, asked: Requirement, package: Package | None, address: str, *, chosen: bool
) -> Target:
    """Return the target that ``asked`` names, or what is installed if that has to stay."""
    why = SETTING if chosen else DEFAULT
    try:
        version, commit = _named(hub, asked, address)
    except Unknown as error:
        return _stays(asked, package, UNKNOWN, str(error))
    fragment = asked.fragment or _fragment(package)
    source = f"git+{address}@{commit}{fragment}" if commit else None
    target = Target(asked.name, package, why, version, commit, source, asked.wanted)
    if package is None or target.met(package) or (chosen and not asked.newest):
        return target
    stays = _newer(package, version, commit, address)
    return _stays(asked, package, *stays) if stays else target


def _named(hub: Hub, asked: Requirement, address: str) -> tuple[str | None, str | None]:
    """Return the version or commit that ``asked`` currently resolves to. Raises `Unknown`."""
    if asked.version and not asked.newest:
        return asked.version, None
    if asked.version and asked.name != TLJH_NAME:
        found = upstream.newest(hub, [asked.name])
        here = versions.packages(hub).get(asked.name)
        return found.get(asked.name) or (here.version if here else None), None
    if asked.version:
        return upstream.newest_release(address)[0], None
    if asked.newest:
        return None, upstream.newest_release(address)[1]
    return None, asked.commit or upstream.commit(address, str(asked.ref))


def _newer(
    package: Package, version: str | None, commit: str | None, address: str
) -> tuple[str, str] | None:
    """Return why a package that is not at the target must stay; None if the target is newer."""
    if version:
        if _parsed(package.version) > _parsed(version):
            return NEWER, f"the installed one is newer than {version}"
        if _parsed(package.version) == _parsed(version):
            return INCOMPARABLE, f"the installed one is {version} too, from another source"
        return None
    if not package.commit:
        return INCOMPARABLE, "it is not known which commit is installed"
    try:
        order = upstream.order(address, package.commit, str(commit))
    except Unknown as error:
        return INCOMPARABLE, f"its commit cannot be compared: {error}"
    notes = {
        upstream.NEWER: (NEWER, f"the installed one is newer than {str(commit)[:12]}"),
        upstream.APART: (INCOMPARABLE, f"it does not descend from {str(commit)[:12]}"),
    }
    return notes.get(order)


def _ranged(hub: Hub, tljh: Target, installed: dict[str, Package]) -> Iterator[Target]:
    """Yield JupyterHub and its components, at the newest version that the target TLJH allows."""
    try:
        asked = ranges.of_installed(hub) if not tljh.changes else _of_target(tljh)
        here = {name: each for name, each in asked.items() if name in installed}
        newest = ranges.newest(hub, here)
    except Unknown as error:
        if package := installed.get("jupyterhub"):
            note = f"it is not known which version TLJH asks for: {error}"
            yield _kept(package, UNKNOWN, note)
        return
    for name, fitting in here.items():
        yield _fitting(installed[name], newest.get(name), str(fitting))


def _of_target(tljh: Target) -> ranges.Ranges:
    address = _address(tljh.installed) or TLJH_ADDRESS
    return ranges.of_release(address, str(tljh.commit or tljh.version))


def _fitting(package: Package, version: str | None, asked: str) -> Target:
    if version is None or _same(package.version, version):
        return _kept(package, RANGE, f"TLJH asks for {asked}")
    if _parsed(package.version) > _parsed(version):
        return _kept(package, NEWER, f"the installed one is newer than TLJH asks for: {asked}")
    return Target(package.name, package, RANGE, version, note=f"TLJH asks for {asked}")


def _kept(package: Package, why: str, note: str, asked: str = "") -> Target:
    return Target(
        package.name, package, why, package.version, package.commit, package.source, asked, note
    )


def _stays(asked: Requirement, package: Package | None, why: str, note: str) -> Target:
    if package is None:
        return Target(asked.name, None, why, asked=asked.wanted, note=note)
    return _kept(package, why, note, asked.wanted)


def _address(package: Package | None) -> str:
    """Return the git URL that a package was installed from, or ''."""
    if not (package and package.source and package.commit):
        return ""
    return package.source.partition("+")[2].partition(f"@{package.commit}")[0]


def _fragment(package: Package | None) -> str:
    _, sign, below = (package.source or "").partition("#") if package else ("", "", "")
    return f"#{below}" if sign else ""


def _default_address(name: str) -> str:
    found = (Requirement.parse(text) for text in PLUGINS)
    return next((each.address or "" for each in found if each.name == name), "")


def _label(package: Package | None) -> str:
    return package.label if package else "not installed"


def _same(one: str, other: str | None) -> bool:
    return one == other or (other is not None and _parsed(one) == _parsed(other))


def _parsed(text: str) -> Version:
    """Return a comparable version; an invalid one is older than all others."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")
