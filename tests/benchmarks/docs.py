"""What the site costs to build, in seconds of CPU: against plain furo, and after one page changed.

Run it with ``python tests/benchmarks/docs.py``. Plain furo builds the same files without our
extensions, so it does not know our directives, and says so; that is of no matter here.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLAIN = """
extensions = [
    "myst_parser", "sphinx.ext.doctest", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
"""
TIMES = 3


def build(config: Path, source: Path, out: Path) -> float:
    """Build the site; return the seconds of CPU, of which the program's start is a part."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", config, source, out],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def cold(config: Path, source: Path, folder: Path) -> float:
    """Return the least of some builds from nothing."""
    found = []
    for n in range(TIMES):
        found.append(build(config, source, folder / str(n)))
    return min(found)


def main() -> None:
    """Measure and print."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a reader's machine compiles programs once
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = folder / "plain"
        plain.mkdir()
        (plain / "conf.py").write_text(PLAIN)
        docs = folder / "docs"
        shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("_build"))
        furo = cold(plain, docs, folder / "furo")
        ours = cold(ROOT, docs, folder / "ours")
        print(f"plain furo {furo:.1f} s, ours {ours:.1f} s: {ours / furo:.2f} times")
        page = docs / "upgrade.md"
        page.write_text(page.read_text(encoding="utf-8") + "\nOne more line.\n", encoding="utf-8")
        print(f"after a change of upgrade.md: {build(ROOT, docs, folder / 'ours' / '0'):.1f} s")


if __name__ == "__main__":
    main()
