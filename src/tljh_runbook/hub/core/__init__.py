"""The base layer: paths, config.yaml, settings and atomic file operations."""
