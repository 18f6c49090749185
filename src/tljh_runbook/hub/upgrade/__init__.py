"""The upgrade, with one module or package per phase; start reading at `upgrade.upgrade`."""
