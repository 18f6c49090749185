"""Package versions: what is installed, what an upgrade installs, and what is vulnerable."""
