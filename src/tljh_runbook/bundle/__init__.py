"""The hub half as one file, which runs where there is nothing but the system's Python.

The same sources give the same bytes: names are sorted, times and modes are fixed, and nothing is
compressed, because what a compressor writes depends on its version.  Uncompressed it starts
quicker, too.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from tljh_runbook.errors import ToolMissing

PACKAGE = Path(__file__).parents[1]
PARTS = ("__init__", "__main__", "errors", "program", "hints", "terminal", "show", "cli", "hub")
# What belongs to the sources, and is not left by a Python that ran them.
KINDS = {".py", ".css", ".json", ".yaml"}
NEEDED = ("click", "packaging", "rich", "ruamel.yaml")
# rich highlights source and reads Markdown with these, and imports them only then: we draw neither.
LEFT_OUT = ("pygments", "markdown-it-py")
KEPT = {"METADATA", "licenses"}  # of what pip leaves: whose work it is, and on what terms
FIXED = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell
UNIX = 3

Files = dict[str, bytes]


def write(file: Path) -> str:
    """Write the bundle whole or not at all; return its SHA-256 (hexadecimal)."""
    data = made()
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.absolute().parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def made() -> bytes:
    """Return the bundle."""
    contents = dict(_contents())
    contents[f"{PACKAGE.name}/BUILD"] = f"{build(contents)}\n".encode()
    return _zipped(contents)


def build(contents: Files) -> str:
    """Return the name of the build: what is in it, in 12 signs."""
    sha = hashlib.sha256()
    for name, data in sorted(contents.items()):
        sha.update(f"{name}\0{len(data)}\0".encode() + data)
    return sha.hexdigest()[:12]


def _contents() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", (PACKAGE / "bundle" / "start.py").read_bytes()
    for part in PARTS:
        path = PACKAGE / part
        for each in path.rglob("*") if path.is_dir() else [path.with_suffix(".py")]:
            if each.suffix in KINDS:
                yield each.relative_to(PACKAGE.parent).as_posix(), each.read_bytes()
    for name in NEEDED:
        yield from _installed(name)


def _installed(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the modules of an installed distribution. Raises `ToolMissing`."""
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError as error:
        raise ToolMissing(
            f"{name} is not installed in this environment, and must be in the bundle.",
            hint="Write the bundle with: ./invoke bundle",
        ) from error
    for each in files:
        if _wanted(each):
            yield each.as_posix(), Path(str(each.locate())).read_bytes()


def _wanted(path: PurePosixPath) -> bool:
    if path.parts[0].endswith(".dist-info"):
        return path.parts[1] in KEPT
    return path.suffix == ".py" and ".." not in path.parts


def _zipped(contents: Files) -> bytes:
    # Python 3.10 finds a package without an __init__.py only where its folder has an entry.
    folders = {f"{each}/" for name in contents for each in PurePosixPath(name).parents}
    entries = dict.fromkeys(folders - {"./"}, b"") | contents
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(entries.items()):
            archive.writestr(_entry(name), data)
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, FIXED)
    entry.create_system = UNIX
    entry.external_attr = (0o40755 << 16 | 0x10) if entry.is_dir() else 0o100644 << 16
    return entry
