"""An estimator in two halves: what is computed once a row, and what each fit learns.

Embedding takes minutes, a fit on embeddings well under a second. So the first half
runs once over the pool, and the second is fitted after every answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from torch import nn

from modal_pretrain.classifier import PretrainedClassifier
from modal_pretrain.training.base import BaseClassifier
from modal_pretrain.transformer import BaseTransformer

Embed = Callable[[Any], np.ndarray]
# What only the first half of an estimator reads.
_FIRST_HALF = {"backbone", "pretrained", "cache", "image_size", "n_threads", "verbose"}


def halves(estimator: Any) -> tuple[Embed | None, Any]:
    """Split an estimator where it embeds.

    Parameters
    ----------
    estimator : estimator
        A `PretrainedClassifier` or `PretrainedTextClassifier` with a frozen backbone, a
        Pipeline that begins with a pretrained `TimmEncoder` or `TextEncoder`, or any
        other classifier.

    Returns
    -------
    embed : callable or None
        Makes float32 (n, d) of rows of the pool. None where the estimator can't be
        split: then it is fitted on the rows of the pool themselves.
    head : estimator
        Not fitted. Fitted on embeddings, it has the probabilities that the whole
        estimator has when it is fitted on the rows, up to the solver's tolerance.

    Examples
    --------
    >>> from modal_pretrain import PretrainedClassifier
    >>> embed, head = halves(PretrainedClassifier(C=0.1))
    >>> head.C, head.backbone
    (0.1, <class 'torch.nn.modules.linear.Identity'>)
    """
    if isinstance(estimator, BaseClassifier) and estimator.tune == "head":
        return estimator.embed, _head(estimator)
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        first = estimator.steps[0][1]
        if isinstance(first, BaseTransformer) and first.pretrained:
            return first.transform, clone(Pipeline(estimator.steps[1:]))
    return None, clone(estimator)


def ignored(estimator: Any, tags: NDArray[np.str_]) -> dict[str, Any]:
    """Return what `fit` gets so that tags do not decide; nothing if it can't heed them.

    `tags` has shape (n,), with "" where nobody gave one.
    """
    if not any(tags) or "ignore" not in inspect.signature(estimator.fit).parameters:
        return {}
    return {"ignore": [tag or None for tag in tags.tolist()]}


def check_estimator(estimator: Any) -> Any:
    """Return it; raise at once what the first fit would, in a thread and much later.

    Raises
    ------
    TypeError
        If it is no classifier with probabilities.
    ValueError
        If a parameter of an estimator of this package is not allowed.
    """
    lacking = [
        name
        for name in ("get_params", "fit", "predict_proba")
        if not hasattr(estimator, name)
    ]
    if lacking or isinstance(estimator, type):
        raise TypeError(
            "estimator must be a scikit-learn classifier with predict_proba, got "
            f"{estimator!r} of type {type(estimator).__name__}."
        )
    if isinstance(estimator, BaseClassifier):
        estimator._check_parameters()
    return estimator


def is_of_texts(estimator: Any) -> bool:
    """Say whether an estimator, or a pipeline's first step, takes texts."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    return getattr(getattr(first, "modality", None), "name", "") == "text"


def _head(estimator: BaseClassifier) -> PretrainedClassifier:
    known = PretrainedClassifier().get_params(deep=False)
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if (name in known or "__" in name) and name not in _FIRST_HALF
    }
    if estimator.optimizer == "auto":
        params["batch_size"] = 4096  # counts in predictions only
    return PretrainedClassifier(nn.Identity, pretrained=False, cache=None, **params)
