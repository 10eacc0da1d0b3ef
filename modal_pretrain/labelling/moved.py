"""Which row each record is about, also where rows moved since."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.records import (
    CANNOT_TELL,
    LABELLED,
    OPEN,
    SKIPPED,
    Record,
)

# Runs that are compared in any case, from the first to the last.
_COMPARED = 20


class Lost(NamedTuple):
    """What of a label file does not fit the pool: true where there is any of it.

    Parameters
    ----------
    vanished : list of str
        Items that are labelled and not in the pool.
    moved : list of (str, str)
        Items found under another name, by their content: old name, new name.
    changed : list of str
        Items that hold something else than whenever they were labelled, which is
        nowhere else; their labels do not count.
    """

    vanished: list[str]
    moved: list[tuple[str, str]]
    changed: list[str]

    def __bool__(self) -> bool:
        # Three lists, though empty, would else be true.
        return bool(self.vanished or self.moved or self.changed)


class _Run:
    """Records of one name while it held one thing, by their places in the file."""

    def __init__(self, name: str, key: int | str) -> None:
        self.name, self.key = name, key
        self.content = ""
        self.since = -math.inf  # when it was last seen to hold that
        self.places: list[int] = []
        self.answers: set[int] = set()
        self.undone: set[int] = set()
        self.word = ("", "", "")  # status, label and tag, as they were said last
        self.row: int | None = None

    def add(self, place: int, record: Record) -> None:
        self.content = self.content or record.content
        if record.content:
            self.since = record.since()
        self.places.append(place)
        self.answers.add(record.answer)
        self.undone.add(record.undoes)
        self.word = record.status, record.label, record.tag

    def takes_back(self) -> set[int]:
        """Return the answers that are not its own and taken back by it."""
        return self.undone - self.answers - {0}

    def standing(self) -> set[int]:
        """Return its answers but those that it takes back itself."""
        return self.answers - self.undone


class _Alike:
    """Runs of one content whose rows are known: of hundreds of copies, say."""

    def __init__(self) -> None:
        self.last: _Run | None = None
        self._taking_back: dict[int, _Run] = {}
        self._saying: dict[tuple[str, str, str], list[_Run]] = {}  # as they began

    def add(self, run: _Run) -> None:
        self.last = run
        for answer in run.takes_back():
            self._taking_back.setdefault(answer, run)
        if run.word[0] in (LABELLED, CANNOT_TELL):
            said = self._saying.setdefault(run.word, [])
            bisect.insort(said, run, key=lambda other: other.places[0])

    def correcting(self, run: _Run, named: bool) -> _Run | None:
        """Return one that is about the row of an earlier run, which moved, not a copy.

        If it takes back what was said there it is. Where names are but places, what was
        said last of the same content counts: a new copy must not get what was
        corrected.
        """
        for answer in run.standing():
            if answer in self._taking_back:
                return self._taking_back[answer]
        found = []
        for word, said in self._saying.items():
            if not named and word != run.word:
                end = run.places[-1]
                at = bisect.bisect_left(said, end, key=lambda other: other.places[0])
                found += said[at : at + 1]
        return min(found, key=lambda other: other.places[0], default=None)


def rows_of(records: Sequence[Record], pool: Pool) -> tuple[list[int | None], Lost]:
    """Find the row of each record, also where it moved, by what it held.

    A name may have come to stand for something else, and been answered anew. What was
    said before is of what it held then, wherever that is now.
    """
    runs, present = _runs(records, pool)
    told = _times_tell(runs, pool)
    held: defaultdict[int | str, set[str]] = defaultdict(set)
    for run in runs:
        held[run.key].add(run.content)
    for run in runs:
        # Nothing holds two things at once, which times alone might say.
        since = run.since if told and len(held[run.key] - {""}) < 2 else -math.inf
        if isinstance(run.key, int) and pool.same(run.key, run.content, since):
            run.row = run.key
    known: defaultdict[str, _Alike] = defaultdict(_Alike)
    for run in runs:
        if run.row is not None and run.content:
            known[run.content].add(run)
    taken = {run.row for run in runs}
    away = [run for run in runs if run.row is None]
    contents = {run.content for run in away} - {""}
    free = [row for row in range(len(pool)) if row not in taken]
    homes = pool.places(contents, free) if contents else {}
    # The last word on what moved goes first, which is not of the run that began last
    # where something moved there and back.
    for run in sorted(away, key=lambda run: run.places[-1], reverse=True):
        home, alike = homes.get(run.content), known[run.content]
        later = alike.last
        if corrected := alike.correcting(run, pool.named):
            run.row = corrected.row
        elif home:
            run.row = home.pop()
        elif later and (not pool.named or run.places[-1] < later.places[0]):
            run.row = later.row  # it has moved before
        elif later and _says_more(run, later, records):
            run.row = later.row  # it moved back, or is a copy that is gone
        if run.row is not None:
            alike.add(run)
    names = [(run.name, pool.names[run.row]) for run in away if run.row is not None]
    lost = Lost([], list(dict.fromkeys(names)), [])
    # What it holds now has a label, too; to have been skipped with that is none.
    own = {run.row for run in runs if run.row == run.key and run.word[1]}
    for key, run in present.items():
        if run.row is None and key not in own and records[run.places[-1]].label:
            (lost.changed if isinstance(key, int) else lost.vanished).append(run.name)
    rows: list[int | None] = [None] * len(records)
    for run in runs:
        for place in run.places:
            rows[place] = run.row
    return rows, lost


def _times_tell(runs: Sequence[_Run], pool: Pool) -> bool:
    """Say whether what has not changed since it was labelled is the same.

    It is not where one label file serves two folders with the same names in them, which
    may be as old as each other, or where one drive is mounted in place of another.
    """
    here = [(run.key, run) for run in runs if isinstance(run.key, int)]
    step = max(-(-len(here) // _COMPARED), 1)
    return all(
        pool.same(row, run.content, -math.inf)
        or not pool.same(row, run.content, run.since)
        for row, run in here[::step]
    )


def _says_more(run: _Run, before: _Run, records: Sequence[Record]) -> bool:
    """Say whether a run has the last word on what an earlier one is about.

    To skip a copy that is gone says nothing of the other, nor does an answer that was
    given to the copy and taken back.
    """
    if run.takes_back() & before.standing():
        return True  # whatever was known before: open, skipped, or another label
    if run.places[0] < before.places[-1]:
        return False
    words = [records[place] for place in run.places]
    last = next((word for word in reversed(words) if word.status != SKIPPED), None)
    return last is not None and last.status != OPEN


def _runs(
    records: Sequence[Record], pool: Pool
) -> tuple[list[_Run], dict[int | str, _Run]]:
    """Split records into runs; also return the last of each row, or of a lost name."""
    runs: list[_Run] = []
    present: dict[int | str, _Run] = {}
    for place, record in enumerate(records):
        row = pool.find(record.item)
        key = record.item if row is None else row
        run = present.get(key)
        if run is None or _begins_another(record, run, pool):
            run = present[key] = _Run(record.item, key)
            runs.append(run)
        run.add(place, record)
    return runs, present


def _begins_another(record: Record, run: _Run, pool: Pool) -> bool:
    """Say whether a record is about something else than the run of its name so far.

    What somebody added to the file by hand has no content, and is of what is there now,
    whatever it is. What takes an answer back may have none either, and is of its run's.
    """
    if record.content or record.undoes:
        return record.content not in ("", run.content) and bool(run.content)
    if not isinstance(run.key, int) or not run.content:
        return False
    return not pool.same(run.key, run.content, run.since)
