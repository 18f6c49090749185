"""Two processes build the same pages as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from documented.server import REPOSITORY


def built(jobs: int, out: Path) -> dict[str, bytes]:
    """Return each page of the site by its name, and the inventory of what can be linked to."""
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-j", str(jobs), "-c", "."]
    subprocess.run([*command, "docs", str(out)], cwd=REPOSITORY, check=True, capture_output=True)
    pages = [path for path in out.rglob("*") if path.suffix in {".html", ".inv"}]
    return {str(path.relative_to(out)): path.read_bytes() for path in pages}


def test_two_processes_build_the_same_pages(tmp_path: Path) -> None:
    one, two = built(1, tmp_path / "one"), built(2, tmp_path / "two")
    assert {"upgrade.html", "step-index.html", "objects.inv"} <= set(one)
    assert [name for name in one if one[name] != two.get(name)] == []
    assert set(one) == set(two)
