"""No secret of the whole story is in anything that was printed or logged."""

from __future__ import annotations

from pathlib import Path

from story import Story, Working

# Where TLJH was uninstalled, its state is kept elsewhere.
STATE = "/opt/tljh/state", "/var/backups/tljh-uninstalled-*/state"
FILES = {
    "repository password": ("/etc/tljh-runbook.password",),
    "cookie secret": tuple(f"{folder}/jupyterhub_cookie_secret" for folder in STATE),
    "proxy secret": tuple(f"{folder}/traefik-api.secret" for folder in STATE),
}
# What a server writes down for people to read; binary journals are read by journalctl.
LOGS = (
    "find /var/log /var/lib/tljh-runbook $(ls /opt/tljh/installer.log) -type f ! -name '*.journal'"
)


def test_no_secret_was_told(story: Story, inhabited: dict[str, Working]) -> None:
    secrets = dict(story.secrets)
    for server in story.servers:
        for name, paths in FILES.items():
            done = server.tried("sh", "-c", f"cat {' '.join(paths)}")
            secrets[f"{name} of {server.name}"] = done.stdout.strip()
        hashes = server.run("getent", "shadow", "alice", "bob")
        secrets |= {f"hash of {line.split(':')[0]}": line.split(":")[1] for line in hashes.split()}
    secrets["key"] = (story.controller.folder / "key").read_text(encoding="utf-8").split("\n")[1]
    assert all(len(secret) > 12 for secret in secrets.values())
    said = told(story)
    assert len(said) > 5
    found = [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in said.items()
        if secret in text
    ]
    assert not found


def told(story: Story) -> dict[str, str]:
    """Return all that was printed or logged, by where it is."""
    printed = {f"output {number}": text for number, text in enumerate(story.controller.said)}
    folder = story.controller.folder
    logs = [*folder.glob("logs/*"), *folder.glob("started-*.log")]
    printed |= {path.name: path.read_text(errors="replace") for path in map(Path, logs)}
    for server in story.servers:
        journal = server.run("journalctl", "--no-pager", "--all", "--output=export")
        printed[f"journal of {server.name}"] = journal
        for path in server.run("sh", "-c", LOGS).split("\n"):
            printed[f"{path} of {server.name}"] = server.run("cat", path)
    return printed


def test_the_search_would_find_one(story: Story, inhabited: dict[str, Working]) -> None:
    story.one.run("logger", story.secret("planted"))
    story.one.run("journalctl", "--sync")
    assert story.secret("planted") in told(story)["journal of one"]
    del story.secrets["planted"]
