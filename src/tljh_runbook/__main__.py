"""``python -m tljh_runbook`` is the command ``tljh-runbook``."""

from tljh_runbook.cli import main

main()
