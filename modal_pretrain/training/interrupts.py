"""Tell Ctrl-C from a callback that ends training: both are a KeyboardInterrupt."""

from __future__ import annotations

import dis
import signal


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
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    trace = error.__traceback__
    while trace is not None:
        code, at = trace.tb_frame.f_code, trace.tb_lasti
        if code is handler:
            return True
        trace = trace.tb_next
        if trace is None:
            return code.co_code[at] != dis.opmap["RAISE_VARARGS"]
    return True
