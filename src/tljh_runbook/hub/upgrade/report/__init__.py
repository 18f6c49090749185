"""The report of an upgrade, as data and as an HTML page."""
