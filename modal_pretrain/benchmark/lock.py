"""Claims: which process is at work on a run, so that several share a folder.

A claim only saves work. Results are safe without it, because no two processes ever
write one file (see `modal_pretrain.benchmark.store`); so plain files suffice, on any
file system and operating system.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from modal_pretrain._checks import is_whole

BEAT = 5.0  # seconds between signs of life
STALE = 60.0  # without one for so long, a claim is nobody's


@contextlib.contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Claim what a file stands for, as long as the context lasts.

    Parameters
    ----------
    path : Path
        The claim's file. It is there while a process holds it.

    Yields
    ------
    bool
        False if another live process holds it. A process that was killed holds
        nothing: at once on this machine, after `STALE` seconds on others. Two
        processes that find the same abandoned claim at the same moment may both get
        it; they then do the same work twice.
    """
    if not _take(path):
        yield False
        return
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        stop.set()
        beating.join()
        path.unlink(missing_ok=True)


def _take(path: Path) -> bool:
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if not is_abandoned(path):
                return False
            path.unlink(missing_ok=True)
            continue
        owner = {"host": platform.node(), "pid": os.getpid()}
        with os.fdopen(descriptor, "w") as file:
            json.dump(owner, file)
        return True


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def is_abandoned(path: Path) -> bool:
    """Say whether the process that made a claim is gone, or the claim itself."""
    try:
        # Clocks of two machines differ, so a time to come is as old as one gone by.
        if abs(time.time() - path.stat().st_mtime) > STALE:
            return True
        owner = json.loads(path.read_text())
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # being written at this moment
    if not isinstance(owner, dict) or not is_whole(owner.get("pid")):
        return True  # nobody's
    return owner.get("host") == platform.node() and not _is_alive(owner["pid"])


def _is_alive(pid: int) -> bool:
    if pid <= 0:  # os.kill takes them for groups of processes
        return False
    if os.name == "nt":  # os.kill would end the process there; the beat will tell
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
