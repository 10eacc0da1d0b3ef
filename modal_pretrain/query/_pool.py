"""The pool as the strategies work on it: in canonical order, in float32 and float64.

A strategy screens all rows in float32 and settles what matters in float64, so its
answer is that of a float64 computation at the price of a float32 one.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._classifier import class_probabilities
from modal_pretrain.query._content import canonical_order
from modal_pretrain.query._embeddings import Labelled, embeddings, labelled_set
from modal_pretrain.query._inputs import RandomState, check_request
from modal_pretrain.query._threads import each_chunk, in_threads

_CHUNK = 512
Form = Literal["raw", "centred", "unit"]
Answer = tuple[NDArray[np.int64], NDArray[np.float64]]


class Rows:
    """Vectors in a form of one's choice, in a given order.

    Parameters
    ----------
    source : numpy.ndarray of shape (n, d), float32 or float64
        Kept, not copied, and not changed.
    order : numpy.ndarray of shape (n,)
        Row i here is row ``order[i]`` of the source.
    form : {"raw", "centred", "unit"}
        "centred" takes the mean away, which leaves distances as they are and makes
        them accurate in float32; "unit" scales every row to length 1 (rows of zeros
        stay).

    Attributes
    ----------
    fast : numpy.ndarray of shape (n, d), float32, contiguous
        The source itself where it is that already; not to be written to.
    """

    def __init__(
        self, source: NDArray[np.floating], order: NDArray[np.intp], form: Form
    ) -> None:
        self.source = source
        self.order = order
        self.form = form
        self.shift: NDArray[np.float64] | None = None
        n, d = source.shape
        if form == "centred":
            self.shift = self._mean()
        in_place = form == "raw" and source.dtype == np.float32
        if in_place and source.flags.c_contiguous and _is_identity(order):
            self.fast = source
            return
        self.fast = np.empty((n, d), dtype=np.float32)
        each_chunk(self._fill, n, _CHUNK)

    def _fill(self, part: slice) -> None:
        block = self.fast[part]
        if self.source.dtype != np.float32:
            block[:] = self._form(self.source[self.order[part]])
            return
        np.take(self.source, self.order[part], axis=0, out=block, mode="clip")
        if self.shift is not None:
            block -= self.shift.astype(np.float32)
        elif self.form == "unit":
            block /= _lengths(block)

    def _mean(self) -> NDArray[np.float64]:
        n, d = self.source.shape

        def work(start: int) -> NDArray[np.floating]:
            block = self.source[self.order[start : start + _CHUNK]]
            return np.ones(len(block), dtype=block.dtype) @ block

        total = np.zeros(d)
        for part in in_threads(work, range(0, n, _CHUNK)):
            total += part
        mean = total / n
        # A shift that float32 holds exactly moves all float32 rows alike.
        if self.source.dtype == np.float32:
            mean = mean.astype(np.float32).astype(np.float64)
        return mean

    def _form(self, block: NDArray[np.floating]) -> NDArray[np.float64]:
        exact = block.astype(np.float64)
        if self.form == "centred":
            assert self.shift is not None
            exact -= self.shift
        elif self.form == "unit":
            exact /= _lengths(exact)
        return exact

    def __len__(self) -> int:
        return len(self.fast)

    def exact(self, index: NDArray[np.intp]) -> NDArray[np.float64]:
        """Give some rows in float64, from the source."""
        return self._form(self.source[self.order[index]])

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
        self.n, self.k, self.rng = check_request(X, n_instances, random_state)
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
            self.labelled = labelled_set(classifier, X_labelled, y_labelled)

    def labelled_rows(self) -> NDArray[np.float64]:
        """Give the labelled rows in the pool's form; none where there are none."""
        if self.labelled.embeddings is None:
            return np.empty((0, self.rows.source.shape[1]))
        return self.rows.place(self.labelled.embeddings)

    def answer(self, index: Any, scores: Any) -> Answer:
        """Translate canonical row numbers into those of X."""
        chosen = self.order[np.asarray(index, dtype=np.intp)]
        return chosen.astype(np.int64), np.asarray(scores, dtype=np.float64)
