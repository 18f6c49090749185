"""An upgrade never makes the proxy listen where it did not before."""

from __future__ import annotations

import sys
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live, free_port, living, supervisor
from test_staging import done, everything, pids, prepared_beside

from tljh_runbook.errors import ConfigBroken, ServerUnfit
from tljh_runbook.hub.core import toml
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.health import entry_points
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.upgrade.stage import listening

BY_HAND = '[entryPoints.http]\naddress = "127.0.0.1:{port}"\n'


def everywhere(live: Live) -> None:
    """Have the settings say all addresses, while the proxy is bound to this machine by hand."""
    text = live.hub.config_file.read_text(encoding="utf-8")
    live.hub.config_file.write_text(text.replace("  address: 127.0.0.1\n", ""), encoding="utf-8")
    by_hand = BY_HAND.format(port=live.port)
    hub_folder.keep(live.hub.state / "traefik.toml", by_hand, 0o600)


def test_a_proxy_that_would_be_opened_is_named_with_what_keeps_it_closed(live: Live) -> None:
    everywhere(live)
    with pytest.raises(ServerUnfit) as told:
        listening.require_same(live.source, entry_points.configured(live.hub))
    assert f"port {live.port} of 127.0.0.1" in told.value.message
    assert f"port {live.port} of all addresses" in told.value.message
    assert "sudo tljh-config set http.address '127.0.0.1'\n" in told.value.hint


def test_check_says_it_before_anything_is_prepared(live: Live) -> None:
    everywhere(live)
    (found,) = [each for each in checks.run(live.source) if each.name == "hub"]
    assert isinstance(found.error, ServerUnfit)


def test_what_tljh_itself_would_write_so_is_no_hand_edit(live: Live) -> None:
    everywhere(live)
    own = live.hub.config / "traefik_config.d" / "loopback.toml"
    hub_folder.keep(own, BY_HAND.format(port=live.port), 0o600)
    listening.require_same(live.source, entry_points.configured(live.hub))
    own.write_text("[entryPoints")
    with pytest.raises(ConfigBroken, match=r"loopback\.toml"):
        entry_points.configured(live.hub)


def test_what_an_installer_would_open_is_never_swapped_in(live: Live) -> None:
    prepared_beside(live)
    opened = BY_HAND.format(port=live.port).replace("127.0.0.1", "")
    hub_folder.keep(live.hub.root / "srv" / "traefik.toml", opened, 0o644)
    before, running = everything(live.hub), pids(live)
    end = done(live, "upgrade")
    assert end["code"] == ServerUnfit.code
    assert (everything(live.hub), pids(live)) == (before, running)


def test_a_port_that_users_know_is_not_closed(live: Live) -> None:
    elsewhere = {"http": Socket("127.0.0.1", free_port())}
    with pytest.raises(ServerUnfit):
        listening.require_same(live.source, elsewhere)


def test_a_proxy_with_a_file_of_its_own_stays_where_it_is(tmp_path: Path) -> None:
    with living(tmp_path / "server") as made:
        hub, port = made.hub, free_port()
    hub_folder.write_config(hub, port)
    words = f"{hub.root}/proxy.py {port} {hub.root}/answers.json 127.0.0.1"
    with supervisor(hub, proxy=f"{sys.executable} {words} --configFile=/etc/traefik/own.toml"):
        listening.require_same(made.source, {"http": Socket("::", free_port())})


def test_what_does_not_run_is_not_compared(live: Live) -> None:
    live.source.services.stop("traefik")
    listening.require_same(live.source, {"http": Socket("::", 80)})


@pytest.mark.parametrize(
    ("address", "socket"),
    [
        (":80", Socket("::", 80)),
        ("127.0.0.1:8080", Socket("127.0.0.1", 8080)),
        ("[::1]:443/tcp", Socket("::1", 443)),
        ("localhost:8099", Socket("localhost", 8099)),
    ],
)
def test_an_address_as_traefik_writes_it(address: str, socket: Socket) -> None:
    told = entry_points.entries({"entryPoints": {"http": {"address": address}, "other": {}}})
    assert told == {"http": socket}


def test_a_hub_on_python_3_10_reads_toml_with_its_own_parser(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)  # as Python 3.10, which has none
    (site,) = live.hub.environment.glob(f"lib/python3.{sys.version_info.minor}/site-packages")
    hub_folder.keep(site / "toml.py", "import tomllib\nloads = tomllib.loads\n", 0o644)
    assert toml.parse('a = "é"', live.hub.python) == {"a": "é"}
