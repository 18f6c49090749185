"""The command that keeps what an upgrade took, for the pages to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tljh_runbook.reference import upgrades


@click.command()
@click.argument("report", type=click.File())
@click.argument("back", type=click.File())
@click.argument("where")
def main(report: Any, back: Any, where: str) -> None:
    """Keep an upgrade's REPORT, and what its rollback printed; WHERE tells on what it ran."""
    file = Path("docs") / upgrades.FILE
    file.parent.mkdir(exist_ok=True)
    kept = upgrades.record(json.load(report), json.load(back), where)
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(prog_name="python -m tljh_runbook.reference")
