"""What is done, running, left and damaged in a results folder."""

from __future__ import annotations

from typing import NamedTuple

from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.lock import is_abandoned
from modal_pretrain.benchmark.records import DamagedRecords
from modal_pretrain.benchmark.store import RecordStore

STATES = ("done", "running", "left", "damaged")


class UnitStatus(NamedTuple):
    """Where one run stands.

    Attributes
    ----------
    unit : Unit
    state : {"done", "running", "left", "damaged"}
    rounds, total : int
        Rounds on disk, and of the whole run.
    problem : str
        What is damaged, and what to do about it.
    """

    unit: Unit
    state: str
    rounds: int
    total: int
    problem: str = ""


def status(store: RecordStore) -> list[UnitStatus]:
    """Say where each run of a configuration stands.

    Parameters
    ----------
    store : RecordStore

    Returns
    -------
    list of UnitStatus
        In the order in which they are run.
    """
    starts: dict[int, tuple[Unit, list[int]]] = {}
    return [
        _status(store, unit, starts) for unit in store.config.units(store.is_finished)
    ]


def _status(
    store: RecordStore, unit: Unit, starts: dict[int, tuple[Unit, list[int]]]
) -> UnitStatus:
    total, problem = store.config.n_records(unit), ""
    if store.is_finished(unit):
        try:
            store.run_of(unit, starts)
            state = "done"
        except DamagedRecords as error:
            state, problem = "damaged", str(error)
    else:
        claimed = not is_abandoned(store.folder / "claims" / str(unit))
        state = "running" if claimed else "left"
    return UnitStatus(unit, state, store.count(unit), total, problem)
