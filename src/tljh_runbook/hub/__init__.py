"""The hub half: what a TLJH server is, and the work that is done there."""
