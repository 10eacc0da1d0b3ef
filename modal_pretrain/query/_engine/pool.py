"""The pool as the strategies work on it: in canonical order, in float32 and float64.

A strategy screens all rows in float32 and settles what matters in float64, so its
answer is that of a float64 computation at the price of a float32 one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import OneOf
from modal_pretrain.query._engine.arguments import (
    RandomState,
    check_groups,
    check_request,
)
from modal_pretrain.query._engine.classifier import class_probabilities
from modal_pretrain.query._engine.embeddings import Labelled, embeddings, labelled_set
from modal_pretrain.query._engine.mapped import Pages, is_mapped, rows_a_block
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.threads import each_chunk, in_threads

_CHUNK = 512
# Rows that tell whether the mean is far from most, and how many times their spread.
_SAMPLE, _FAR = 512, 10
# Rows of a mapped source that are read before its pages may be given back.
_SCATTERED = 64
Form = Literal["raw", "centred", "unit"]


def form_of(normalize: bool) -> Form:
    """Return the form of vectors that a strategy's `normalize` asks for.

    Raises
    ------
    ParameterError
        If it is neither True nor False: "no" would count as true.
    """
    if isinstance(normalize, np.bool_):  # as of an array of settings
        normalize = bool(normalize)
    OneOf((True, False)).check("normalize", normalize)
    return "unit" if normalize else "centred"


class Rows:
    """Vectors in a form of one's choice, in a given order.

    Parameters
    ----------
    source : numpy.ndarray of shape (n, d), float32 or float64
        Kept, not copied, and not changed. Of a memory-mapped one only the blocks at
        work are in memory, until `fast` is asked for.
    order : numpy.ndarray of shape (n,)
        Row i here is row ``order[i]`` of the source.
    form : {"raw", "centred", "unit"}
        "centred" takes the mean away (the median where a few huge values, or many rows
        that are nearly the same, leave that far from most rows), which leaves distances
        as they are and makes them accurate in float32; "unit" scales every row to
        length 1 (rows of zeros stay) and centres then, as rows of a large common part
        are close to each other.
    """

    def __init__(
        self, source: NDArray[np.floating], order: NDArray[np.intp], form: Form
    ) -> None:
        self.source = source
        self.order = order
        self.form = form
        self.shift: NDArray[np.float64] | None = None
        self._mapped = is_mapped(source)
        self._pages = Pages(source)
        self._fast: NDArray[np.float32] | None = None
        if form != "raw":
            self.shift = self._mean()
        if not self._mapped:
            self._load()

    @property
    def fast(self) -> NDArray[np.float32]:
        """All rows, (n, d), contiguous, in memory; not to be written to.

        The source itself where it is that already.
        """
        return self._load() if self._fast is None else self._fast

    def _load(self) -> NDArray[np.float32]:
        source, order = self.source, self.order
        in_place = self.form == "raw" and source.dtype == np.float32
        in_place = in_place and not self._mapped and source.flags.c_contiguous
        if in_place and _is_identity(order):
            self._fast = source
            return source
        fast = np.empty(source.shape, dtype=np.float32)

        def fill(part: slice) -> None:
            block = fast[part]
            if source.dtype == np.float32:
                np.take(source, order[part], axis=0, out=block, mode="clip")
                self._form_fast(block)
            else:
                block[:] = self._form(source[order[part]])
            self._pages.read(block.nbytes, len(block))

        each_chunk(fill, len(fast), _CHUNK)
        self._fast = fast
        return fast

    def _form_fast(self, block: NDArray[np.float32]) -> None:
        if self.form == "unit":
            block /= _lengths(block)
        if self.shift is not None:
            block -= self.shift.astype(np.float32)

    def each_block(
        self, work: Callable[[Any, NDArray[np.float32]], None], size: int
    ) -> None:
        """Call `work` on blocks of rows in float32, several at a time.

        Parameters
        ----------
        work : callable
            Gets which rows these are, a slice or an array of numbers, and the rows,
            (m, d), not to be written to.
        size : int
            Most rows of a block.
        """
        if self._fast is not None:
            fast = self._fast
            each_chunk(lambda part: work(part, fast[part]), len(self), size)
            return
        # In the order of the file: scattered rows would be read slowly.
        place = np.empty(len(self), dtype=np.intp)
        place[self.order] = np.arange(len(self))

        def one(part: slice) -> None:
            stored = self.source[part]
            block: NDArray[np.float32]
            if self.source.dtype != np.float32:
                block = self._form(stored).astype(np.float32)
            elif self.form == "raw":
                block = stored
            else:
                block = np.array(stored)
                self._form_fast(block)
            work(place[part], block)
            self._pages.read(stored.nbytes)

        each_chunk(one, len(self), size)

    def squares(self) -> NDArray[np.float64]:
        """Give the squared length of every row, computed in float32."""
        out = np.empty(len(self))

        def work(which: Any, block: NDArray[np.float32]) -> None:
            out[which] = np.einsum("ij,ij->i", block, block)

        self.each_block(work, 2048)
        return out

    def _mean(self) -> NDArray[np.float64]:
        n, d = self.source.shape
        total = np.zeros(d)
        if self._mapped:
            size = min(rows_a_block(self.source), 4096)
            for start in range(0, n, size):
                block = self._scaled(self.source[start : start + size])
                total += block.sum(axis=0, dtype=np.float64)
                self._pages.read(block.nbytes)
        else:

            def work(start: int) -> NDArray[np.floating]:
                block = self._scaled(self.source[self.order[start : start + _CHUNK]])
                # In float64, for its last bits would depend on the order of the rows.
                return np.ones(len(block)) @ block.astype(np.float64)

            for part in in_threads(work, range(0, n, _CHUNK)):
                total += part
        mean = self._amid_most(total / n)
        # A shift that float32 holds exactly moves all float32 rows alike.
        if self.source.dtype == np.float32:
            mean = mean.astype(np.float32).astype(np.float64)
        return mean

    def _amid_most(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean, or the median of some rows if it is far from most of them.

        The distances among most rows would be lost in float32, beside their lengths.
        """
        n = len(self)
        some = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE), dtype=np.intp))
        rows = self._scaled(self._stored(self.order[some]).astype(np.float64))
        median = np.median(rows, axis=0)
        spread = np.median(np.square(rows - median).sum(axis=1))
        far = np.square(mean - median).sum() > _FAR**2 * spread
        return median if far and spread else mean

    def _stored(self, rows: NDArray[np.intp]) -> NDArray[np.floating]:
        """Copy scattered rows of the source, as it has them."""
        if not self._mapped:
            return self.source[rows]
        out = np.empty((len(rows), self.source.shape[1]), dtype=self.source.dtype)
        for start in range(0, len(rows), _SCATTERED):
            part = rows[start : start + _SCATTERED]
            out[start : start + _SCATTERED] = self.source[part]
            self._pages.read(0, len(part))
        return out

    def _form(self, block: NDArray[np.floating]) -> NDArray[np.float64]:
        exact: NDArray[np.float64] = self._scaled(block.astype(np.float64))
        if self.shift is not None:
            exact -= self.shift
        return exact

    def _scaled(self, block: NDArray[Any]) -> NDArray[Any]:
        return block / _lengths(block) if self.form == "unit" else block

    def __len__(self) -> int:
        return len(self.order)

    def exact(self, index: NDArray[np.intp]) -> NDArray[np.float64]:
        """Give some rows in float64, from the source."""
        return self._form(self._stored(self.order[index]))

    def few(self, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """Give some rows in float32, contiguous."""
        if self._fast is not None:
            return self._fast[index]
        few = np.empty((len(index), self.source.shape[1]), dtype=np.float32)
        for start in range(0, len(index), _CHUNK):
            block = self._stored(self.order[index[start : start + _CHUNK]])
            if block.dtype != np.float32:
                block = self._form(block)
            else:
                self._form_fast(block)
            few[start : start + _CHUNK] = block
        return few

    def as_stored(self, part: slice) -> NDArray[np.floating]:
        """Give consecutive rows as the source has them."""
        return self._stored(self.order[part])

    def place(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Bring other vectors, such as the labelled ones, into the same form.

        Raises
        ------
        ValueError
            If they have another number of columns.
        """
        if vectors.shape[1] != self.source.shape[1]:
            raise ValueError(
                f"X_labelled has embeddings of {vectors.shape[1]} columns, the pool X "
                f"of {self.source.shape[1]}; both must come from the same encoder."
            )
        return self._form(vectors)


def _is_identity(order: NDArray[np.intp]) -> bool:
    return bool((order == np.arange(len(order))).all())


def _lengths(block: NDArray[Any]) -> NDArray[Any]:
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
    lengths[lengths == 0] = 1
    return lengths[:, None]


class Pool:
    """All a strategy on embeddings needs, in canonical order.

    Parameters
    ----------
    classifier, X, n_instances, random_state
        The arguments of the strategy.
    form : {"raw", "centred", "unit"}
        See `Rows`.
    proba : bool
        Whether class probabilities are needed.
    X_labelled, y_labelled
        The labelled set, if the classifier does not remember it.
    labelled : bool
        Whether the labelled set is needed.

    Attributes
    ----------
    n, k : int
        Rows of the pool, and how many are asked for.
    rng : numpy.random.Generator
    rows : Rows
    proba : numpy.ndarray of shape (n, n_classes), float64
        Empty unless asked for.
    fitted : bool
        False if the probabilities are the uniform ones of an unfitted classifier.
    labelled : Labelled
    """

    def __init__(
        self,
        classifier: Any,
        X: Any,
        n_instances: Any,
        random_state: RandomState,
        *,
        form: Form = "centred",
        proba: bool = False,
        labelled: bool = False,
        X_labelled: Any = None,
        y_labelled: Any = None,
    ) -> None:
        self.n, self.k, self.rng = check_request(
            classifier, X, n_instances, random_state
        )
        self.proba = np.empty((self.n, 0))
        self.fitted = True
        if proba:
            self.proba, self.fitted = class_probabilities(classifier, X, self.n)
        vectors = embeddings(classifier, X, self.n)
        self.order = canonical_order(vectors)
        self.proba = self.proba[self.order]
        self.rows = Rows(vectors, self.order, form)
        self.labelled = Labelled(None, None)
        if labelled:
            self.labelled = labelled_set(classifier, X_labelled, y_labelled, X)

    def labels(self) -> NDArray[Any] | None:
        """Give the label of each labelled row; None where they are unknown.

        Raises
        ------
        ValueError
            If a label is missing, rows have several, or there are labels without rows.
        """
        y = self.labelled.y
        if y is not None and len(y) and self.labelled.embeddings is None:
            raise ValueError(
                f"y_labelled has {len(y)} entries, and there are no labelled rows that "
                "they are of: pass these as X_labelled, or neither."
            )
        return None if y is None else check_groups(y, "y_labelled", noun="label")

    def labelled_rows(self) -> NDArray[np.float64]:
        """Give the labelled rows in the pool's form; none where there are none."""
        if self.labelled.embeddings is None:
            return np.empty((0, self.rows.source.shape[1]))
        return self.rows.place(self.labelled.embeddings)

    def answer(self, index: Any, scores: Any) -> Answer:
        """Translate canonical row numbers into those of X."""
        chosen = self.order[np.asarray(index, dtype=np.intp)]
        return chosen.astype(np.int64), np.asarray(scores, dtype=np.float64)
