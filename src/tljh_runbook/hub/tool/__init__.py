"""This program on a server: the one file, and the copy that runs."""
