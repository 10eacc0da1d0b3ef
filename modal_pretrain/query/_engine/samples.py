"""Several predictions of the same pool: committees, ensembles, dropout.

Nothing here imports torch. A network with dropout is one already made with it; it is
known by its `module_`, and only its dropout layers are switched on, for a while.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from modal_pretrain._checks import ParameterError, take_rows
from modal_pretrain._fork import Lock
from modal_pretrain.query._engine.classifier import (
    base_estimator,
    check_members,
    check_probabilities,
    is_committee,
    is_unfitted,
)
from modal_pretrain.query._engine.mapped import by_blocks

# Two samplers of one network would take each other's masks away, and those of any two
# would draw from one generator.
_SAMPLING = Lock()


class Samples(NamedTuple):
    """Probabilities of each member, (K, n, n_classes), and whether they are fitted."""

    values: NDArray[np.float64]
    fitted: bool


def probability_samples(
    classifier: Any,
    X: Any,
    n: int,
    rng: np.random.Generator,
    *,
    n_samples: int = 10,
    proba_samples: Any = None,
) -> Samples:
    """Get several sets of class probabilities of the pool.

    Tried in this order: `proba_samples`, an array or a function of X; the members of a
    modAL committee; the `estimators_` of an ensemble, at the end of a Pipeline or not;
    a network with dropout layers, run `n_samples` times.

    Raises
    ------
    TypeError
        If there is nothing of these.
    ValueError
        If the probabilities are malformed or not finite.
    """
    if proba_samples is not None:
        raw = proba_samples(X) if callable(proba_samples) else proba_samples
        return Samples(check_members(raw, n, "proba_samples"), True)
    owner = base_estimator(classifier)
    try:
        if is_committee(classifier):
            if not hasattr(classifier, "vote_proba"):
                raise TypeError(
                    f"classifier: a {type(classifier).__name__} has no vote_proba, "
                    "which this strategy needs. Use a modAL Committee of classifiers."
                )
            votes = np.asarray(by_blocks(classifier.vote_proba, X), dtype=np.float64)
            members = [
                check_probabilities(votes[:, i], n, f"committee member {i}")
                for i in range(votes.shape[1])
            ]
            return Samples(np.stack(members), True)
        data = X
        if isinstance(owner, Pipeline):
            head = owner.steps[-1][1]
            if hasattr(head, "estimators_") or hasattr(head, "module_"):
                data = owner[:-1].transform(X) if len(owner.steps) > 1 else X
            owner = head
        if hasattr(owner, "estimators_"):
            return Samples(_members(owner, data, n), True)
        if hasattr(owner, "module_"):
            return Samples(_with_dropout(owner, data, n, n_samples, rng), True)
        if hasattr(owner, "predict_proba"):
            by_blocks(classifier.predict_proba, X)  # an unfitted one says so here
    except Exception as error:
        if not is_unfitted(error):
            raise
        return Samples(np.full((1, n, 2), 0.5), False)
    raise TypeError(
        f"classifier: {type(owner).__name__} gives one prediction, but this strategy "
        "needs several. Use a modAL Committee, an ensemble such as "
        "RandomForestClassifier or BaggingClassifier, a network with dropout, or pass "
        "proba_samples of shape (n_members, n_samples, n_classes)."
    )


def _members(ensemble: Any, X: Any, n: int) -> NDArray[np.float64]:
    found = ensemble.estimators_
    # Members may be ensembles, which NumPy would take for rows of their members.
    members = list(found.ravel() if isinstance(found, np.ndarray) else found)
    if not members or not all(hasattr(m, "predict_proba") for m in members):
        raise TypeError(
            f"classifier: the members of {type(ensemble).__name__} have no "
            "predict_proba, so they can't disagree about probabilities. Use "
            "RandomForestClassifier, BaggingClassifier or a modAL Committee."
        )
    if hasattr(X, "columns"):  # members of most know no names, but the ensemble does
        ensemble.predict(take_rows(X, np.arange(1)))
    table = hasattr(X, "__array__") and not hasattr(X, "toarray")
    array = np.asarray(X) if table else X
    columns = getattr(ensemble, "estimators_features_", None)
    named_members = hasattr(ensemble, "named_estimators_")
    classes = _classes_of_members(ensemble, members)
    out = np.zeros((len(members), n, len(ensemble.classes_)))
    for i, member in enumerate(members):
        predict = member.predict_proba
        if columns is not None:
            predict = partial(_on_columns, predict, columns[i])
        # Most ensembles fit their members on arrays, whatever they were given. Those
        # that name them hand X on, which steps of one's own may read by name.
        named = hasattr(member, "feature_names_in_") or named_members
        rows = X if named else array
        proba = check_probabilities(by_blocks(predict, rows), n, f"ensemble member {i}")
        out[i][:, classes[i]] = proba
    return out


def _classes_of_members(ensemble: Any, members: list[Any]) -> list[NDArray[np.intp]]:
    """Say for each member which classes of the ensemble its columns stand for.

    scikit-learn fits the members of most ensembles on the numbers of the classes, those
    of AdaBoost on the labels, and those of one-versus-rest each on a question of its
    own.

    Raises
    ------
    TypeError
        If members predict something else than the classes of the ensemble.
    """
    name = type(ensemble).__name__
    if isinstance(ensemble.classes_, list) or np.ndim(ensemble.classes_) != 1:
        raise TypeError(
            f"classifier: {name} gives several labels for each row. Multi-label "
            "estimators are not supported."
        )
    # A question that all rows answer alike has a constant for a member, of no classes.
    constant = not all(hasattr(member, "classes_") for member in members)
    known = [np.asarray(getattr(member, "classes_", ())).tolist() for member in members]
    labels = np.asarray(ensemble.classes_).tolist()
    seen = set().union(*known)
    number: dict[Any, int] = {i: i for i in range(len(labels))}
    if not seen <= number.keys():
        number = {label: i for i, label in enumerate(labels)}
    # Those of one-versus-one know two classes each, 0 and 1, whichever these are.
    pairs = not hasattr(ensemble, "predict_proba") and len(seen) < len(labels)
    apart = constant or pairs or hasattr(ensemble, "label_binarizer_")
    if apart or not seen <= number.keys():
        raise TypeError(
            f"classifier: the members of {name} do not predict its classes, so they "
            "can't disagree about them. Use RandomForestClassifier, BaggingClassifier "
            "or a modAL Committee."
        )
    return [np.array([number[one] for one in mine], dtype=np.intp) for mine in known]


def _on_columns(predict: Callable[[Any], Any], columns: Any, X: Any) -> Any:
    rows = np.asarray(X) if isinstance(X, list | tuple) else X
    return predict(rows[:, columns])


def _with_dropout(
    net: Any, X: Any, n: int, n_samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    layers = [
        layer
        for layer in net.module_.modules()
        if "Dropout" in type(layer).__name__ and getattr(layer, "p", 0) > 0
    ]
    if not layers:
        raise ParameterError(
            f"classifier: {type(net).__name__} has no dropout layer with p > 0, so all "
            "its predictions would be the same. Add one (module__dropout=0.5; in a "
            "benchmark's file a line under [estimator]), or use a modAL Committee."
        )
    out = np.empty((n_samples, n, 0))
    with _SAMPLING, _torch_seed(int(rng.integers(2**31 - 1))):
        for i in range(n_samples):
            with _fixed_masks(net.module_, layers, _own_thread(net)):
                proba = check_probabilities(
                    by_blocks(net.predict_proba, X), n, "classifier.predict_proba"
                )
            if i == 0:
                out = np.empty((n_samples, *proba.shape))
            out[i] = proba
    return out


def _own_thread(net: Any) -> int | None:
    """Return the thread whose calls are samples, None if all are.

    The frozen backbone of this package's estimators is shared: other threads embed with
    it meanwhile. Other networks may compute on threads of PyTorch's own.
    """
    return threading.get_ident() if hasattr(net, "embed_to") else None


@contextmanager
def _fixed_masks(network: Any, layers: list[Any], thread: int | None) -> Iterator[None]:
    """Let dropout layers drop the same units of every row, and nothing else change.

    A pass is then one model, as a committee's member is: its predictions for different
    rows belong together, and do not depend on the order of the rows.
    """
    calls = _Calls(thread)
    # PyTorch's short way through a transformer in evaluation mode leaves dropout out.
    transformers = sys.modules["torch"].backends.mha
    shortened = transformers.get_fastpath_enabled()
    transformers.set_fastpath_enabled(False)
    hooks = [
        network.register_forward_pre_hook(calls.begin),
        network.register_forward_hook(calls.end),
    ]
    for layer in layers:
        layer.forward = _masked(layer, calls)
    try:
        yield
    finally:
        transformers.set_fastpath_enabled(shortened)
        for hook in hooks:
            hook.remove()
        for layer in layers:
            own = layer.forward.own
            del layer.forward
            if own is not None:
                layer.forward = own


class _Calls:
    """Numbers the calls of a layer within a batch: networks use one in many places."""

    def __init__(self, thread: int | None) -> None:
        self.thread = thread
        self._counts: Counter[Any] | None = None

    def are_here(self) -> bool:
        """Say whether the calls of this thread are samples."""
        return self.thread is None or self.thread == threading.get_ident()

    def begin(self, *_: Any) -> None:
        if self.are_here():
            self._counts = Counter()

    def end(self, *_: Any) -> None:
        if self.are_here():
            self._counts = None

    def number(self, layer: Any) -> int:
        """Give the number of this call; 0 where parts of a network run on their own."""
        if self._counts is None:
            return 0
        self._counts[layer] += 1
        return self._counts[layer]


def _masked(layer: Any, calls: _Calls) -> Callable[..., Any]:
    torch = sys.modules["torch"]
    plain, drops = layer.forward, copy.copy(layer)
    drops.training = True  # and not the layer itself, which other threads use
    # A layer may have a forward of its own, as libraries put one there, which computes
    # with the layer itself.
    own = vars(drops).pop("forward", None)
    masks: dict[Any, tuple[Any, Any]] = {}

    def forward(*args: Any, **named: Any) -> Any:
        if not calls.are_here():
            return plain(*args, **named)
        (x,) = (*args, *named.values())  # PyTorch's own call it `input`
        place = calls.number(layer), x.shape[1:]
        if place not in masks:
            ones, zeros = (x[:1].detach().clone() for _ in range(2))
            ones[...], zeros[...] = 1, 0
            with torch.random.fork_rng():  # both drop the same units
                offset = drops.forward(zeros)  # AlphaDropout's is something else than 0
            masks[place] = drops.forward(ones) - offset, offset
        mask, offset = masks[place]
        return x * mask + offset

    forward.samples = calls.are_here  # type: ignore[attr-defined]
    forward.own = own  # type: ignore[attr-defined]
    return forward


@contextmanager
def _torch_seed(seed: int) -> Iterator[None]:
    """Seed torch for a while and leave its generators as they were."""
    torch = sys.modules["torch"]  # a network exists, so torch does
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
