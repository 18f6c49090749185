"""Known vulnerabilities of a hub's packages: the list, what of it concerns a hub, and the fixes."""
