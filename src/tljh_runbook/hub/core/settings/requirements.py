"""Target versions as the settings name them: a release, a commit, a branch or the newest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

NEWEST = "newest"
TLJH_NAME = "the-littlest-jupyterhub"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REF = r"[A-Za-z0-9_][\w./+-]*"  # used as a command-line argument: no dash at the start
_BY_GIT = re.compile(
    rf"(?P<name>[\w.-]+)\s*@\s*(?:git\+(?P<address>\S+://\S+)@)?(?P<ref>{_REF})"
    r"(?P<fragment>#[\w=&./%-]+)?",
    re.ASCII,
)
_BY_VERSION = re.compile(r"(?P<name>[\w.-]+)\s*==\s*(?P<version>[\w.!+-]+)", re.ASCII)


def canonical(name: str) -> str:
    """Return a distribution's name, normalized as in PEP 503."""
    return str(canonicalize_name(name))


@dataclass(frozen=True)
class Requirement:
    """A distribution by ``version``, or by ``ref``: a commit, branch or tag of a git repository.

    Either may be `NEWEST`. Without an ``address``, the one that it was installed from is used.
    ``fragment`` is the end of the address, such as ``#subdirectory=…``.
    """

    text: str
    name: str
    version: str | None = None
    ref: str | None = None
    address: str | None = None
    fragment: str = ""

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Return the requirement in ``text``. Raises `ValueError` if it names no version."""
        text = text.strip()
        by = _BY_GIT.fullmatch(text) or _BY_VERSION.fullmatch(text)
        found = by.groupdict() if by else {}
        version, ref = found.get("version"), found.get("ref")
        if not found or (version and not _is_version(version)) or (ref and _unsafe(ref)):
            raise ValueError(
                f"{text!r} names no version: write NAME==VERSION, NAME==newest, or NAME @ "
                "git+URL@REF, with a commit of 40 characters, a branch, a tag, or newest for REF."
            )
        address = found.get("address")
        if "@" in (address or "").partition("://")[2]:
            raise ValueError(
                f"{canonical(found['name'])} is named with a user or a password in its address, "
                "which every user of the machine could read. Keep them in git's own credentials."
            )
        fragment = found.get("fragment") or ""
        return cls(text, canonical(found["name"]), version, ref, address, fragment)

    @classmethod
    def of_tljh(cls, text: str) -> Requirement:
        """Return the requirement in the setting ``upgrade.tljh``. Raises `ValueError`."""
        name = TLJH_NAME
        ref = text.removeprefix("@")
        if text == NEWEST or (not text.startswith("@") and _is_release(text)):
            return cls(text, name, version=text)
        if _COMMIT.fullmatch(ref) or (text != ref and re.fullmatch(_REF, ref) and not _unsafe(ref)):
            return cls(text, name, ref=ref)
        raise ValueError(f"{text!r} is neither a release, nor a full commit, @BRANCH or newest.")

    @property
    def commit(self) -> str | None:
        """The full commit, if one is named."""
        return self.ref if self.ref and _COMMIT.fullmatch(self.ref) else None

    @property
    def newest(self) -> bool:
        """Whether it means the newest release instead of a specific version."""
        return NEWEST in {self.version, self.ref}

    @property
    def wanted(self) -> str:
        """The target version in short: a version, `NEWEST`, a short commit, or ``@BRANCH``."""
        if self.newest:
            return NEWEST
        return self.version or (self.commit or "")[:12] or f"@{self.ref}"


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return text == NEWEST
    return True


def _is_release(text: str) -> bool:
    return bool(re.fullmatch(r"\d+\.\d+\.\w+", text, re.ASCII)) and _is_version(text)


def _unsafe(ref: str) -> bool:
    # Names that git rejects, and short commits, which git would take for branch names.
    short = bool(re.fullmatch(r"[0-9A-Fa-f]{7,}", ref)) and not _COMMIT.fullmatch(ref)
    return short or ".." in ref or "//" in ref or ref.endswith(("/", ".", ".lock"))
