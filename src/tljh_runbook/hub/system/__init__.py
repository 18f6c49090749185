"""The hub's server: services, processes, containers."""
