"""Known vulnerabilities of a hub's packages: the advisories, which of them apply, and fixes."""
