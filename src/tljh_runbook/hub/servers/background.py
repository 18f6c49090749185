"""Functions that run beside something, for as long as it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

Work = Callable[[threading.Event], object]
"""Runs until the event is set."""


class Background:
    """Runs each function in a thread of its own for as long as the context lasts."""

    def __init__(self, *works: Work) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=each, args=(self._stop,), daemon=True) for each in works
        ]

    def __enter__(self) -> object:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
