"""The software of a hub: TLJH's installer, and its two Python environments."""
