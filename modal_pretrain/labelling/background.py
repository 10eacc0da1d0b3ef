"""The thread that embeds the pool and fits the model while a person answers."""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from modal_pretrain._checks import chosen_rows
from modal_pretrain.images.decode import ImageLoadError
from modal_pretrain.labelling.halves import halves, ignored
from modal_pretrain.labelling.known import Known
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.unreadable import Unreadable
from modal_pretrain.labelling.why import UNSURE, reasons

# Rows embedded at a time: between two of these the model is fitted, if it has to be.
_BLOCK = 64
# Rows that a strategy chooses from, drawn anew for each fit: all of a small pool.
_CANDIDATES = 10_000
# Questions thought out in advance.
_AHEAD = 24
# Seconds between looks at files that can't be read.
_PAUSE = 2.0


class Belief(NamedTuple):
    """What the model says after a fit.

    Attributes
    ----------
    version : int
        That of the answers it knows.
    learnt : int
        Rows it was fitted on.
    head : estimator
        Fitted on `Background.inputs` of labelled rows.
    classes : list of str
        In the order of its probabilities.
    questions : dict of int to (str, numpy.ndarray)
        Rows to ask about, best first: why, and their class probabilities.
    """

    version: int
    learnt: int
    head: Any
    classes: list[str]
    questions: dict[int, tuple[str, NDArray[np.float64]]]


class Background:
    """Embeds the pool block by block, and fits and queries after every answer.

    Parameters
    ----------
    pool : Pool
    estimator : estimator
    strategy : callable
        A query strategy.
    order : numpy.ndarray of shape (n,)
        Order in which rows are embedded: that of the first questions.
    known : callable
        Returns the present `Known`.
    first : int
        Labels that the first fit waits for.
    seed : int

    Attributes
    ----------
    embedded : numpy.ndarray of shape (n,), bool
        Which rows are embedded.
    unreadable : Unreadable
        Rows that can't be read.
    belief : Belief or None
        The present one, which a fit that fails leaves.
    model : int
        Its number, which goes up with every other one, or when there is none any more.
    problem : str
        Why the last fit failed, else empty. Answers are still taken then, and after
        each the fit is tried again; not where it says that the thread gave up.
    """

    def __init__(
        self,
        pool: Pool,
        estimator: Any,
        strategy: Callable[..., Any],
        order: NDArray[np.intp],
        known: Callable[[], Known],
        *,
        first: int,
        seed: int,
    ) -> None:
        self.pool = pool
        self.strategy = strategy
        self.order = order
        self.known = known
        self.first = first
        self.seed = seed
        self._embed, self._head = halves(estimator)
        self.features: NDArray[np.float32] | None = None
        self.embedded = np.full(len(pool), self._embed is None)
        self.unreadable = Unreadable(pool)
        self._states: dict[int, Hashable] = {}  # when they were embedded
        self._answered: set[tuple[int, str]] = set()  # looked at again since
        self._look_at = 0.0  # when they are looked at again
        self.belief: Belief | None = None
        self.model = 0
        self.problem = ""
        self._next = 0  # place in the order
        self._seen: tuple[int, int] = (-1, 0)  # version, and rows embedded by then
        self._calls = 0
        self._idle = False
        self._closed = False
        self._ended = False
        self._change = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name="modal_pretrain labelling", daemon=True
        )

    def start(self) -> None:
        """Begin to embed."""
        # Python ends such threads where they are, amid C++ that aborts the process.
        atexit.register(self._end, os.getpid())
        self._thread.start()

    def _end(self, process: int) -> None:
        """End with Python; in a process that was forked there is no such thread."""
        if os.getpid() == process:
            self.close()

    def wake(self) -> None:
        """Say that there are new answers."""
        with self._change:
            self._calls += 1
            self._idle = False
            self._change.notify_all()

    def set_unreadable(
        self, row: int, reason: str | Exception, state: Hashable = ()
    ) -> None:
        """Take note that a row can't be read, see `Unreadable.add`."""
        if self.unreadable.add(row, reason, state):
            self.wake()

    def wait(self, timeout: float | None = None) -> tuple[bool, str]:
        """Wait until everything is embedded and the model knows all answers.

        Return whether that is so, and the problem: none while another try is under way.
        """
        with self._change:
            self._change.wait_for(
                lambda: self._idle or self._closed or self._ended, timeout
            )
            problem = self.problem if self._idle or self._ended else ""
            return self._idle, problem  # not idle where it was closed amid its work

    def close(self) -> None:
        """End the thread after the block it is at."""
        atexit.unregister(self._end)
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def inputs(self, rows: NDArray[np.intp]) -> Any:
        """Return what the head takes of some embedded rows."""
        return self.pool.take(rows) if self.features is None else self.features[rows]

    def guess(self, row: int) -> tuple[str, float] | None:
        """Return the class the model gives a row, and how probable; None before."""
        belief = self.belief
        if belief is None or row not in self.readable():
            return None
        proba = belief.head.predict_proba(self.inputs(np.array([row])))[0]
        best = int(proba.argmax())
        return belief.classes[best], float(proba[best])

    def readable(self) -> NDArray[np.intp]:
        """Return the rows that the model can see, which are the embedded ones.

        An estimator that can't be split reads them anew each time.
        """
        rows = np.flatnonzero(self.embedded)
        if self._embed is None:
            rows = rows[~np.isin(rows, list(self.unreadable))]
        return rows

    # In the thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closed:
                calls, known = self._calls, self.known()
                worked = self._look_again()
                worked |= self._fit_if_due(known)
                worked |= self._embed_some(known)
                with self._change:
                    # An answer may have come while the last ones were looked at.
                    if not worked and self._calls == calls:
                        self._idle = True
                        self._change.notify_all()
                        self._change.wait_for(
                            lambda: not self._idle or self._closed,
                            _PAUSE if len(self.unreadable) else None,
                        )
        except BaseException as error:  # the person goes on answering, at random
            self.problem = f"{_words(error)} (it ended: close and start again)"
            with self._change:
                self._idle = self._ended = True
                self._change.notify_all()

    def _look_again(self) -> bool:
        """Read files after all that came back, or changed, as half a copy does."""
        if not len(self.unreadable) or time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _PAUSE
        if not self.unreadable.changed():
            return False
        self._next = 0
        self._seen = (-1, 0)  # some may be labelled and not learnt
        with self._change:
            self._idle = False
        return True

    def _embed_some(self, known: Known) -> bool:
        """Embed a block: rows that were answered first, then in order."""
        if self._embed is None:
            return False
        done = self.embedded
        block = [row for row in known.closed if self._wanted(row)][:_BLOCK]
        while len(block) < _BLOCK and self._next < len(self.order):
            row = int(self.order[self._next])
            self._next += 1
            if self._wanted(row) and row not in block:
                block.append(row)
        if not block:
            return False
        states = {row: self.pool.state(row) for row in block}
        for part, vectors in self._readable_parts(np.array(block)):
            if self.features is None:
                shape = (len(self.pool), vectors.shape[1])
                self.features = np.zeros(shape, np.float32)
            self.features[part] = vectors
            done[part] = True
            self._states |= {row: states[row] for row in part.tolist()}
        return True

    def _embed_again(self, known: Known) -> None:
        """Forget embeddings of files that changed before they were answered.

        Also where they had been answered before that, and skipped or labelled.
        """
        now = set(zip(known.closed.tolist(), known.contents, strict=True))
        for row in {row for row, _ in now - self._answered} & self._states.keys():
            if self.pool.state(row) not in (self._states[row], None):
                self.embedded[row] = False
        self._answered = now

    def _wanted(self, row: int) -> bool:
        return not self.embedded[row] and row not in self.unreadable

    def _readable_parts(self, rows: NDArray[np.intp]):
        """Yield rows with their embeddings; find those that can't be read."""
        assert self._embed is not None
        state = self.pool.state(int(rows[0]))
        try:
            yield rows, self._embed(self.pool.take(rows))
        except ImageLoadError as error:
            if len(rows) == 1:
                self.set_unreadable(int(rows[0]), error, state)
                return
            missing = [int(row) for row in rows if not self.pool.there(row)]
            for row in missing:  # a folder that is away has thousands
                name = self.pool.names[row]
                self.set_unreadable(row, FileNotFoundError(f"{name}: no such file"))
            rest = rows[~np.isin(rows, missing)]
            for part in [rest] if missing else np.array_split(rest, 2):
                if len(part):
                    yield from self._readable_parts(part)

    def _fit_if_due(self, known: Known) -> bool:
        n_embedded = int(self.embedded.sum())
        version, before = self._seen
        # While the pool is being embedded the choice grows: look again now and then.
        grown = n_embedded >= 1.5 * before or n_embedded == len(self.pool) > before
        if version == known.version and not grown:
            return False
        self._embed_again(known)
        if any(self._wanted(row) for row in known.closed):
            return False  # these, which teach or measure, are embedded next
        all_there = n_embedded + len(self.unreadable) >= len(self.pool)
        if not all_there and not self._open(known).any():
            return False  # what was answered is not the pool: nothing to ask about yet
        ready = np.isin(known.rows, self.readable())
        rows, labels, tags = known.rows[ready], known.labels[ready], known.tags[ready]
        self._seen = known.version, n_embedded
        if len(rows) < self.first or len(set(labels)) < 2:
            self.model += self.belief is not None
            self.belief, self.problem = None, ""
            return False
        try:
            self.belief = self._fit(known, rows, labels, tags)
        except BaseException as error:  # also a strategy that wants to exit
            # The next answer may mend it, as a second label of a new class does.
            self.problem = _words(error)
            return False
        self.problem = ""
        self.model += 1  # whoever sees that finds the other one
        return True

    def _open(self, known: Known) -> NDArray[np.bool_]:
        """Return which rows are embedded and may be asked about."""
        free = self.embedded.copy()
        free[known.closed] = False
        free[list(self.unreadable)] = False
        return free

    def _fit(
        self,
        known: Known,
        rows: NDArray[np.intp],
        labels: NDArray[np.str_],
        tags: NDArray[np.str_],
    ) -> Belief:
        head = clone(self._head)
        if "classes" in head.get_params():
            head.set_params(classes=list(known.classes))
        inputs = self.inputs(rows)
        head.fit(inputs, labels, **ignored(head, tags))
        candidates = np.flatnonzero(self._open(known))
        rng = np.random.default_rng([self.seed, len(rows)])
        if len(candidates) > _CANDIDATES:
            candidates = np.sort(rng.choice(candidates, _CANDIDATES, replace=False))
        questions: NDArray[np.intp] = candidates
        if len(candidates):
            given = {
                "X_labelled": inputs,
                "y_labelled": labels,
                "tags_labelled": [tag or None for tag in tags.tolist()],
                "random_state": int(rng.integers(2**31)),
            }
            accepted = inspect.signature(self.strategy).parameters
            n_wanted = min(_AHEAD, len(candidates))
            answer = self.strategy(
                head,
                self.inputs(candidates),
                n_instances=n_wanted,
                **{name: given[name] for name in given if name in accepted},
            )
            chosen = chosen_rows(self.strategy, answer, len(candidates), n_wanted)
            questions = candidates[chosen]
        asked = self._with_reasons(head, questions, candidates, rows)
        classes = [str(label) for label in head.classes_]
        return Belief(known.version, len(rows), head, classes, asked)

    def _with_reasons(
        self,
        head: Any,
        questions: NDArray[np.intp],
        candidates: NDArray[np.intp],
        labelled: NDArray[np.intp],
    ) -> dict[int, tuple[str, NDArray[np.float64]]]:
        if not len(questions):
            return {}
        inputs = self.inputs(questions)
        proba = np.asarray(head.predict_proba(inputs))
        found = [UNSURE] * len(questions)
        if self.features is not None:
            around = self.features[np.concatenate([candidates, labelled])]
            found = reasons(proba, inputs, around, head.predict_proba)
        return {
            int(row): (reason, values)
            for row, reason, values in zip(questions, found, proba, strict=True)
        }


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
