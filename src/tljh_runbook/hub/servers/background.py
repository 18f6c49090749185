"""Functions that run in the background while a context is active."""

from __future__ import annotations

import threading
from collections.abc import Callable

Work = Callable[[threading.Event], object]
"""A function that runs until the event is set."""


class Background:
    """Context manager that runs each function in its own thread."""

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
