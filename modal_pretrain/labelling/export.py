"""What a session leaves behind: labels, predictions, and the fitted estimator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.labelling.background import Background
from modal_pretrain.labelling.halves import ignored
from modal_pretrain.labelling.pool import Pool

if TYPE_CHECKING:
    from modal_pretrain.labelling.session import LabelSession

# Below this probability a prediction is worth a look.
_SURE = 0.6


class Exported(NamedTuple):
    """The files that were written.

    Parameters
    ----------
    labels : pathlib.Path
        CSV, one line for each label: item, label, tag.
    predictions : pathlib.Path
        CSV, one line for each row of the pool, see `predictions`.
    model : pathlib.Path or None
        The estimator, fitted on all labels; None with fewer than two classes.
    code : str
        The lines of Python that load it.
    """

    labels: Path
    predictions: Path
    model: Path | None
    code: str


def predictions(
    pool: Pool, labels: pd.DataFrame, background: Background
) -> pd.DataFrame:
    """Return the model's word on every row.

    Parameters
    ----------
    pool : Pool
    labels : pandas.DataFrame
        Columns row and label.
    background : Background

    Returns
    -------
    pandas.DataFrame
        Columns item, label (the answer, empty where there is none), predicted,
        probability, and look: why to look at the row, else empty. Predicted and
        probability are missing where the model has not seen the row.
    """
    n = len(pool)
    given = np.full(n, "", dtype=object)
    given[labels["row"].to_numpy(np.intp)] = labels["label"].to_numpy(object)
    predicted = np.full(n, "", dtype=object)
    probability = np.full(n, np.nan)
    look = np.full(n, "", dtype=object)
    belief, rows = background.belief, background.readable()
    if belief is not None and len(rows):
        proba = belief.head.predict_proba(background.inputs(rows))
        predicted[rows] = np.array(belief.classes, dtype=object)[proba.argmax(axis=1)]
        probability[rows] = proba.max(axis=1)
        look[rows[proba.max(axis=1) < _SURE]] = "unsure"
        look[(given != "") & (predicted != "") & (given != predicted)] = "contradicts"
    look[list(background.unreadable)] = "unreadable"
    return pd.DataFrame(
        {
            "item": [pool.title(row) for row in range(n)],
            "label": given,
            "predicted": predicted,
            "probability": probability,
            "look": look,
        }
    )


def fitted(session: LabelSession) -> Any | None:
    """Return the estimator, fitted on every label, the random ones too.

    None where fewer than two classes have labels.
    """
    labels = session.labels()
    labels = labels[~labels["row"].isin(session.unreadable())]
    if labels["label"].nunique() < 2:
        return None
    estimator = clone(session.estimator)
    if "classes" in estimator.get_params():
        estimator.set_params(classes=list(session.classes))
    rows = labels["row"].to_numpy(np.intp)
    tags = ignored(estimator, labels["tag"].fillna("").to_numpy(str))
    X, y = session.pool.take(rows), labels["label"].to_numpy(str)
    return estimator.fit(X, y, **tags)


def export(session: LabelSession, folder: str | os.PathLike[str]) -> Exported:
    """Write labels, predictions and the fitted estimator.

    Parameters
    ----------
    session : LabelSession
    folder : path-like
        It is made where it is not there; files of an earlier export are replaced.

    Returns
    -------
    Exported
    """
    folder = expanded(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = session.labels()[["item", "label", "tag"]]
    model = folder / "model.joblib"
    estimator = fitted(session)
    if estimator is not None:
        part = folder / ".model.joblib.tmp"
        joblib.dump(estimator, part)
        part.replace(model)
    for name, table in (
        ("labels.csv", labels),
        ("predictions.csv", session.predictions().round({"probability": 4})),
    ):
        # With the mark that spreadsheets want; names of files as they are.
        text = "\ufeff" + table.to_csv(index=False, lineterminator="\n")
        write_whole(folder / name, text.encode("utf-8", "surrogateescape"))
    code = f'import joblib\nmodel = joblib.load("{model}")\nmodel.predict(paths)'
    if session.pool.kind == "text":
        code = code.replace("paths", "texts")
    return Exported(
        folder / "labels.csv",
        folder / "predictions.csv",
        model if estimator is not None else None,
        code,
    )
