"""What everything else is built on: where things are, settings, files that are written whole."""
