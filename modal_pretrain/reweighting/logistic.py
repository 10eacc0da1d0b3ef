"""A multinomial logistic head on few rows: the convex problem of the classifier's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize


class Head(NamedTuple):
    """Weights (d, n_classes) and biases (n_classes,) of a linear head."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return (n, n_classes)."""
        return X @ self.weights.astype(X.dtype) + self.bias.astype(X.dtype)


def coordinates(X: NDArray[Any]) -> NDArray[Any]:
    """Return rows (n, r) with the inner products of X's and r of at most n.

    A penalised head lives in the span of its rows, so fits on the coordinates give the
    logits of fits on X, and with few rows of long embeddings in a fraction of the time.
    """
    n, d = X.shape
    if n >= d:
        return X
    X = X.astype(np.float64)
    values, vectors = np.linalg.eigh(X @ X.T)
    kept = values > max(values[-1], 0) * 1e-12
    return vectors[:, kept] * np.sqrt(values[kept])


def fit_head(
    X: NDArray[Any],
    y: NDArray[np.int64],
    n_classes: int,
    *,
    C: float,
    weight: NDArray[np.float64],
    offset: NDArray[Any] | None = None,
    start: Head | None = None,
) -> Head:
    """Minimise ``|W|^2 / 2 + C * sum of the weighted cross-entropies``.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
    y : numpy.ndarray of shape (n,)
        Column numbers.
    n_classes : int
    C : float
    weight : numpy.ndarray of shape (n,)
    offset : numpy.ndarray of shape (n, n_classes) or None
        Logits that the head's are added to.
    start : Head or None
        Where to begin; zeros if None.

    Returns
    -------
    Head
    """
    d = X.shape[1]
    rows = np.arange(len(y))
    scale = 1.0 / weight.sum()
    share = (weight * scale)[:, None]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        head = _unflatten(flat, d)
        logits = head.logits(X)
        if offset is not None:
            logits = logits + offset
        # By hand: scipy's log_softmax takes longer than the products.
        logits -= logits.max(axis=1, keepdims=True)
        residual = np.exp(logits)
        total = residual.sum(axis=1)
        value = float(share[:, 0] @ (np.log(total) - logits[rows, y]))
        value += 0.5 * scale / C * float((head.weights**2).sum())
        residual /= total[:, None]
        residual[rows, y] -= 1
        residual *= share
        of_weights = X.T @ residual + (scale / C) * head.weights
        gradient = np.concatenate([of_weights, residual.sum(axis=0)[None]])
        return value, gradient.ravel().astype(np.float64)

    first = np.zeros((d + 1) * n_classes)
    if start is not None:
        first = np.concatenate([start.weights, start.bias[None]]).ravel()
    options = {"maxiter": 500, "gtol": 1e-5, "ftol": 1e-10}
    done = minimize(loss, first, jac=True, method="L-BFGS-B", options=options)
    return _unflatten(done.x, d)


def _unflatten(flat: NDArray[np.float64], d: int) -> Head:
    table = flat.reshape(d + 1, -1)
    return Head(table[:d], table[d])
