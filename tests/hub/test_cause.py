"""The cause of a failure: what a person needs of many lines of output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.system import cause

# What TLJH's bootstrap.py prints when a command of it fails: the command's output, then this.
TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/tljh/installer.py", line 590, in <module>
    main()
  File "/opt/tljh/installer.py", line 541, in main
    run_subprocess([pip, "install"])
subprocess.CalledProcessError: Command '['/opt/tljh/hub/bin/pip', 'install', 'x']' returned \
non-zero exit status 1.
"""
CONFLICT = """\
ERROR: Cannot install jupyterhub==4.1.6 and tljh-plasma==0.2.0 because these package versions have \
conflicting dependencies.

The conflict is caused by:
    The user requested jupyterhub==4.1.6
    tljh-plasma 0.2.0 depends on jupyterhub>=5

To fix this you could try to:
1. loosen the range of package versions you've specified

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/
"""
GIT = """\
  error: subprocess-exited-with-error

  × git clone --filter=blob:none --quiet https://git.example.org/plasma did not run successfully.
  │ exit code: 128
  ╰─> [1 lines of output]
      fatal: unable to access 'https://git.example.org/plasma/': Could not resolve host
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
"""
ROOM = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
VERSION = """\
ERROR: Could not find a version that satisfies the requirement nothing==9 (from versions: 1, 2)
ERROR: No matching distribution found for nothing==9
"""
APT = "Reading package lists...\nE: Unable to locate package nosuch\n"


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (CONFLICT, "tljh-plasma 0.2.0 depends on jupyterhub>=5"),
        (GIT, "unable to access 'https://git.example.org/plasma/': Could not resolve host"),
        (ROOM, "[Errno 28] No space left on device"),
        (VERSION, "No matching distribution found for nothing==9"),
        (APT, "Unable to locate package nosuch"),
    ],
)
def test_the_installers_traceback_does_not_hide_the_cause(output: str, named: str) -> None:
    assert named in cause.of(f"Ran pip with exit code 1\n{output}{TRACEBACK}")
    assert "CalledProcessError" not in cause.of(f"{output}{TRACEBACK}")


@pytest.mark.parametrize(
    ("code", "line", "named"),
    [
        ("c = 1\nraise_it = nothing\n", 2, "NameError: name 'nothing' is not defined"),
        ("import nosuchmodule\n", 1, "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("x = (\n", 1, "SyntaxError"),
        ("import subprocess\nsubprocess.run(['false'], check=True)\n", 2, "CalledProcessError"),
    ],
)
def test_the_file_of_the_administrator_is_named(
    tmp_path: Path, code: str, line: int, named: str
) -> None:
    own = tmp_path / "jupyterhub_config.d" / "own.py"
    own.parent.mkdir()
    own.write_text(code)
    load = f"exec(compile(open({str(own)!r}).read(), {str(own)!r}, 'exec'))"
    ran = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)
    assert cause.of(ran.stderr).startswith(f"{own}, line {line}: ")
    assert named in cause.of(ran.stderr)


def test_the_last_cause_counts() -> None:
    first = "Traceback (most recent call last):\nValueError: one that was dealt with\n"
    assert cause.of(f"{first}{ROOM}") == (
        "Could not install packages due to an OSError: [Errno 28] No space left on device"
    )


def test_a_line_of_the_hubs_log_is_a_cause() -> None:
    log = "[C 2026-01-02 03:04:05.678 JupyterHub app:2600] Bind address is in use\n"
    assert cause.of(log) == "Bind address is in use"


def test_without_a_known_cause_the_last_lines_stand_for_it() -> None:
    assert cause.of("one\ntwo\n\nthree\nfour\n") == "two | three | four"
    assert cause.of("") == ""


@given(st.text(max_size=400))
def test_any_output_gives_one_short_line(text: str) -> None:
    found = cause.of(text)
    assert len(found) <= cause.LONGEST
    assert len(found.splitlines()) <= 1
