"""Environments of the real Plasma: images as repo2docker makes them, of the server's own files."""

from __future__ import annotations

from machines import Server

GROUP = "students"
COURSE = "course:4f1c2ab"
STATISTICS = "statistics:9d03e7f"
# What Plasma starts in an image, and what its entry point expects: it adds the user itself.
LAYOUT = """
set -e
mkdir -p /srv/conda/envs /home/jovyan /srv/image/etc
for each in passwd shadow group gshadow; do
    grep -vE '^(ada|admin|alice|bob|students|jupyter[a-z-]*):' /etc/$each > /srv/image/etc/$each
done
ln -sfn /opt/tljh/user /srv/conda/envs/notebook
touch /home/jovyan/.started
"""
ACCOUNTS = ("passwd", "shadow", "group", "gshadow")
# Docker refuses an archive that names a folder twice: the accounts come file by file.
PARTS = " ".join(
    [
        *("bin", "sbin", "lib", "lib64", "usr", "etc", "opt/tljh/user", "srv/conda"),
        *("home/jovyan", *(f"srv/image/etc/{each}" for each in ACCOUNTS)),
    ]
)
LEFT_OUT = (
    *("usr/share/*", "usr/libexec", "usr/lib/gcc", "usr/bin/docker*", "usr/sbin/dockerd"),
    *("etc/ssh", "etc/tljh-runbook*", "etc/resolv.conf", "etc/hosts", "etc/hostname"),
    *(f"etc/{each}" for each in ACCOUNTS),
)
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/repo2docker-entrypoint"]'
PATH = "ENV PATH=/srv/conda/envs/notebook/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
DATABASE = "/opt/tljh/state/tljh_plasma.sqlite"
ALLOW = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    for image in sys.argv[3:]:
        row = (sys.argv[2], image)
        database.execute('INSERT INTO permissions ("group", image) VALUES (?, ?)', row)
"""
READ = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute('SELECT "group", image FROM permissions').fetchall())
"""


def build(server: Server) -> None:
    """Import the images of two environments; only the first one is large."""
    server.run("sh", "-c", LAYOUT)
    left_out = " ".join(f"--exclude='{each}'" for each in LEFT_OUT)
    moved = "--transform 's,^srv/image/,,'"
    whole = f"tar --create --one-file-system --directory / --anchored {left_out} {moved} {PARTS}"
    for name, files in ((COURSE, whole), (STATISTICS, "tar --create --directory / etc/hostname")):
        changes = [ENTRYPOINT, PATH, *(f"LABEL {each}" for each in _labels(name))]
        options = " ".join(f"--change '{each}'" for each in changes)
        server.run("sh", "-c", f"{files} | docker import {options} - {name}")


def allow(server: Server) -> None:
    """Let the group of the students use both environments."""
    python = ("/usr/bin/python3", "-c")
    server.run(*python, ALLOW, DATABASE, GROUP, COURSE, STATISTICS)


def permissions(server: Server) -> str:
    """Return which group may use which environment."""
    return server.run("/usr/bin/python3", "-c", READ, DATABASE)


def _labels(image: str) -> list[str]:
    name, _, ref = image.partition(":")
    own = {
        "display_name": name,
        "image_name": image,
        "creation_date": "01/02/2026",
        "owner": "admin",
        "mem_limit": "1G",
        "cpu_limit": "1",
    }
    labels = [f"tljh_repo2docker.{key}={value}" for key, value in own.items()]
    return [*labels, f"repo2docker.repo=https://git.example.org/{name}", f"repo2docker.ref={ref}"]
