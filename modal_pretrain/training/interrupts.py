"""Tell Ctrl-C from a callback that ends training: both are a KeyboardInterrupt."""

from __future__ import annotations

import dis
import functools
import signal
from typing import Any


def is_ctrl_c(error: KeyboardInterrupt) -> bool:
    """Say whether a signal raised an interrupt, and no `raise` of a callback's.

    Python's own handler of Ctrl-C has no frame: what was at work when it came is the
    last one, and that raises nothing.

    Parameters
    ----------
    error : KeyboardInterrupt
        As it was caught.

    Returns
    -------
    bool
    """
    handler = _code(signal.getsignal(signal.SIGINT))
    trace = error.__traceback__
    while trace is not None:
        code, at = trace.tb_frame.f_code, trace.tb_lasti
        if code is handler:
            return True
        trace = trace.tb_next
        if trace is None:
            return code.co_code[at] != dis.opmap["RAISE_VARARGS"]
    return True


def _code(handler: Any) -> Any:
    """Return the code of a function, of what a partial calls or an object is called by.

    A partial is what `asyncio.run` sets.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    called = handler if hasattr(handler, "__code__") else type(handler).__call__
    return getattr(called, "__code__", None)
