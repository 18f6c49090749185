"""End a piece of work at each of its lines, as a kill does: what is on the disk is what is left.

SQLite's own steps are not among them: what it does to a file outlives a kill, and it tests that.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from types import FrameType, ModuleType
from typing import Any


def at_each_line(
    modules: Collection[ModuleType], begin: Callable[[], None], work: Callable[[], object]
) -> Iterator[int]:
    """Yield after every kill: ``work`` is killed before its first line in ``modules``, its second …

    A line that is carried out again and again counts once. ``begin`` puts everything in order again
    before each. Ends when the work came to its end.
    """
    files = {module.__file__ for module in modules}
    number = 0
    while True:
        begin()
        if _killed_before(number, files, work):
            yield number
            number += 1
        else:
            return


def _killed_before(line: int, files: set[str | None], work: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        _run(line, files, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return False


def _run(line: int, files: set[str | None], work: Callable[[], object]) -> None:
    passed: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            passed.add((frame.f_code.co_filename, frame.f_lineno))
            if len(passed) > line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    try:
        sys.settrace(trace)
        work()
    except BaseException:  # noqa: BLE001 - the parent is told by the status
        os._exit(1)
    os._exit(0)
