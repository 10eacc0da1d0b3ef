"""What a session leaves behind: labels, predictions, and the fitted estimator."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.datasets._table import warn
from modal_pretrain.images.decode import ImageLoadError, decode_file
from modal_pretrain.labelling.background import Background
from modal_pretrain.labelling.edited import write_beside_edited
from modal_pretrain.labelling.halves import ignored
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.progress import Progress

if TYPE_CHECKING:
    from modal_pretrain.labelling.session import LabelSession

# Below this probability a prediction is worth a look.
_SURE = 0.6
LABELS, PREDICTIONS, MODEL = "labels.csv", "predictions.csv", "model.joblib"


class Exported(NamedTuple):
    """The files that were written.

    Parameters
    ----------
    labels : pathlib.Path
        CSV, one line for each label: item, label, tag. The item of a text is its place
        from 1 on, as "row 1": the first one below the header of a CSV file.
    predictions : pathlib.Path
        CSV, one line for each row of the pool, see `predictions`.
    model : pathlib.Path or None
        The estimator, fitted on all labels; None with fewer than two classes. Functions
        and classes of your own are imported when it is loaded: a script or notebook
        that defines them itself is the only one that can load it.
    code : str
        The lines of Python that load it.
    unseen : int, default=0
        Rows that can be read and have no prediction, as the model had not seen them.
    """

    labels: Path
    predictions: Path
    model: Path | None
    code: str
    unseen: int = 0


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

    None where fewer than two classes have labels. Files that are gone or damaged are
    unreadable from now on, unless next to nothing is left without them.
    """
    labels = session.labels()
    labels = labels[~labels["row"].isin(session.unreadable())]
    gone: dict[int, str | Exception] = {
        row: FileNotFoundError("the file is not there any more")
        for row in labels["row"]
        if not session.pool.there(row)
    }
    labels, _ = _without(session, labels, gone)
    if labels["label"].nunique() < 2:
        return None
    estimator = clone(session.estimator)
    if "classes" in estimator.get_params():
        estimator.set_params(classes=list(session.classes))
    rows = labels["row"].to_numpy(np.intp)
    tags = ignored(estimator, labels["tag"].fillna("").to_numpy(str))
    X, y = session.pool.take(rows), labels["label"].to_numpy(str)
    try:
        return estimator.fit(X, y, **tags)
    except ImageLoadError:  # of files that could be read when they were embedded
        if not _without(session, labels, _damaged(session.pool, rows))[1]:
            raise
        return fitted(session)
    except (ValueError, OSError):
        raise
    except Exception as error:  # the page and the command tell of the others
        raise ValueError(
            f"the estimator can't be fitted on the {len(y)} labels: "
            f"{type(error).__name__}: {error}. The labels are in {session.path}."
        ) from error


def _without(
    session: LabelSession, labels: pd.DataFrame, away: dict[int, str | Exception]
) -> tuple[pd.DataFrame, bool]:
    """Leave out rows that can't be read, and say whether any were left out."""
    rest = labels[~labels["row"].isin(away)]
    if not away or rest["label"].nunique() < 2:
        return labels, False
    for row, error in away.items():
        session.set_unreadable(row, error)
    return rest, True


def _damaged(pool: Pool, rows: NDArray[np.intp]) -> dict[int, str | Exception]:
    """Return which files can't be read, and why."""
    found: dict[int, str | Exception] = {}
    for row in rows.tolist():
        shown = pool.show(row)
        try:
            if isinstance(shown, Path):
                decode_file(shown, pool.title(row))
        except ImageLoadError as error:
            found[row] = error
    return found


def check_folder(session: LabelSession, folder: str | os.PathLike[str]) -> None:
    """Raise ValueError if an export can't go into a folder.

    Because it is a file, or because that would replace the label file.
    """
    if not os.fspath(folder):
        raise ValueError("folder is empty; write '.' for the present one.")
    place = expanded(folder)
    if place.exists() and not place.is_dir():
        raise ValueError(f"out must be a folder, and {place} is a file. Name another.")
    for name in (LABELS, PREDICTIONS, MODEL):
        check_apart(session, place / name)


def check_apart(session: LabelSession, path: Path) -> None:
    """Raise ValueError if a file that is to be written is the label file."""
    if path.exists() and path.samefile(session.path):
        raise ValueError(
            f"{path} is the label file of this session, which keeps all answers. Write "
            "elsewhere, or give the labels another file."
        )


def _pickled(session: LabelSession, estimator: Any) -> bytes:
    data = io.BytesIO()
    try:
        joblib.dump(estimator, data)
    except Exception as error:  # whatever the parts of the user's own raise
        raise ValueError(
            f"the estimator can't be written: {type(error).__name__}: {error}. In "
            "place of a lambda, or a function within another one, give it one that is "
            "defined at the top of a module and imported from there: one of a script "
            "or notebook is found in that alone. "
            f"The labels are in {session.path}."
        ) from error
    return data.getvalue()


def _quoted(path: Path) -> str:
    """Return a path as Python reads it, in double quotes where that is all it takes."""
    text = str(path)
    plain = text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else repr(text)


def _warn_of_problem(progress: Progress) -> None:
    """Say that the predictions are behind: the estimator, of all labels, may fit."""
    if not progress.problem:
        return
    has = "has no predictions"
    if progress.learnt:
        has = f"is of the last one that could, which knows {progress.learnt} labels"
    warn(
        "the model that asks could not be fitted on the latest answers: "
        f"{progress.problem}. {PREDICTIONS} {has}",
        depth=5,
    )


def export(session: LabelSession, folder: str | os.PathLike[str]) -> Exported:
    """Write labels, predictions and the fitted estimator.

    Parameters
    ----------
    session : LabelSession
    folder : path-like
        It is made where it is not there. Files of an earlier export are replaced;
        tables that were edited since are kept beside them, as ``labels-edited-1.csv``.

    Returns
    -------
    Exported

    Warns
    -----
    UserWarning
        If a table was edited, or the predictions are not of the latest answers because
        the model that asks could not be fitted on those.

    Raises
    ------
    OSError
        If something can't be written.
    ValueError
        If a file of the export is the label file, or the estimator can't be fitted or
        pickled, such as one with a lambda.
    """
    check_folder(session, folder)
    folder = expanded(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = session.labels()[["item", "label", "tag"]]
    model = folder / MODEL
    estimator = fitted(session)
    if estimator is not None:
        write_whole(model, _pickled(session, estimator))
    else:  # one of an earlier export knows other labels
        model.unlink(missing_ok=True)
    found = session.predictions().round({"probability": 4})
    _warn_of_problem(session.progress())
    unseen = found["probability"].isna() & (found["look"] != "unreadable")
    tables = {LABELS: labels, PREDICTIONS: found}
    # With the mark that spreadsheets want; names of files as they are.
    edited = write_beside_edited(
        {
            name: ("\ufeff" + table.to_csv(index=False, lineterminator="\n")).encode(
                "utf-8", "surrogateescape"
            )
            for name, table in tables.items()
        },
        folder,
    )
    if edited:
        warn(
            f"tables in {folder} were edited since they were exported, or are of an "
            f"earlier version, and are now {' and '.join(path.name for path in edited)}"
            ". Labels that were corrected there do not count: correct them in "
            f"{session.path}"
        )
    code = f"import joblib\nmodel = joblib.load({_quoted(model)})\nmodel.predict(paths)"
    if session.pool.kind == "text":
        code = code.replace("paths", "texts")
    return Exported(
        folder / LABELS,
        folder / PREDICTIONS,
        model if estimator is not None else None,
        code,
        int(unseen.sum()),
    )
