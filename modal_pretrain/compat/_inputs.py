"""Repairs of what learners accept as X: scikit-learn's check, and plain lists."""

import inspect
from collections.abc import Iterator
from numbers import Number
from typing import Any

import modAL.acquisition as acquisition
import modAL.disagreement as disagreement
import modAL.models.learners as learners
import modAL.uncertainty as uncertainty
import modAL.utils.data as data
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError

from ._registry import repair, replace, works


class Stub:
    """An estimator that accepts everything, for probes."""

    def fit(self, *args: Any) -> "Stub":
        """Learn nothing."""
        self.fitted = args
        return self


@repair
def finite_keyword() -> bool:
    """Check data in `fit` and `teach` without `force_all_finite`.

    scikit-learn 1.8 removed this keyword (TypeError), 1.6 and 1.7 warn about it. It
    is called `ensure_all_finite` now.
    """
    original = learners.check_X_y
    if works(lambda: learners.ActiveLearner(Stub()).fit([[1.0], [2.0]], [0, 1])):
        return False

    def check_X_y(X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        if "force_all_finite" in kwargs:
            kwargs["ensure_all_finite"] = kwargs.pop("force_all_finite")
        return original(X, y, *args, **kwargs)

    replace(original, check_X_y)
    return True


@repair
def mixed_frames() -> bool:
    """Check frames that have categories or texts next to truth values.

    scikit-learn's check makes numbers of truth values and nullable numbers first, and
    if it is not told which, of the whole frame: "Cannot cast str dtype to float64".
    """
    original = learners.check_X_y
    frame = pd.DataFrame({"a": pd.Categorical(["x"]), "b": [True]})
    if works(lambda: original(frame, [0], dtype=None, ensure_2d=False)):
        return False

    def check_X_y(X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(X, pd.DataFrame) and any(map(_of_words, X.dtypes)):
            # Missing values of every kind are nan, which the check knows.
            X = X.astype(object).where(X.notna(), np.nan)
        return original(X, y, *args, **kwargs)

    replace(original, check_X_y)
    return True


def _of_words(dtype: Any) -> bool:
    """Whether a column holds texts, or categories that are no numbers."""
    if isinstance(dtype, pd.CategoricalDtype):
        return not pd.api.types.is_numeric_dtype(dtype.categories.dtype)
    return isinstance(dtype, pd.StringDtype)


def _holds_objects(X: Any) -> bool:
    """Whether X is a list that NumPy would tear apart, or make texts of.

    That is a list of images, texts or other objects, or of arrays of several lengths.
    Lists of numbers and of rows of them are arrays in the making and stay so.
    """
    if not isinstance(X, list) or not X:
        return False
    if _holds_text(X[0]):  # nearly always all do, and pools are long
        return True
    plain = (Number, list, tuple, np.generic)
    shapes = {x.shape if isinstance(x, np.ndarray) else () for x in X}
    return (
        len(shapes) > 1
        or any(len(shape) > 1 for shape in shapes)
        or not all(isinstance(x, (*plain, np.ndarray)) for x in X)
        or any(map(_holds_text, X))
    )


def _holds_text(row: Any) -> bool:
    text = (str, bytes)
    return isinstance(row, text) or (
        isinstance(row, (list, tuple)) and any(isinstance(x, text) for x in row)
    )


def _holds_arrays(X: Any) -> bool:
    """Whether X is a column of arrays, which scikit-learn takes for numbers."""
    return getattr(X, "dtype", None) is np.dtype(object) and any(
        getattr(x, "ndim", 0) for x in np.ravel(X)
    )


def _column(X: list) -> Any:
    """Return a list as an array of objects, each as it is."""
    column = np.empty(len(X), dtype=object)
    for row, value in enumerate(X):
        column[row] = value
    return column


def _items(block: Any, known: list) -> Any:
    """Return what to put under a list: of a frame, its rows, where it has columns."""
    if not isinstance(block, pd.DataFrame):
        return block
    rows = block.to_numpy(dtype=object)
    has_columns = any(isinstance(row, list | tuple) for row in known[:1])
    single = rows.shape[1] == 1 and not has_columns
    return (rows[:, 0] if single else rows).tolist()


@repair
def object_lists() -> bool:
    """Keep lists of images, texts and other objects as they are.

    modAL turns lists into arrays and back. Images of several sizes give "setting an
    array element with a sequence ... inhomogeneous shape" since NumPy 1.24, images of
    one size give lists of pixel values in the place of images, and a number among
    texts becomes one. An array of arrays is "ambiguous" to scikit-learn's check.
    """
    original_retrieve, original_drop = data.retrieve_rows, data.drop_rows
    original_stack, original_add = data.data_vstack, data.add_row
    original_shape, original_check = data.data_shape, learners.check_X_y
    ragged = [np.zeros(2), np.zeros(3)]
    column = _column(ragged)

    def probe() -> bool:
        columns = learners.ActiveLearner(Stub(), X_training=column, y_training=[0, 1])
        columns.teach(column, [0, 1])
        learner = learners.ActiveLearner(Stub())
        learner.teach(ragged, [0, 1])
        learner.teach(ragged, [0, 1])
        return (
            len(learner.X_training) == 4
            and original_retrieve(ragged, [1])[0] is ragged[1]
            and original_drop(ragged, 1)[0] is ragged[0]
            and original_add(ragged, ragged[0])[2] is ragged[0]
            and original_shape(ragged)[0] == 2
            and original_retrieve(["a", 1], [1]) == [1]
        )

    if works(probe):
        return False

    def retrieve_rows(X: Any, I: Any) -> Any:  # noqa: E741
        if not _holds_objects(X) or np.ndim(I) == 0:
            return original_retrieve(X, I)
        return [X[i] for i in np.arange(len(X))[np.asarray(I)]]

    def drop_rows(X: Any, I: Any) -> Any:  # noqa: E741
        if not _holds_objects(X):
            return original_drop(X, I)
        return [X[i] for i in np.delete(np.arange(len(X)), I)]

    def data_vstack(blocks: Any) -> Any:
        if isinstance(blocks[0], list) and any(map(_holds_objects, blocks)):
            return [x for block in blocks for x in _items(block, blocks[0])]
        first = blocks[0]
        if isinstance(first, np.ndarray) and first.dtype == object and first.ndim == 1:
            blocks = [_column(b) if _holds_objects(b) else b for b in blocks]
        return original_stack(blocks)

    def add_row(X: Any, row: Any) -> Any:
        return [*X, row] if _holds_objects(X) else original_add(X, row)

    def data_shape(X: Any) -> Any:
        return (len(X),) if _holds_objects(X) else original_shape(X)

    def check_X_y(X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        # y and the lengths are checked as ever; what the images are worth, the
        # estimator will say.
        if _holds_objects(X) or _holds_arrays(X):
            X = np.zeros((len(X), 1))
        return original_check(X, y, *args, **kwargs)

    replace(original_retrieve, retrieve_rows)
    replace(original_drop, drop_rows)
    replace(original_stack, data_vstack)
    replace(original_add, add_row)
    replace(original_shape, data_shape)
    replace(original_check, check_X_y)
    return True


def _usual(X: Any) -> Any:
    """Return sequences as lists, columns of pandas or of texts as a Series.

    And sparse matrices in a form whose rows can be picked.
    """
    if isinstance(X, tuple | range):
        return list(X)
    if isinstance(X, memoryview):
        return np.asarray(X)
    if sp.issparse(X):
        # SciPy 1.16 and older take no rows from arrays in the form coo either, and
        # modAL knows its way with matrices only.
        coo = X.format == "coo" and isinstance(X, sp.sparray)
        return X.tocsr() if coo or X.format in ("bsr", "dia") else X
    texts = isinstance(X, np.ndarray) and X.dtype.kind == "T"
    if texts or isinstance(X, pd.Index | pd.api.extensions.ExtensionArray):
        return pd.Series(X, dtype=object if texts else None)
    return X


@repair
def other_sequences() -> bool:
    """Let rows and labels be tuples, ranges, an Index, a Categorical, odd sparse forms.

    Estimators learn from them, and so does a learner that begins with them. Then
    `teach` and `query` fail: "<class 'tuple'> datatype is not supported". So it is with
    NumPy's StringDType, and with tensors that need a gradient, which no check reads.
    """
    originals = (
        data.retrieve_rows,
        data.drop_rows,
        data.add_row,
        data.enumerate_data,
        data.data_shape,
    )
    original_stack, original_check = data.data_vstack, learners.check_X_y

    def probe() -> bool:
        learner, reader = (learners.ActiveLearner(Stub()) for _ in range(2))
        for _ in range(2):
            learner.teach(("a", "b"), pd.Categorical(["c", "d"]))
        texts = np.array(["a"], dtype=np.dtypes.StringDType())
        for _ in range(2):
            reader.teach(texts, [1])
        return len(learner.X_training) == len(learner.y_training) == 4

    if works(probe):
        return False

    def usual(original: Any) -> Any:
        return lambda X, *args: original(_usual(X), *args)

    def data_vstack(blocks: Any) -> Any:
        return original_stack([_usual(block) for block in blocks])

    def check_X_y(X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        return original_check(read(_usual(X)), read(_usual(y)), *args, **kwargs)

    for original in originals:
        replace(original, usual(original))
    replace(original_stack, data_vstack)
    replace(original_check, check_X_y)
    return True


def read(X: Any) -> Any:
    """Return a tensor as an array, whatever it needs and holds, and all else as is."""
    if not isinstance(X, torch.Tensor):
        return X
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


class _Answering:
    """A learner or committee that answers about one pool, whatever it is asked about.

    The pool itself must reach the estimator as the list it is: scikit-learn refuses
    a list that has a shape.
    """

    def __init__(self, model: Any, pool: list) -> None:
        self._model, self._pool = model, pool

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        if name not in ("predict", "predict_proba", "vote", "vote_proba"):
            return value
        return lambda X, **kwargs: value(self._pool, **kwargs)

    def __len__(self) -> int:
        return len(self._model)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._model)


class Unfitted:
    """A learner or committee without training data, for probes."""

    y_max = 0.0

    def __len__(self) -> int:
        return 1

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        raise NotFittedError

    predict_proba = vote = vote_proba = predict


class _Regressor:
    """A regressor sure of nothing, for probes."""

    def predict(self, X: Any, return_std: bool) -> tuple[Any, Any]:
        return np.zeros(len(X)), np.ones(len(X))


def _accept_lists(module: Any, name: str, model: Any) -> bool:
    """Let a measure, whose second argument is the pool X, be content with a list."""
    original = getattr(module, name)
    if works(lambda: len(original(model, ["a", "b"]))):
        return False
    signature = inspect.signature(original)

    def measure(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        X = bound.arguments["X"]
        if isinstance(X, list | tuple):
            model = next(iter(bound.arguments))
            bound.arguments[model] = _Answering(bound.arguments[model], list(X))
            # The measure itself looks at the number of rows only.
            bound.arguments["X"] = np.empty((len(X), 0))
        return original(*bound.args, **bound.kwargs)

    replace(original, measure)
    return True


@repair
def list_pools() -> bool:
    """Measure pools that are lists, which have no `X.shape`.

    The disagreement measures always do, those for uncertainty and Bayesian
    optimisation do while the estimator is not fitted.
    """
    measures = {
        uncertainty: (
            "classifier_uncertainty",
            "classifier_margin",
            "classifier_entropy",
        ),
        disagreement: ("vote_entropy", "consensus_entropy", "KL_max_disagreement"),
        acquisition: ("optimizer_PI", "optimizer_EI", "optimizer_UCB"),
    }
    changed = [
        _accept_lists(module, name, Unfitted())
        for module, names in measures.items()
        for name in names
    ]
    old = disagreement.max_std_sampling
    if _accept_lists(disagreement, "max_std_sampling", _Regressor()):
        # CommitteeRegressor holds this one as a default, too.
        init = learners.CommitteeRegressor.__init__
        init.__defaults__ = tuple(
            disagreement.max_std_sampling if default is old else default
            for default in init.__defaults__
        )
        changed.append(True)
    return any(changed)
