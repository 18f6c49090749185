"""Users' files in a restic repository: encrypted, deduplicated and incremental."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.backup.components import NOTHING
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.user_data import homes, presence, user_data_restore, user_files
from tljh_runbook.hub.user_data.homes import Homes
from tljh_runbook.hub.user_data.restic import repository
from tljh_runbook.hub.user_data.user_files import Stored


class UserData:
    """All home directories, and the additional folders named in the settings."""

    name = "user-data"
    title = "User data"
    order = 20
    downtime = NOTHING
    kept = (
        "all that lies in the home directories: content, owners, modes, times, access lists, "
        "extended attributes and links, each as it is and never through a link",
        "the folders that `user_data.also` names",
        "all of the users' environment, where `user_data.environment` is `true`",
        "a copy of each snapshot, beside the user data that belongs to it",
    )
    left_out = (
        (
            "what `user_data.exclude` names: caches, the trash, downloaded packages",
            "Programs make it again by themselves.",
        ),
        (
            "the snapshots and the repository itself, where they lie in a home directory",
            "A copy would hold a copy of itself.",
        ),
    )

    def size(self, source: Source) -> int:
        del source
        return 0  # the files go to the repository, not into the snapshot's folder

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        try:
            found = homes.find(source)
            lost = presence.remember(source, found)
            opened = repository.opened(source, make=True)
            stored = user_files.keep(opened, source, found, folder.kept_as, folder.say)
        except RunbookError as error:
            if folder.alone:
                raise
            # Back up the databases anyway; the note says what is missing.
            return {"kept": False, "note": user_files.because(error)}
        return {
            "kept": True,
            "repository": opened.masked,
            "name": opened.name,
            "snapshot": stored.id,
            "paths": [str(path) for path in found.paths],
            "homes": found.of,
            "owners": {user: Path(home).stat().st_uid for user, home in found.of.items()},
            "homeless": list(found.homeless),
            "lost": lost,
            "files": stored.files,
            "bytes": stored.size,
            "added": stored.added,
            "excluded": list(source.settings.user_data.exclude),
            "password_file": str(opened.password_file),
            "options": dict(opened.options),
            "environment_file": source.settings.user_data.environment_file,
        } | _note(found, stored, lost)

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        return user_data_restore.actions(
            restoration, restoration.kept.manifest.components[self.name]
        )

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        kept = manifest.components[self.name]
        if not kept["kept"]:
            yield "# This snapshot holds no user data."
            return
        # Only root can write to the parent folder, so no user can redirect restic with a link.
        parent, restic = Hub(Path(manifest.hub)).root / "var/lib", _restic(kept)
        template = shlex.quote(f"{parent}/tljh-user-data-{manifest.id}.XXXXXX")
        if "***" in kept["repository"]:
            yield "# Write the repository's own password where its address says ***."
        if kept["environment_file"]:
            yield f"set -a; . {shlex.quote(kept['environment_file'])}; set +a"
        yield f"{restic} snapshots --host {shlex.quote(kept['name'])}"
        yield "# The files go to a new folder first: look at them there, and copy what is missing."
        yield f"users=$(mktemp -d {template})"
        yield f'{restic} restore {kept["snapshot"]} --target "$users/files"'
        yield 'echo "The files are in $users/files"'


def _restic(kept: dict[str, Any]) -> str:
    options = [
        word for name, value in kept["options"].items() for word in ("-o", f"{name}={value}")
    ]
    place = ["--repo", kept["repository"], "--password-file", kept["password_file"]]
    return shlex.join(["restic", *place, *options])


def _note(found: Homes, stored: Stored, lost: dict[str, str]) -> dict[str, str]:
    """Return the note for the administrator who makes the backup, if there is one."""
    said = [f"Users' files are missing: {presence.told(lost)}. {presence.HINT}"] if lost else []
    if stored.unread:
        named = ", ".join(map(ascii, stored.unread[: user_files.NAMED]))
        more = " and more" if len(stored.unread) > user_files.NAMED else ""
        said.append(f"{len(stored.unread)} files could not be read: {named}{more}.")
    if stored.unguarded:
        said.append(
            "Links could be followed while the homes were read, so a user who exchanged a folder "
            f"for a link may have files of others in this backup: {stored.unguarded}."
        )
    if found.missing:
        said.append(f"user_data.also names what is not there: {', '.join(found.missing)}.")
    if found.unknown:
        said.append("The hub's database does not say who the users are; all of homes is kept.")
    return {"note": " ".join(said)} if said else {}


COMPONENT = UserData()
