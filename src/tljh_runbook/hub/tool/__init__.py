"""The installation of this tool on a server: the single file, and the copy that runs."""
