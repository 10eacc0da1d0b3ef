"""Named repairs that let modAL 0.4.2 run on current scikit-learn, NumPy and pandas.

After `import modal_pretrain`, `apply` runs when somebody imports modAL. Every repair
tries what it mends first and leaves a modAL that works alone; what each one is for is
listed by `repairs` and, with the error texts, in docs/modal-repairs.md. Only modAL's
own modules and classes are changed, never NumPy, pandas or scikit-learn.
"""

import importlib

from ._registry import OUTCOMES, REPAIRS, Repair
from ._require import require_modal

__all__ = ["Repair", "apply", "repairs", "require_modal"]

# In this order: modAL's broken modules must be importable before anything inside
# them can be replaced, and the data helpers are what the rest is built on.
_GROUPS = (
    "_imports",
    "_rows",
    "_inputs",
    "_learners",
    "_teaching",
    "_committees",
    "_strategies",
)


def _load() -> None:
    """Import the groups, which fills the register; they import modAL themselves."""
    require_modal()
    # First, since modAL's own import may start this function again: if a group did it,
    # the others would register, and repair, before that group.
    importlib.import_module("modAL")
    for group in _GROUPS:
        importlib.import_module(f".{group}", __name__)


def apply() -> tuple[str, ...]:
    """Repair the installed modAL where it needs it.

    Returns
    -------
    tuple of str
        Names of the repairs that were needed. A second call changes nothing and
        returns the same names.

    Raises
    ------
    ImportError
        If modAL is missing or too old, or skorch is too old, with the command that
        puts it right.

    Examples
    --------
    >>> from modal_pretrain import compat
    >>> compat.apply() == compat.apply()
    True
    """
    _load()
    for name, function in REPAIRS.items():
        if name not in OUTCOMES:
            OUTCOMES[name] = function()
    return tuple(name for name in REPAIRS if OUTCOMES[name])


def repairs() -> dict[str, Repair]:
    """List all repairs with what breaks without them.

    Returns
    -------
    dict of str to Repair
        For each name a one-line description, and whether the repair was applied:
        False before `apply`, and where the installed modAL did not need it.
    """
    _load()
    return {
        name: Repair((function.__doc__ or "").split("\n")[0], OUTCOMES.get(name, False))
        for name, function in REPAIRS.items()
    }
