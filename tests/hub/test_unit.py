"""A run on a server gets a systemd unit of its own, and the environment it was started with.

No machine without systemd can run systemd-run. A fake of it does here what can be done
without: it notes what it is asked for, reads the environment file when systemd would, and starts
the command in a session of its own. What systemd itself reads from such a file is asked of a
program of systemd's that reads files of the same form, where it is installed.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live, as_ordinary_user, until
from hypothesis import given, settings
from hypothesis import strategies as st

from tljh_runbook.errors import Busy, RunCutOff, ServicesUnreachable
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import journal, unit, worker
from tljh_runbook.hub.upgrade.finish import recovery

READER = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")

RUN = """#!{python}
import json, os, pathlib, stat, subprocess, sys

folder = pathlib.Path({folder!r})
end = sys.argv.index("--")
options, command = sys.argv[1:end], sys.argv[end + 1:]
asked = dict(each[len("--property="):].split("=", 1) for each in options if "property" in each)
file = pathlib.Path(asked["EnvironmentFile"].removeprefix("-"))
seen = {{"options": options, "properties": asked, "command": command}}
seen |= {{"file": file.read_text(), "mode": stat.S_IMODE(file.stat().st_mode)}}
(folder / "asked").write_text(json.dumps(seen))
if (folder / "refuse").exists():
    sys.exit((folder / "refuse").read_text())
words = [word.replace("$$", "$") for word in command]
log = open(asked["StandardOutput"].removeprefix("append:"), "a")
process = subprocess.Popen(
    words, cwd=asked["WorkingDirectory"], stdout=log, stderr=log, start_new_session=True
)
(folder / "pid").write_text(str(process.pid))
"""
CTL = """#!/bin/sh
echo "$@" >>{folder}/log
case "$1" in
reset-failed) rm {folder}/state ;;
show)
    if [ -e {folder}/state ]; then cat {folder}/state
    elif [ -e {folder}/pid ] && kill -0 "$(cat {folder}/pid)" 2>/dev/null &&
        ! grep -q ') Z' "/proc/$(cat {folder}/pid)/stat"; then echo active
    else echo inactive
    fi ;;
esac
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fakes for systemd-run and systemctl; their folder, with what they were asked for."""
    folder = tmp_path / "systemd"
    programs = {"systemd-run": RUN, "systemctl": CTL}
    for name, text in programs.items():
        said = text.format(python=sys.executable, folder=str(folder))
        hub_folder.keep(folder / name, said, 0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def on_systemd(source: Source) -> Source:
    return replace(source, settings=replace(source.settings, services="systemd"))


def asked(systemd: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((systemd / "asked").read_text())
    return found


def test_a_run_begins_in_a_unit_of_its_own(live: Live, systemd: Path) -> None:
    program = [sys.executable, "-m", "tljh_runbook"]
    words = ["backup", "config", "--hub", str(live.hub.prefix)]
    worker.start(on_systemd(live.source), "backup", program, words)
    end = worker.follow(live.hub, "backup", lambda _: None)
    assert (end["code"], end["report"]["components"]) == (0, ["config"])
    seen = asked(systemd)
    options, properties = seen["options"], seen["properties"]
    assert isinstance(options, list)
    assert isinstance(properties, dict)
    assert "--unit=tljh-runbook-run-backup.service" in options
    assert {"--collect", "--quiet", "--no-ask-password"} <= {*options}
    assert properties["Type"] == "exec"
    assert properties["WorkingDirectory"] == str(Path.cwd())
    assert properties["StandardOutput"] == f"append:{worker.log_file(live.hub, 'backup')}"


def test_an_environment_goes_by_a_file_that_nobody_else_reads(
    source: Source, systemd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:very-secret@index.example.org")
    monkeypatch.setenv("SSH_CONNECTION", "of this terminal")
    with pytest.raises(RunCutOff):
        worker.start(on_systemd(source), "upgrade", ["true"])
    seen = asked(systemd)
    assert "very-secret" in str(seen["file"])
    assert "very-secret" not in str(seen["options"]) + str(seen["command"])
    assert "of this terminal" not in str(seen["file"])
    assert f'TLJH_INSTALL_PREFIX="{source.hub.prefix}"' in str(seen["file"])
    assert seen["mode"] == 0o600
    assert not [*source.hub.work.glob("*.env")]


def test_what_runs_after_a_kill_needs_no_file_that_is_gone(source: Source, systemd: Path) -> None:
    """systemd reads the environment file for each process, also for `ExecStopPost=`."""
    started = on_systemd(source)
    with pytest.raises(RunCutOff):
        worker.start(started, "upgrade", ["true"], after=recovery.after(started, "upgrade"))
    properties = asked(systemd)["properties"]
    assert isinstance(properties, dict)
    assert "--after-kill" in properties["ExecStopPost"]
    file = properties["EnvironmentFile"]
    assert file.startswith("-") or Path(file).exists()


def test_words_with_dollars_arrive_as_they_were_typed(source: Source, systemd: Path) -> None:
    told = ["sh", "-c", 'printf "%s\\n" "$@"', "$0", "a$HOME", "${X}", "$$"]
    with pytest.raises(RunCutOff):
        worker.start(on_systemd(source), "restore", told)
    said = worker.log_file(source.hub, "restore").read_text().splitlines()
    assert said[:3] == ["a$HOME", "${X}", "$$"]


def test_the_installer_is_not_ended_with_its_run(source: Source, systemd: Path) -> None:
    """It holds the hub's lock until it has ended what it began."""
    for task, mode in (("upgrade", "process"), ("restore", "process"), ("backup", "control-group")):
        with pytest.raises(RunCutOff):
            worker.start(on_systemd(source), task, ["true"])
        properties = asked(systemd)["properties"]
        assert isinstance(properties, dict)
        assert properties["KillMode"] == mode


@pytest.mark.parametrize(
    ("task", "resumed"), [("upgrade", True), ("rollback", True), ("backup", False)]
)
def test_an_upgrade_that_is_killed_is_resumed_by_systemd(
    source: Source, systemd: Path, task: str, resumed: bool
) -> None:
    settings = source.hub.root / "a file.yaml"
    started = replace(on_systemd(source), file=settings)
    with pytest.raises(RunCutOff):
        worker.start(started, task, ["true"], after=recovery.after(started, task))
    properties = asked(systemd)["properties"]
    assert isinstance(properties, dict)
    after = shlex.split(properties.get("ExecStopPost", ""))
    words = ["resume", "--after-kill", "--hub", str(source.hub.prefix), "--settings", str(settings)]
    assert after[-len(words) :] == (words if resumed else [])


@pytest.mark.parametrize("state", ["active", "activating", "deactivating"])
def test_a_unit_that_runs_is_left_alone(source: Source, systemd: Path, state: str) -> None:
    (systemd / "state").write_text(state)
    with pytest.raises(Busy, match=r"tljh-runbook-run-upgrade\.service runs already"):
        worker.start(on_systemd(source), "upgrade", ["true"])
    assert not (systemd / "asked").exists()


def test_a_unit_that_failed_makes_way(source: Source, systemd: Path) -> None:
    (systemd / "state").write_text("failed")
    with pytest.raises(RunCutOff):
        worker.start(on_systemd(source), "upgrade", ["true"])
    assert "reset-failed tljh-runbook-run-upgrade.service" in (systemd / "log").read_text()
    assert (systemd / "asked").exists()


def test_what_systemd_run_refuses_is_told(source: Source, systemd: Path) -> None:
    (systemd / "refuse").write_text("Failed to connect to bus: No such file or directory")
    with pytest.raises(ServicesUnreachable, match="Failed to connect to bus") as told:
        worker.start(on_systemd(source), "upgrade", ["true"])
    assert "journalctl -u tljh-runbook-run-upgrade.service" in told.value.hint
    assert not [*source.hub.work.glob("*.env")]


def test_without_systemd_run_nothing_is_begun(
    source: Source, systemd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (systemd / "systemd-run").unlink()
    monkeypatch.setenv("PATH", str(systemd))
    for program in ("cat", "grep", "rm"):
        (systemd / program).symlink_to(f"/bin/{program}")
    with pytest.raises(ServicesUnreachable, match="no systemd-run"):
        worker.start(on_systemd(source), "upgrade", ["true"])
    assert journal.state(source.hub, "upgrade")["events"] == []


def test_only_root_may_begin_one() -> None:
    assert as_ordinary_user(lambda: unit.make_way("upgrade")) == "AccessDenied"


TEXTS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=()), min_size=1, max_size=30
)
NAMES = st.from_regex(r"RUNBOOK_[A-Z]{1,5}", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_systemd_reads_the_environment_that_was_written(environment: dict[str, str]) -> None:
    """Its reader of environment.d(5) reads the same form.

    It puts in variables behind a $ as well, and leaves out what is empty.
    """
    if not READER.exists():
        pytest.skip(f"{READER} is not installed")
    plain = {key: value.replace("$", "S") for key, value in environment.items()}
    wanted = {key: value for key, value in plain.items() if not unit.UNFIT.search(value)}
    assert read_by_systemd(unit.environment_file(plain)) == wanted


def read_by_systemd(data: bytes) -> dict[str, str]:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        hub_folder.keep(Path(home) / ".config/environment.d/x.conf", data.decode(), 0o600)
        done = subprocess.run([READER], env={"HOME": home}, capture_output=True, check=True)
    lines = (line.partition(b"=") for line in done.stdout.splitlines())
    return {key.decode(): plainly(value) for key, _, value in lines if key[:8] == b"RUNBOOK_"}


def plainly(shown: bytes) -> str:
    """Return a text of which systemd shows what is special as C does."""
    text = shown[1:-1] if shown[:1] == b'"' else shown
    return re.sub(rb"\\([0-7]{3}|.)", sign, text).decode()


def sign(found: re.Match[bytes]) -> bytes:
    word = found[1]
    named = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
    return bytes([int(word, 8) if len(word) == 3 else named.get(word[0], word[0])])


@settings(deadline=None)
@given(st.dictionaries(NAMES, TEXTS.filter(lambda text: not unit.UNFIT.search(text)), max_size=5))
def test_a_shell_reads_it_as_well(environment: dict[str, str]) -> None:
    """The rules for what stands between quotation marks are the shell's, the $ included."""
    assert sourced(unit.environment_file(environment)) == environment


def sourced(data: bytes) -> dict[str, str]:
    script = b"set -a\n" + data + b"\nexec env -0\n"
    done = subprocess.run(
        ["bash"], input=script, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    pairs = (pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)
    return {key: value for key, value in pairs if key.startswith("RUNBOOK_")}


def test_a_run_is_followed_to_its_end_however_short(live: Live, systemd: Path) -> None:
    """It may have ended, and its unit be gone, before anybody looked."""
    program = [sys.executable, "-m", "tljh_runbook"]
    words = ["restore", "--yes", "--hub", str(live.hub.prefix)]
    worker.start(on_systemd(live.source), "restore", program, words)
    end = worker.follow(live.hub, "restore", lambda _: None)
    assert "no snapshot" in end["error"]["message"].lower()
    until(lambda: not unit.runs("restore"))
