"""Every setting is known, and every value checked."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from shutil import which

import pytest
import quick_repository
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tljh_runbook.errors import DatabaseForeign, SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import Settings, settings_checks
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.system import services
from tljh_runbook.hub.user_data import user_files
from tljh_runbook.hub.user_data.restic import repository_settings


def load(folder: Path, text: str) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return settings.load(Hub(folder / "opt" / "tljh"), file)


def defaults(folder: Path) -> Settings:
    return settings.load(Hub(folder / "opt" / "tljh"))


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    found = defaults(tmp_path)
    assert found.upgrade.snapshot_age == Settings().upgrade.snapshot_age
    assert found.services == "systemd"
    assert found.backups == f"{tmp_path}{Settings().backups}"


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}", "---\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == defaults(tmp_path)


def test_the_file_comes_before_the_default(tmp_path: Path) -> None:
    found = load(tmp_path, "services: supervisor\nupgrade:\n  snapshot_age: 5\n")
    assert (found.services, found.upgrade.snapshot_age) == ("supervisor", 5)
    assert found.upgrade.tljh == Settings().upgrade.tljh


def test_the_hubs_own_file_is_read_when_none_is_named(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    hub.settings_file.parent.mkdir()
    hub.settings_file.write_text("upgrade: {snapshot_age: 7}\n")
    assert settings.load(hub).upgrade.snapshot_age == 7


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no such file"):
        settings.load(Hub(tmp_path / "opt" / "tljh"), tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("backup: /x", "does not know the setting backup"),
        ("upgrade: {plugin: []}", "does not know the setting upgrade.plugin"),
        ("1: 2", "does not know the setting 1"),
        ("upgrade: 5", "upgrade must hold names and values"),
        ("upgrade: null", "upgrade must hold names and values"),
        ("backups: 7", "backups must be a text"),
        ("backups: ''", "backups must name a folder"),
        ("backups: null", "backups must be a text"),
        ("upgrade: {tljh: 2.0}", "upgrade.tljh must be a text"),
        ("upgrade: {tljh: main}", "neither a release, nor a full commit, @BRANCH or newest"),
        ("upgrade: {tljh: ''}", "neither a release, nor a full commit, @BRANCH or newest"),
        ("upgrade: {snapshot_age: 1.5}", "upgrade.snapshot_age must be a whole number"),
        ("upgrade: {snapshot_age: true}", "upgrade.snapshot_age must be a whole number"),
        ("upgrade: {snapshot_age: 0}", "must be greater than 0"),
        ("upgrade: {healthy_within: -1}", "must be greater than 0"),
        ("upgrade: {plugins: tljh-plasma==1}", "must be a list of texts"),
        ("upgrade: {plugins: [1]}", "must be a list of texts"),
        ("upgrade: {plugins: [tljh-plasma]}", "'tljh-plasma' names no version"),
        ("upgrade: {plugins: ['x @ git+https://h/x']}", "names no version"),
        ("written: [upgrade.tljh]", "does not know the setting written"),
        ("upgrade: {defaults: [a]}", "upgrade.defaults must hold names and values"),
        ("scheduled: {sample: 0}", "between 1 and 100"),
        ("scheduled: {sample: 101}", "between 1 and 100"),
        ("scheduled: {mail_to: '-oQ/tmp'}", "'-oQ/tmp' is no address"),
        ('scheduled: {mail_to: "a b"}', "'a b' is no address"),
        ('scheduled: {mail_to: "root\\nBcc: x"}', "is no address"),
        ("user_data: {repository: backups}", "user_data.repository must be an absolute path"),
        ("user_data: {repository: ''}", "user_data.repository must be an absolute path"),
        ("user_data: {repository: ./b}", "user_data.repository must be an absolute path"),
        ("user_data: {repository: 'local:b'}", "user_data.repository must be an absolute path"),
        ("user_data: {repository: 'sftp:'}", "user_data.repository must be an absolute path"),
        ("user_data: {repository: 'ftp:h:/x'}", "user_data.repository must be an absolute path"),
        ("user_data: {also: ['']}", "user_data.also: the entry '' must name a folder"),
        ("user_data: {also: [' ']}", "user_data.also: the entry ' ' must name a folder"),
        ("user_data: {also: [/srv, /]}", "user_data.also: the entry '/' must not be all"),
        ("user_data: {also: [.]}", "user_data.also: the entry '.' must not be all"),
        ("user_data: {also: [/srv/../..]}", "must not contain .."),
        ("user_data: {exclude: ['a[']}", r"user_data.exclude: the pattern 'a\[' cannot be read"),
        ("user_data: {exclude: ['']}", "user_data.exclude: the pattern '' is empty"),
        ("user_data: {exclude: ['#x']}", "user_data.exclude: the pattern '#x' is a comment"),
        ("user_data: {exclude: [' x']}", "begins or ends with a blank"),
        ('user_data: {exclude: ["a\\nb"]}', "user_data.exclude holds a control character"),
        ("user_data: {password_file: ''}", "user_data.password_file must name a file"),
        ("user_data: {options: {a: b}}", "user_data.options: 'a' is no option"),
        ("user_data: {options: {s3.x: [1]}}", "user_data.options: 's3.x' is no option"),
        ("user_data: {options: {'s.x=y': 1}}", "is no option"),
        ("upgrade: {installer: ''}", "upgrade.installer must name a file"),
        ("upgrade: {defaults: {a..b: 1}}", "upgrade.defaults: 'a..b' is no name"),
        ("upgrade: {defaults: {'': 1}}", "upgrade.defaults: '' is no name"),
        ("upgrade: {healthy_within: 99999999999999}", "must be at most"),
        ("backups: /", "backups must not be all of the server"),
        ("homes: ' '", "homes must name a folder"),
        ("homes: ..", "homes must not contain"),
        ('backups: "/a\\0b"', "backups holds a control character"),
        ("databases: {plasma: 'postgresql://h:x/d'}", "databases.plasma is no address"),
        ("databases: {plasma: 'sqlite://['}", "databases.plasma is no address"),
        ("services: cron", "neither systemd nor supervisor"),
        ("databases: {mysql: /x}", "no database is called 'mysql'"),
        ("databases: {plasma: 5}", "databases.plasma must be an absolute path"),
        ("databases: {plasma: here.sqlite}", "databases.plasma must be an absolute path"),
        ("- a\n- b\n", "the file must hold names and values"),
        ("just words", "the file must hold names and values"),
        ("a: [1", "expected"),
        ("backups: /a\nbackups: /b\n", "duplicate key"),
        ("backups: *nothing", "undefined alias"),
        ("at: 2024-13-45", "month must be"),
        ("[" * 1200, "recursion"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named) as told:
        load(tmp_path, text)
    assert "Nothing was changed" in told.value.message
    assert told.value.hint


def test_a_file_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_bytes(b"backups: \xff\xfe\n")
    with pytest.raises(SettingsInvalid):
        settings.load(Hub(tmp_path / "opt" / "tljh"), tmp_path / "settings.yaml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        settings.load(Hub(tmp_path / "opt" / "tljh"), tmp_path)


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name: default for name, default, meaning in settings.documented() if meaning}
    groups = {
        "upgrade": settings.UpgradeSettings,
        "user_data": settings.UserDataSettings,
        "keep": settings.KeepSettings,
        "scheduled": settings.ScheduledSettings,
        "security": settings.SecuritySettings,
    }
    own = {item.name for item in fields(Settings)} - {*groups, "written"}
    below = {f"{name}.{item.name}" for name, kind in groups.items() for item in fields(kind)}
    assert set(documented) == own | below
    assert documented["upgrade.snapshot_age"] == Settings().upgrade.snapshot_age


def test_what_is_written_is_known_even_where_it_is_the_default(tmp_path: Path) -> None:
    found = load(tmp_path, f"upgrade: {{tljh: '{settings.TLJH}'}}\nbackups: /b\n")
    assert found.written == {"upgrade", "upgrade.tljh", "backups"}
    assert load(tmp_path, "").written == frozenset()


@pytest.mark.parametrize("value", ["/var/kept", "var/kept", "{root}/var/kept"])
@pytest.mark.parametrize("setting", ["backups", "homes"])
def test_folders_lie_below_the_root_of_the_hubs_server(
    tmp_path: Path, setting: str, value: str
) -> None:
    found = load(tmp_path, f"{setting}: {value.format(root=tmp_path)}\n")
    assert getattr(found, setting) == f"{tmp_path}/var/kept"


def test_on_a_server_folders_are_where_they_say() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.yaml"
        file.write_text("homes: /data/home\n")
        assert settings.load(Hub(Path("/opt/tljh")), file).homes == "/data/home"


KEYS = st.sampled_from([name for name, _, _ in settings.documented()] + ["upgrade", "nothing"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
# Half of it looks like settings, the other half like anything.
TEXTS = st.text(max_size=80) | st.builds(lambda key, value: f"{key}: {value!r}\n", KEYS, VALUES)


@example("upgrade: &a {defaults: *a}")
@example("? [a]\n: b")
@example("%YAML 9.9\n---\na: 1")
@example("a: +_")
@given(text=TEXTS)
@hypothesis_settings(max_examples=200, deadline=None)
def test_no_text_makes_more_of_it_than_settings_or_a_refusal(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.yaml"
        file.write_bytes(text.encode(errors="surrogatepass"))
        try:
            found: object = settings.load(Hub(Path(folder)), file)
        except SettingsInvalid as refusal:
            found = refusal
    assert isinstance(found, Settings | SettingsInvalid)
    assert isinstance(found, Settings) or str(file) in found.message


PATTERNS = ["a[", "[]", "[]a]", "[a", "[^", "[a-]", "[-a]", "a\\", "[\\]", "x/[/y", "[a-b-c]"]
GOOD = ["*", "**/x", "a?b", "[a-z]", "[^a]", "\\[", "[\\]]", "!keep", "$HOME", "-", "a]"]


@pytest.mark.skipif(not which("restic"), reason="restic is not installed")
@pytest.mark.parametrize("pattern", [*PATTERNS, *GOOD])
def test_a_pattern_is_refused_exactly_when_restic_refuses_it(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "patterns").write_text(f"{pattern}\n")
    (tmp_path / "password").write_text("x")
    (tmp_path / "data").mkdir()
    quick_repository.create(tmp_path / "r", "x")
    restic = ["restic", f"--repo={tmp_path}/r", f"--password-file={tmp_path}/password"]
    backup = [*restic, "backup", "--dry-run", f"--exclude-file={tmp_path}/patterns"]
    done = subprocess.run([*backup, str(tmp_path / "data")], check=False, capture_output=True)
    assert bool(settings_checks.no_pattern(pattern)) == (done.returncode != 0)
    assert (pattern in PATTERNS) == (done.returncode != 0)


USER_DATA = st.dictionaries(
    st.sampled_from(["repository", "name", "also", "exclude", "options", "password_file"]),
    st.text(max_size=8)
    | st.lists(st.text(max_size=8), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.none(), max_size=2),
)


@given(values=USER_DATA, name=st.sampled_from(["jupyterhub", "plasma"]), place=st.text(max_size=30))
@example(values={}, name="plasma", place="postgresql://[")
@hypothesis_settings(max_examples=200, deadline=None)
def test_what_is_accepted_can_be_used(values: dict[str, object], name: str, place: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder) / "opt" / "tljh")
        file = Path(folder) / "settings.yaml"
        file.write_text(json.dumps({"user_data": values, "databases": {name: place}}))
        try:
            found = settings.load(hub, file)
        except SettingsInvalid:
            return
        assert repository_settings.of(Source(hub, found, services.of(hub, found))).address
        with suppress(DatabaseForeign):
            databases.at(place, name, hub.state)
        assert all(Path(each).is_relative_to(folder) for each in found.user_data.also)
        hub.work.mkdir(parents=True)
        user_files.excludes(Source(hub, found, services.of(hub, found)), ())
