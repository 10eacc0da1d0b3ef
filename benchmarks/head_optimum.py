"""How far a frozen head's probabilities are from those of the optimum.

    python benchmarks/head_optimum.py

prints, by data set, number of labels and `C`, the largest difference on 300 other rows
from scikit-learn's LogisticRegression on the same embeddings in float64.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.training.network import centre_and_scale

SIZES = (10, 50, 200, 600)
COSTS = (0.001, 0.005, 0.02, 0.1, 1.0, 10.0)


def pictures() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 1,200 pictures and labels of each data set."""
    shapes, digits = make_shapes(random_state=0), load_digits()
    large = np.kron(digits.images, np.ones((8, 8))) / 16 * 255
    coloured = np.repeat(large[..., None], 3, axis=-1).astype(np.uint8)
    sets = {"shapes": (shapes.X, shapes.y), "digits": (coloured, digits.target)}
    return {name: (X[:1200], y[:1200]) for name, (X, y) in sets.items()}


def differences(X: np.ndarray, y: np.ndarray, n: int) -> list[float] | None:
    """Return the largest difference for each C; None if n labels lack a class."""
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:n], order[-300:]
    n_classes = len(np.unique(y))
    if len(np.unique(y[train])) < n_classes:
        return None
    embeddings = PretrainedClassifier(image_size=64, precision="float32").embed(X)
    mean, scale = centre_and_scale(torch.from_numpy(embeddings[train]))
    rows = ((torch.from_numpy(embeddings) - mean) * scale).double().numpy()
    found = []
    for C in COSTS:
        ours = PretrainedClassifier(image_size=64, precision="float32", C=C)
        # Two classes have two columns here, and one there.
        exact = LogisticRegression(
            C=C * (2 if n_classes == 2 else 1), tol=1e-9, max_iter=20_000
        )
        ours.fit(X[train], y[train])
        exact.fit(rows[train], y[train])
        gap = ours.predict_proba(X[test]) - exact.predict_proba(rows[test])
        found.append(float(np.abs(gap).max()))
    return found


if __name__ == "__main__":
    print("data set", "labels", *(f"C={C}" for C in COSTS), sep="\t")
    for name, (X, y) in pictures().items():
        for n in SIZES:
            found = differences(X, y, n)
            if found is not None:
                print(name, n, *(f"{gap:.1e}" for gap in found), sep="\t")
