"""What the repairs share: a register, a probe, and the ways to patch modAL."""

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

# Functions that return whether they changed anything, and what they returned.
REPAIRS: dict[str, Callable[[], bool]] = {}
OUTCOMES: dict[str, bool] = {}


class Repair(NamedTuple):
    """One entry of the list of repairs.

    Parameters
    ----------
    description : str
        What breaks without it, in one line.
    applied : bool
        Whether the installed modAL needed it.
    """

    description: str
    applied: bool


def repair(function: Callable[[], bool]) -> Callable[[], bool]:
    """Register a repair under its own name; its docstring says what it mends."""
    REPAIRS[function.__name__] = function
    return function


def works(probe: Callable[[], Any]) -> bool:
    """Try a small use of modAL, which must return something true and not warn.

    A FutureWarning counts as a failure, since scikit-learn announces with it what it
    is about to remove. Other warnings are not the repair's business. Probes may draw
    from NumPy's global generator, so its state is put back.
    """
    import numpy as np  # only here, so that to register repairs costs nothing

    state = np.random.get_state()  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", FutureWarning)
            return bool(probe())
    except Exception:
        return False
    finally:
        np.random.set_state(state)  # noqa: NPY002


def replace(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Put a function in the place of another, in every loaded module of modAL.

    modAL imports its helpers by name, so each module holds its own reference. The
    old function stays within reach as ``__wrapped__``.
    """
    functools.update_wrapper(new, old)
    for name, module in list(sys.modules.items()):
        if name == "modAL" or name.startswith("modAL."):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def replace_method(cls: type, name: str, new: Callable[..., Any]) -> None:
    """Put a method in the place of another, which stays there as ``__wrapped__``."""
    setattr(cls, name, functools.update_wrapper(new, vars(cls)[name]))
