"""What every hub in use goes through: adoption, an upgrade and back, losses and restores."""

from __future__ import annotations

from typing import Any

import baseline
from downtime import Downtime
from life import Life
from machines import until
from world import World

# Where the tool's own units are linked.
OURS = ("/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants")


def packages(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each package that `status` names, plugins too: its version, commit and source."""
    found = status["versions"]
    named = {name: each for name, each in found.items() if isinstance(each, dict)}
    return named | {each["name"]: each for each in found["plugins"]}


class Common:
    """The tests of every story, in its order; deeds are in conftest.py."""

    def test_it_is_in_use(self, life: Life) -> None:
        """Everyone logs in, and users work."""
        life.work()
        life.log_in()

    def test_the_downtime_without_the_tool(self, compared: list[Downtime]) -> None:
        """A restart, the shortest upgrade that is possible and upstream's way are measured."""
        assert [each.action for each in compared] == list(baseline.ACTIONS)

    def test_adoption_changes_nothing(self, adopted: dict[str, Any]) -> None:
        """Adoption changes no file of the hub and restarts nothing."""
        (files, processes), (files_now, processes_now) = adopted["before"], adopted["after"]
        changed = {
            line
            for line in files ^ files_now
            if line.split()[0] not in OURS and "tljh-runbook" not in line.split()[0]
        }
        assert not changed, f"changed: {'; '.join(sorted(changed))}"
        assert processes_now == processes, f"{processes} became {processes_now}"

    def test_status(self, life: Life, adopted: dict[str, Any]) -> None:
        """`status` finds the hub healthy."""
        found = life.real.tool("status")
        assert found["healthy"], found["wrong"]
        life.real.says("status")

    def test_check(self, life: Life, backed_up: str) -> None:
        """`check` finds no reason against the upgrade."""
        life.real.says("check")

    def test_a_rehearsal_changes_nothing(self, life: Life, rehearsed: str) -> None:
        """After the rehearsal users work on, and everyone logs in."""
        life.log_in()

    def test_the_upgrade(self, life: Life, upgraded: dict[str, Any]) -> None:
        """The upgrade brings what was announced, and every guarantee is held."""
        found = life.real.tool("status")
        assert found["healthy"], found["wrong"]
        has = {name: str(each["version"]) for name, each in packages(found).items()}
        assert {name: has.get(name, "")[: len(v)] for name, v in life.target.items()} == dict(
            life.target
        )
        assert set(has) == set(upgraded["had"]), "a package was brought or lost"

    def test_users_servers_run_on(self, upgraded: dict[str, Any]) -> None:
        """No server of a user was restarted by the upgrade."""
        assert upgraded["after"] == upgraded["before"]

    def test_what_the_admin_made_is_there(self, life: Life, upgraded: dict[str, Any]) -> None:
        """Settings, packages and permissions of the administrator survive the upgrade."""
        life.inspect()

    def test_everyone_logs_in_after_it(self, life: Life, upgraded: dict[str, Any]) -> None:
        """Everyone who could log in before the upgrade can log in after it."""
        life.log_in()

    def test_a_second_upgrade_does_nothing(self, life: Life, upgraded: dict[str, Any]) -> None:
        """The same upgrade again restarts nothing."""
        before = life.real.processes()
        life.real.says("upgrade")
        assert life.real.processes() == before

    def test_the_rollback(self, life: Life, upgraded: dict[str, Any], rolled_back: Any) -> None:
        """A rollback brings the previous version back, and everyone logs in."""
        found = life.real.tool("status")
        assert found["healthy"], found["wrong"]
        assert found["versions"] == upgraded["versions before"]
        life.log_in()

    def test_upgrading_again(self, life: Life, upgraded_again: Any) -> None:
        """After a rollback the upgrade works again, and everyone logs in."""
        assert life.real.tool("status")["healthy"]
        life.log_in()

    def test_restoring_a_file(self, life: Life, safe: str) -> None:
        """One spoilt file of a user comes back, and nothing is restarted."""
        before = life.real.processes()
        life.real.server.run("sh", "-c", f"echo oops > {life.note}")
        name = life.note.rpartition("/")[2]
        life.real.says("restore", "--user", life.busy[0], "--path", name, "--yes")
        assert life.real.server.read(life.note) == "lesson"
        assert life.real.processes() == before

    def test_restoring_a_home(self, life: Life, safe: str) -> None:
        """A user's whole home comes back, with its owner."""
        server = life.real.server
        owner = server.run("stat", "--format=%u:%g %a", life.home)
        server.run("mv", life.home, f"{life.home}.lost")
        life.real.says("restore", "--user", life.busy[0], "--yes")
        assert server.run("stat", "--format=%u:%g %a", life.home) == owner
        assert server.read(life.note) == "lesson"
        server.run("rm", "-rf", life.home)
        server.run("mv", f"{life.home}.lost", life.home)

    def test_restoring_the_database(self, life: Life, safe: str) -> None:
        """The database comes back, users' servers run on, and everyone logs in."""
        life.work()
        late = next(name for name in reversed(life.people) if name not in life.busy)
        visitor = life.hub.work(late, **life.spawn)  # the snapshot knows nothing of this server
        before = life.processes()
        told = life.do("restore of the database", "restore", "database", "--yes")
        assert life.real.tool("status")["healthy"]
        assert life.processes() == before
        assert told["servers"] == dict.fromkeys([*life.busy, late], True), told["servers"]
        assert visitor.server()["ready"]
        life.log_in()

    def test_restoring_everything(self, life: Life, safe: str) -> None:
        """Everything comes back at once, and everyone logs in."""
        life.do("restore of everything", "restore", "--yes")
        assert life.real.tool("status")["healthy"]
        life.log_in()

    def test_a_lost_hub_environment(
        self, life: Life, world: World, versions: dict[str, Any]
    ) -> None:
        """After the loss of /opt/tljh/hub the recorded versions come back."""
        life.real.server.run("rm", "-rf", "/opt/tljh/hub")
        world.put_in_place(life.real.server, "opt/tljh/hub")
        life.real.says("restore", "--yes")
        life.hub.wait()
        assert life.real.tool("status")["versions"] == versions
        life.log_in()

    def test_a_lost_tljh(self, life: Life, world: World, versions: dict[str, Any]) -> None:
        """After the loss of all of /opt/tljh the recorded hub comes back."""
        server = life.real.server
        config = server.read("/opt/tljh/config/config.yaml")
        server.run("systemctl", "stop", "jupyterhub", "traefik")
        server.run("rm", "-rf", "/opt/tljh")
        world.put_in_place(server)
        life.real.says("restore", "--yes")
        life.hub.wait()
        until(lambda: life.real.tool("status")["healthy"], "the hub is healthy", 120)
        assert life.real.tool("status")["versions"] == versions
        assert server.read("/opt/tljh/config/config.yaml") == config
        life.log_in()

    def test_what_the_admin_made_is_there_again(self, life: Life, safe: str) -> None:
        """Settings, packages and permissions of the administrator survive that loss."""
        life.inspect()
