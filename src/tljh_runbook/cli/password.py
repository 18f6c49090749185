"""The command that tells where the password of the user data is, and that a copy is elsewhere."""

from __future__ import annotations

import shlex
import sys

import click

from tljh_runbook import terminal
from tljh_runbook.cli.options import on_hub
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.user_data.restic import password as passwords
from tljh_runbook.hub.user_data.restic import repository


@click.command()
@click.option("--confirm", is_flag=True, help="Type the password from your copy, to prove it good.")
@on_hub(whole=False)
def password(source: Source, *, confirm: bool, as_json: bool) -> None:
    """Say where the password of the user data's repository is, and whether a copy was confirmed.

    It never prints the password itself. With --confirm it asks for it, and compares what you type
    from your copy with the file: so you know that the copy opens the repository.

    \b
    Examples:
      tljh-runbook password
      tljh-runbook password --confirm
    """
    if confirm:
        repository.snapshots(repository.opened(source))  # the file itself must open it
        passwords.confirm(source, _typed())
    file, confirmed = source.settings.user_data.password_file, passwords.confirmed(source)
    if as_json:
        terminal.data({"file": file, "confirmed": confirmed})
    elif confirmed:
        terminal.line(f"A copy of the password in {file} was confirmed.")
    else:
        terminal.line(f"The password is in {file}.")
        terminal.line("Without it nobody can read the backups of user data, and it is only there.")
        terminal.line("Read it as root, and write it down on paper, or keep it in another safe:")
        terminal.line(f"  sudo cat {shlex.quote(file)}")
        terminal.line("Then type it from your copy: tljh-runbook password --confirm")


def _typed() -> str:
    """Return what is typed, unseen; from a script, the first line of its input."""
    if sys.stdin.isatty():
        return str(click.prompt("The password, from your copy", hide_input=True, err=True))
    return sys.stdin.readline()


COMMANDS = (password,)
