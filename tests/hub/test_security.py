"""What the advisories say about a hub, and that no list can mislead or crash."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import Version

from tljh_runbook.errors import AdvisoriesUnusable, RunbookError, SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files, settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.versions.security import advisories, allowed, assessment, osv, refresh
from tljh_runbook.hub.versions.security.advisories import Advisories

EVERYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ["id", "aliases", "summary", "affected", "withdrawn", "database_specific", "published"]
NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=3)
RELEASES = NUMBERS.map(lambda each: ".".join(map(str, each)))


def document(name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges} | more
    return {"id": f"GHSA-{name}", "summary": "Something.", "affected": [affected]}


def one(name: str, *events: dict[str, str], **more: Any) -> osv.Advisory:
    found = osv.parse(document(name, *events, **more))
    assert found
    return found


def a_list(*known: osv.Advisory, as_of: str = "") -> Advisories:
    day = date.fromisoformat(as_of) if as_of else date.today()
    names = frozenset(each.name for found in known for each in found.affected)
    return Advisories(day, names, known)


def affects(found: osv.Advisory, version: str) -> bool:
    return any(each.contains(Version(version)) for each in found.affected)


def needs(hub: Hub, name: str, version: str, *lines: str) -> None:
    """Install a package that requires others."""
    path = hub_folder.distribution(hub, name, version) / "METADATA"
    with path.open("a") as file:
        file.writelines(f"Requires-Dist: {line}\n" for line in lines)


def labels(hub: Hub, *known: osv.Advisory) -> list[str]:
    return [each.label for each in assessment.of(hub, a_list(*known)).vulnerable]


TORNADO = one("tornado", {"introduced": "0"}, {"fixed": "6.4.2"})
NEWER = one("tornado", {"introduced": "0"}, {"fixed": "6.5"})


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0", False),
        ("1.1", True),
        ("1.2rc1", True),
        ("1.2", False),
        ("1.2+local.1", False),
        ("2.0", True),
        ("2.1", True),
        ("2.1+local.1", True),
        ("2.1.post1", False),
        ("3.0.0", True),
        ("3.1", False),
    ],
)
def test_a_version_is_in_a_range_as_the_schema_says(version: str, expected: bool) -> None:
    events = [{"introduced": "1.1"}, {"fixed": "1.2"}, {"last_affected": "2.1"}]
    found = one("a", {"introduced": "2.0"}, *events, versions=["3.0"])
    assert affects(found, version) is expected


@given(st.sets(RELEASES.map(Version), min_size=2, max_size=6), RELEASES)
def test_ranges_are_between_introduced_and_fixed(bounds: set[Version], version: str) -> None:
    ordered = sorted(bounds)
    pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
    events = [{"introduced": str(low)} for low, _ in pairs]
    events += [{"fixed": str(high)} for _, high in pairs]
    expected = any(low <= Version(version) < high for low, high in pairs)
    assert affects(one("a", *reversed(events)), version) is expected


@given(EVERYTHING)
@example({"affected": [{"package": {"ecosystem": "PyPI"}}]})
def test_nothing_that_is_no_advisory_crashes(value: object) -> None:
    with pytest.raises(ValueError, match="should be"):
        osv.parse(value)


@given(st.dictionaries(st.sampled_from(KEYS), EVERYTHING), st.data())
def test_an_advisory_with_anything_in_its_place_is_read_or_refused(
    changed: dict[str, Any], data: st.DataObject
) -> None:
    whole = document("a", {"introduced": "0"}, {"fixed": "1"}) | changed
    affected = data.draw(st.dictionaries(st.sampled_from(["ranges", "versions"]), EVERYTHING))
    whole["affected"] = [whole["affected"], *[document("b", **affected)["affected"][0]]]
    listed = {"as_of": "2026-01-01", "packages": [], "advisories": [whole]}
    with suppress(AdvisoriesUnusable):
        found = advisories.parse(json.dumps(listed).encode())
        assert found.as_of == date(2026, 1, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 200_000,
        b'{"as_of": "soon", "packages": [], "advisories": []}',
        b'{"as_of": "2026-01-01", "packages": [1], "advisories": []}',
        b'{"as_of": "2026-01-01", "packages": [], "advisories": {"a": 1}}',
        b" " * (advisories.LIMIT + 1),
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(AdvisoriesUnusable):
        advisories.parse(data)


def test_the_shipped_list_says_something_of_every_package_it_names_a_fix_for() -> None:
    known = advisories.shipped()
    named = {each.name for found in known.known for each in found.affected}
    assert {"jupyterhub", "tornado", "jinja2", "oauthenticator", "requests"} <= named
    assert named <= known.packages
    for found in known.known:
        assert found.id.startswith(("GHSA-", "PYSEC-", "CVE-"))
        assert found.severity in assessment.ORDER[:-1]
        assert found.summary.endswith(".")
        assert date.fromisoformat(found.published[:10]) <= known.as_of
        assert any(each.fixed for each in found.affected)
    assert len({found.id for found in known.known}) == len(known.known)


def test_names_are_compared_as_pep_503_says(hub: Hub) -> None:
    hub_folder.distribution(hub, "Jupyter_Server", "2.0")
    found = one("jupyter.server", {"introduced": "0"}, {"fixed": "2.1"})
    assert labels(hub, found) == ["jupyter-server 2.0 → 2.1"]


def test_the_fix_is_the_oldest_version_that_nothing_is_known_of(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1")
    assert labels(hub, TORNADO) == ["tornado 6.1 → 6.4.2"]
    assert labels(hub, TORNADO, NEWER) == ["tornado 6.1 → 6.5"]


def test_a_newer_version_with_another_vulnerability_is_no_fix(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1")
    since = one("tornado", {"introduced": "6.5"}, {"fixed": "6.5.1"})
    assert labels(hub, NEWER, since) == ["tornado 6.1 → 6.5.1"]


def test_a_fix_is_in_the_release_line_that_is_allowed(hub: Hub) -> None:
    hub_folder.distribution(hub, "urllib3", "1.26.5")
    needs(hub, "requests", "2.31.0", "urllib3<2,>=1.21")
    lines = [{"introduced": "0"}, {"fixed": "1.26.18"}, {"introduced": "2.0"}, {"fixed": "2.0.7"}]
    assert labels(hub, one("urllib3", *lines)) == ["urllib3 1.26.5 → 1.26.18"]


def test_a_fix_that_another_package_does_not_allow_is_named_with_it(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1")
    needs(hub, "old-plugin", "1.0", "tornado<6.5", 'tornado<6; python_version < "3"')
    (found,) = assessment.of(hub, a_list(NEWER)).vulnerable
    assert (found.fix, found.beyond, found.against) == ("", "6.5", ("old-plugin",))


def test_an_extra_that_nobody_asked_for_holds_nothing_back(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1")
    needs(hub, "old-plugin", "1.0", 'tornado<6.5; extra == "test"', "not a requirement <")
    assert labels(hub, NEWER) == ["tornado 6.1 → 6.5"]


def test_the_range_of_tljh_counts(hub: Hub) -> None:
    (site,) = hub.environment.glob("lib/python3.*/site-packages")
    known = "# comment\njupyterhub>=4.0.2,<5  # why\npycurl>=7,<8 --no-binary=pycurl\n\n"
    hub_folder.keep(site / "tljh" / "requirements-hub-env.txt", known, 0o644)
    found = one("jupyterhub", {"introduced": "0"}, {"fixed": "5.5.0"})
    (judged,) = assessment.of(hub, a_list(found)).vulnerable
    assert (judged.fix, judged.beyond) == ("", "5.5.0")
    assert judged.against == ("the-littlest-jupyterhub",)
    assert allowed.of(hub).against("pycurl", Version("8.0"))


def test_a_commit_is_not_known_and_said(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1", commit="a" * 40)
    found = assessment.of(hub, a_list(NEWER))
    assert (found.state, found.unknown) == (assessment.NOT_KNOWN, ("tornado",))
    assert "tornado installed from git" in found.words


def test_a_version_that_is_none_is_not_known(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "of my own")
    assert assessment.of(hub, a_list(NEWER)).unknown == ("tornado",)


def test_nothing_known_on_an_old_list_is_not_known(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.5")
    assert assessment.of(hub, a_list(NEWER)).state == assessment.UP_TO_DATE
    day = date.today() - timedelta(days=advisories.OLD + 1)
    found = assessment.of(hub, a_list(NEWER, as_of=day.isoformat()))
    assert found.state == assessment.NOT_KNOWN
    assert f"{advisories.OLD + 1} days old" in found.words


def test_what_an_old_list_knows_is_still_known(hub: Hub) -> None:
    hub_folder.distribution(hub, "tornado", "6.1")
    found = assessment.of(hub, a_list(NEWER, as_of="2020-01-01"))
    assert found.state == assessment.VULNERABLE


def test_a_withdrawn_advisory_says_nothing() -> None:
    withdrawn = document("tornado", {"introduced": "0"}) | {"withdrawn": "2026-01-01T00:00:00Z"}
    assert osv.parse(withdrawn) is None


def test_the_check_warns_and_names_the_remedy(source: Source) -> None:
    hub_folder.distribution(source.hub, "tornado", "6.1")
    files.make_private(source.hub.work)
    found = {each.name: each for each in checks.run(source)}["security"]
    assert found.error is None
    assert found.found.startswith("known vulnerability: ")
    assert "tornado 6.1 → " in found.found
    assert "tljh-runbook upgrade --security" in found.warning


def listed(as_of: str, *documents: dict[str, Any]) -> bytes:
    return json.dumps({"as_of": as_of, "packages": [], "advisories": documents}).encode()


LATER = (advisories.shipped().as_of + timedelta(days=1)).isoformat()


@contextmanager
def serving(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/advisories.json"
        server.shutdown()


def whole(data: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(data)

    return answer


def test_a_newer_list_is_fetched_and_used_from_then_on(source: Source) -> None:
    data = listed(LATER, document("tornado", {"introduced": "0"}, {"fixed": "7"}))
    with serving(whole(data)) as url:
        found = refresh.refresh(source.hub, url)
    assert found.as_of.isoformat() == LATER
    assert advisories.load(source.hub) == found
    assert advisories.file(source.hub).stat().st_mode & 0o777 == 0o600
    hub_folder.distribution(source.hub, "tornado", "6.9")
    assert [each.label for each in assessment.of(source.hub).vulnerable] == ["tornado 6.9 → 7"]


def test_a_list_may_be_a_file_on_the_server(source: Source, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(listed(LATER))
    found = refresh.refresh(source.hub, str(tmp_path / "list.json"))
    assert found.as_of.isoformat() == LATER
    with pytest.raises(AdvisoriesUnusable, match="No such file"):
        refresh.refresh(source.hub, str(tmp_path / "none.json"))


def test_an_older_list_takes_the_place_of_no_newer_one(source: Source) -> None:
    with serving(whole(listed("2020-01-01"))) as url:
        assert refresh.refresh(source.hub, url) == advisories.shipped()
    assert not advisories.file(source.hub).exists()


def test_a_list_that_was_fetched_and_is_damaged_is_not_used(source: Source) -> None:
    files.make_private(source.hub.work)
    advisories.file(source.hub).write_text("half a li")
    assert advisories.load(source.hub) == advisories.shipped()


def moved(to: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", to)
        request.end_headers()

    return answer


def fails(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_error(503)


def cut_off(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"as_of": ')


def slow(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b" ")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (fails, "answers 503"),
        (cut_off, "cannot be"),
        (slow, "no answer in 1 seconds"),
        (whole(b"<html>"), "not a list"),
        (whole(b" " * (advisories.LIMIT + 2)), "more than 8 MB"),
        (moved("http://192.0.2.1/advisories.json"), "answers 302"),
        (moved("file:///etc/passwd"), "answers 302"),
    ],
)
def test_a_download_that_does_not_end_well_changes_nothing(
    source: Source, answer: Callable[[http.server.BaseHTTPRequestHandler], None], why: str
) -> None:
    before = advisories.load(source.hub)
    with serving(answer) as url, pytest.raises(AdvisoriesUnusable, match=why):
        refresh.refresh(source.hub, url, deadline=1)
    assert advisories.load(source.hub) == before
    assert not advisories.file(source.hub).exists()


@pytest.mark.parametrize("place", ["http://example.org/a.json", "ftp://a/b", "list.json", ""])
def test_a_list_comes_only_from_where_nobody_can_change_it(hub: Hub, place: str) -> None:
    hub.settings_file.parent.mkdir(exist_ok=True)
    hub.settings_file.write_text(f"security:\n  advisories: {json.dumps(place)}\n")
    with pytest.raises(SettingsInvalid, match=r"security\.advisories"):
        settings.load(hub)


def test_nothing_is_left_of_a_list_that_cannot_be_stored(source: Source, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(listed(LATER))
    source.hub.work.parent.mkdir(parents=True, exist_ok=True)
    source.hub.work.write_text("in the way")
    with pytest.raises((RunbookError, FileExistsError)):
        refresh.refresh(source.hub, str(tmp_path / "list.json"))
