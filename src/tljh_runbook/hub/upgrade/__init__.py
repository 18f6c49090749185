"""The upgrade, one module or package a phase; `upgrade.upgrade` reads from top to bottom."""
