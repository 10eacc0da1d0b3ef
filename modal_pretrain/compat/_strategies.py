"""Repairs inside strategies: their requests, batches, optimizers, errors, dropout."""

import inspect
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import modAL.acquisition as acquisition
import modAL.batch as batch
import modAL.dropout as dropout
import modAL.multilabel as multilabel
import modAL.utils.selection as selection
import numpy as np
import scipy.sparse as sp
import torch
from modAL.models import ActiveLearner
from modAL.models.base import BaseLearner
from modAL.utils.validation import check_class_proba

from ._inputs import Stub, Unfitted
from ._registry import repair, replace, works


def _check_request(n_instances: Any) -> None:
    if n_instances < 0:
        raise ValueError(f"n_instances must be 0 or more, got {n_instances!r}.")


@repair
def negative_requests() -> bool:
    """Refuse a negative number of instances, of which all rows but so many came.

    The helpers that pick the largest and least scores take it for the end of a slice.
    """
    originals = [selection.multi_argmax, selection.shuffled_argmax]

    def refuses(pick: Any) -> bool:
        try:
            pick(np.zeros(2), -1)
        except (ValueError, AssertionError):
            return True
        return False

    if works(lambda: all(map(refuses, originals))):
        return False

    def checked(original: Any) -> Any:
        def pick(values: Any, n_instances: int = 1) -> Any:
            _check_request(n_instances)
            return original(values, n_instances)

        return pick

    for original in originals:
        replace(original, checked(original))
    return True


def _table(X: Any) -> Any:
    """Put data in the form that ranked batches need: flat, with rows to index."""
    if sp.issparse(X):
        # Older releases of SciPy take no single row of an array.
        odd = X.format in ("coo", "dia", "bsr") or isinstance(X, sp.sparray)
        return sp.csr_matrix(X) if odd else X
    X = np.asarray(X)
    if X.dtype.kind in "OUST" and isinstance(X.flat[0] if X.size else 0, str):
        raise TypeError(
            "X holds texts, such as paths, which have no distances. Put the encoder "
            "into a pipeline and set on_transformed=True, or take "
            "modal_pretrain.query.ranked_batch_sampling."
        )
    return X.reshape(len(X), -1) if X.ndim > 2 else X


@repair
def ranked_batch() -> bool:
    """Rank batches of data frames, and without naming an index twice.

    `ranked_batch` reshapes X ("'DataFrame' object has no attribute 'reshape'"), and
    asks for an `X_training` that `DeepActiveLearner` lacks. Without training data,
    hence with every committee, the first index of the batch can come up a second time,
    and counts as labelled and as unlabelled.
    """
    original = batch.ranked_batch
    line = np.arange(3.0).reshape(-1, 1)

    def probe() -> bool:
        start = SimpleNamespace(on_transformed=False, X_training=None)
        known = SimpleNamespace(on_transformed=False, X_training=line.tolist())
        indices, _ = original(start, line, np.arange(3)[::-1], 3, "euclidean", None)
        ranked, _ = original(known, line.tolist(), np.arange(3.0), 1, "euclidean", None)
        return len(set(indices)) == 3 and len(ranked) == 1

    if works(probe):
        return False

    def ranked_batch(
        classifier: Any,
        unlabeled: Any,
        uncertainty_scores: Any,
        n_instances: int,
        metric: Any,
        n_jobs: int | None,
    ) -> Any:
        labeled = getattr(classifier, "X_training", None)
        if classifier.on_transformed:
            unlabeled = classifier.transform_without_estimating(unlabeled)
            if labeled is not None:
                labeled = classifier.transform_without_estimating(labeled)
        pool = _table(unlabeled)
        _check_request(n_instances)
        if n_instances == 0:
            return np.array([], dtype=int), uncertainty_scores[:0]

        def rank(labeled: Any, rows: Any, scores: Any, n_instances: int) -> Any:
            learner = SimpleNamespace(on_transformed=False, X_training=labeled)
            return original(learner, rows, scores, n_instances, metric, n_jobs)

        if labeled is not None:
            return rank(_table(labeled), pool, uncertainty_scores, n_instances)
        first, start = batch.select_cold_start_instance(pool, metric, n_jobs)
        indices = np.array([first])
        n_instances = min(n_instances, pool.shape[0])
        if n_instances > 1:
            # The start counts as labelled now, and no longer as one of the pool.
            rest = np.delete(np.arange(pool.shape[0]), first)
            scores = uncertainty_scores[rest]
            ranked, _ = rank(start, pool[rest], scores, n_instances - 1)
            indices = np.append(indices, rest[ranked])
        return indices, uncertainty_scores[indices]

    replace(original, ranked_batch)
    return True


@repair
def unfitted_optimizer() -> bool:
    """Give one score for each row while the regressor of an optimizer is not fitted.

    The measures make a column of means in place of a row, and `query` an array of
    indices, and rows, of one dimension more. Frames and sparse matrices refuse those.
    """
    measures = [acquisition.optimizer_PI, acquisition.optimizer_EI]
    measures.append(acquisition.optimizer_UCB)
    X = np.zeros((2, 1))
    if works(lambda: all(measure(Unfitted(), X).shape == (2,) for measure in measures)):
        return False

    def flat(original: Any) -> Any:
        return lambda *args, **kwargs: np.ravel(original(*args, **kwargs))

    for measure in measures:
        replace(measure, flat(measure))
    return True


def _aligned(learner: Any) -> Any:
    """Give probabilities one column for each label in y_training."""
    classes = getattr(learner.estimator, "classes_", None)
    if classes is None or np.ndim(learner.y_training) != 1:
        return learner
    known = np.unique(learner.y_training)
    if np.array_equal(classes, known):
        return learner
    return SimpleNamespace(
        estimator=learner.estimator,
        X_training=learner.X_training,
        y_training=learner.y_training,
        predict_proba=lambda X: check_class_proba(
            learner.predict_proba(X), classes, known
        ),
    )


class _MoreClasses(Stub):
    """A classifier that knows a class without examples, for probes."""

    classes_ = np.array([0, 1, 2])

    def get_params(self, deep: bool = False) -> dict[str, Any]:
        return {}

    def predict_proba(self, X: Any) -> Any:
        return np.tile([0.5, 0.3, 0.2], (len(X), 1))


@repair
def expected_error_classes() -> bool:
    """Match labels and columns, and read `loss`, in expected error reduction.

    It pairs the labels seen so far with columns of `predict_proba` by counting, which
    is wrong for an estimator that knows a class without examples or has been taught
    with `only_new`. A `loss` that was read from a file fails on ``loss is 'binary'``.
    """
    expected_error = sys.modules["modAL.expected_error"]
    original = expected_error.expected_error_reduction
    X = np.zeros((2, 1))

    def probe() -> bool:
        learner = ActiveLearner(
            _MoreClasses(), X_training=X, y_training=np.array([1, 2])
        )
        _, error = original(learner, X, loss="".join(["bin", "ary"]))
        # Probability of each label times the error of a model that says 0.5 at best.
        return np.allclose(error, 0.3 * 0.5 + 0.2 * 0.5)

    if works(probe):
        return False

    def expected_error_reduction(
        learner: Any, X: Any, loss: str = "binary", *args: Any, **kwargs: Any
    ) -> Any:
        if isinstance(loss, str):
            loss = sys.intern(str(loss))
        return original(_aligned(learner), X, loss, *args, **kwargs)

    replace(original, expected_error_reduction)
    return True


class _Net:
    """A net without dropout that answers with the samples, for probes."""

    estimator: Any

    def __init__(self) -> None:
        self.estimator = self
        self.module_ = torch.nn.Identity()

    def infer(self, samples: Any) -> Any:
        return samples.clone()


def _centred(logits: Any) -> Any:
    """Logits with a largest value of 0 in every row; padding (nan) stays padding."""
    known = torch.where(logits.isnan(), -torch.inf, logits)
    return logits - known.amax(-1, keepdim=True)


@repair
def dropout_softmax() -> bool:
    """Score dropout with probabilities that sum to one.

    `get_predictions` applies softmax through a mask, which flattens the batch: each
    score is divided by the sum over all rows, so that it depends on which other
    examples share the forward pass. And it does not say so if there is no dropout.
    """
    original = dropout.get_predictions
    logits = torch.tensor([[0.0, 1.0], [5.0, 5.0]])
    if works(
        lambda: np.allclose(original(_Net(), logits, num_predictions=1)[0].sum(1), 1)
    ):
        return False
    signature = inspect.signature(original)

    def get_predictions(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        adapt = bound.arguments["logits_adaptor"]
        # Rows with the same maximum survive the common softmax without underflow,
        # and what it got wrong is then one factor for each row.
        bound.arguments["logits_adaptor"] = lambda logits, samples: _centred(
            adapt(logits, samples)
        )
        predictions = original(*bound.args, **bound.kwargs)
        found = [p / np.nansum(p, axis=-1, keepdims=True) for p in predictions]
        first, *others = found
        if others and all(np.array_equal(first, p, equal_nan=True) for p in others):
            warnings.warn(
                f"All {len(found)} passes gave the same probabilities, so there is "
                "nothing that dropout strategies could score. Layers whose class is "
                "named Dropout... are switched on: if the network has none with p > 0, "
                "give it one (PretrainedClassifier: module__dropout=0.5).",
                stacklevel=2,
            )
        return found

    replace(original, get_predictions)
    return True


class _MultiLabel(Stub):
    """A classifier of two labels, for probes."""

    classes_ = np.array([0, 1])

    def predict(self, X: Any) -> Any:
        return np.ones((len(X), 2), dtype=int)


@repair
def svm_loss_learner() -> bool:
    """Accept a learner in the strategies `max_loss` and `mean_max_loss`.

    They look for `classes_` on what they are given; `ActiveLearner` has no such
    attribute, its estimator does.
    """
    original = multilabel._SVM_loss
    if works(lambda: len(original(ActiveLearner(_MultiLabel()), np.zeros((1, 1))))):
        return False

    def _SVM_loss(multiclass_classifier: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(multiclass_classifier, BaseLearner):
            multiclass_classifier = multiclass_classifier.estimator
        return original(multiclass_classifier, *args, **kwargs)

    replace(original, _SVM_loss)
    return True
