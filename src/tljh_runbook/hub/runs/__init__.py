"""Runs: one at a time, detached from the terminal, with a journal."""
