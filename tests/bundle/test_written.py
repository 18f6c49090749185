"""What is in the bundle, and that the same sources give the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import site
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from tljh_runbook import bundle
from tljh_runbook.errors import AccessDenied

from .conftest import SOURCES, run, write_bundle


def test_the_same_bytes_wherever_and_however_it_is_written(tmp_path: Path, pyz: Path) -> None:
    elsewhere = tmp_path / "an other" / "place"
    shutil.copytree(SOURCES / "tljh_runbook", elsewhere / "tljh_runbook", copy_function=shutil.copy)
    (elsewhere / "tljh_runbook" / "hub" / "left.pyc").write_bytes(b"left")
    for path in elsewhere.rglob("*.py"):
        path.chmod(0o600)
    before = os.umask(0o077)
    try:
        again = tmp_path / "again.pyz"
        done = write_bundle(
            again, PYTHONPATH=str(elsewhere), TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C"
        )
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == pyz.read_bytes()
    assert again.stat().st_mode & 0o777 == 0o644
    sha = hashlib.sha256(pyz.read_bytes()).hexdigest()
    assert done.stdout == f"{sha}  {again}\n"


def test_the_same_bytes_from_every_python(tmp_path: Path, pyz: Path, python: str) -> None:
    paths = os.pathsep.join([str(SOURCES), *site.getsitepackages()])
    done = write_bundle(tmp_path / "again.pyz", python=python, PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()


def test_other_sources_are_another_build(pyz: Path, newer: Path) -> None:
    said = [run(sys.executable, file, "--version").stdout for file in (pyz, newer)]
    builds = [
        re.fullmatch(r"tljh-runbook 0\.1\.\d \(build ([0-9a-f]{12})\)\n", each) for each in said
    ]
    assert builds[0]
    assert builds[1]
    assert builds[0][1] != builds[1][1]


def test_it_holds_the_hub_half_and_nothing_else(pyz: Path) -> None:
    entries = zipfile.ZipFile(pyz).infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    ours = {
        name.split("/")[1].removesuffix(".py") for name in names if name[:13] == "tljh_runbook/"
    }
    assert ours == {*bundle.PARTS, "BUILD", ""}
    ends = {Path(name).suffix for name in names if ".dist-info" not in name and name[-1] != "/"}
    assert ends == {".py", ".css", ".json", ".yaml", ""}
    assert {name for name in names if name.endswith((".css", ".json", ".yaml"))} == {
        "tljh_runbook/hub/versions/releases/releases.yaml",
        "tljh_runbook/hub/upgrade/report/report_page.css",
        "tljh_runbook/hub/versions/security/advisories.json",
    }
    terms = {name.split("/")[0] for name in names if ".dist-info/licenses/" in name}
    assert len(terms) == len(bundle.NEEDED)
    assert not [name for name in names if re.search(r"/tests?/", name)]


def test_all_that_is_needed_is_in_it_or_left_out_on_purpose() -> None:
    known = {name.lower() for name in (*bundle.NEEDED, *bundle.LEFT_OUT)}
    for name in bundle.NEEDED:
        for need in metadata.requires(name) or []:
            if "extra ==" not in need:
                assert re.split(r"[^\w.-]", need)[0].lower() in known, f"{name} needs {need}"


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    done = write_bundle(taken)
    assert done.returncode == AccessDenied.code
    assert re.fullmatch(r"error: .*No bundle was written\.\nhint: .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == [taken]
