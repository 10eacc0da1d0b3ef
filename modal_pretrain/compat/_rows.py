"""Repairs of modAL's data helpers: stacking, picking, dropping and adding rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import modAL.utils.data as data
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from ._registry import repair, replace, works

_PANDAS = (pd.DataFrame, pd.Series)


@repair
def stack_frames() -> bool:
    """Stack data frames in `teach` without `DataFrame.append`, which pandas 2 removed.

    `data_vstack` has no branch for Series at all, which is what the labels of a frame
    are. Labels of another kind (`[oracle(row)]`) may follow a Series or a frame of one
    column, and arrays with as many columns a frame, whose categorical columns stay so.
    """
    original = data.data_vstack
    frame = pd.DataFrame({"a": [1]})
    one, two = frame.astype("category"), (frame + 1).astype("category")

    def probe() -> bool:
        column = original((frame["a"], np.array([2])))
        kept = list(original((one, two))["a"].cat.categories) == [1, 2]
        joined = original((frame, frame)), original((frame, [2])), column
        return all(len(rows) == 2 for rows in joined) and kept

    if works(probe):
        return False

    def data_vstack(blocks: Sequence[Any]) -> Any:
        if isinstance(blocks[0], pd.DataFrame):
            return _under([_like(blocks[0], block) for block in blocks])
        if isinstance(blocks[0], pd.Series):
            name = blocks[0].name
            return pd.concat(
                [b if isinstance(b, pd.Series) else pd.Series(b) for b in blocks]
            ).rename(name)
        return original(blocks)

    replace(original, data_vstack)
    return True


def _under(frames: list[Any]) -> pd.DataFrame:
    """Stack frames, of which categorical columns stay so.

    pandas makes numbers or objects of them where the categories are not the same, and
    estimators that look at the type take them for something else.
    """
    first = frames[0]
    same = all(isinstance(f, pd.DataFrame) and f.columns.is_unique for f in frames)
    for name, dtype in first.dtypes.items() if same else ():
        columns = [frame[name] for frame in frames if name in frame]
        if not isinstance(dtype, pd.CategoricalDtype) or dtype.ordered:
            continue
        if all(column.dtype == dtype for column in columns):
            continue
        categories = dtype.categories
        for column in columns:
            new = column.astype("category").cat.categories
            categories = categories.union(new, sort=False)
        joint = pd.CategoricalDtype(categories)
        frames = [f.astype({name: joint}) if name in f else f for f in frames]
    return pd.concat(frames)


def _like(frame: pd.DataFrame, block: Any) -> Any:
    """Give rows that came as an array the columns of the frame they join."""
    if torch.is_tensor(block):
        block = block.detach().cpu().numpy()
    if sp.issparse(block):
        block = block.toarray()
    if frame.shape[1] == 1 and _is_column(block):
        # Labels of which the first were a frame of one column.
        return pd.Series(block, name=frame.columns[0]).to_frame()
    if not isinstance(block, np.ndarray | list) or np.shape(block)[1:] != (
        frame.shape[1],
    ):
        return block
    return pd.DataFrame(block, columns=frame.columns)


def _is_column(block: Any) -> bool:
    """Whether a block holds single values: labels, or rows of one column."""
    known = isinstance(block, np.ndarray | list | pd.Series)
    one = known and len(block) and getattr(block, "ndim", 1) == 1
    return bool(one) and not any(map(pd.api.types.is_list_like, block))


@repair
def join_frames() -> bool:
    """Return the data frames that `data_hstack` joins and forgets to return.

    With `on_transformed`, strategies get None otherwise. It also builds its TypeError
    for unknown types without raising it.
    """
    original = data.data_hstack
    frame = pd.DataFrame({"a": [1]})

    def refuses() -> bool:
        try:
            original([1, 1])
        except TypeError:
            return True
        return False

    if works(lambda: original([frame, frame]).shape == (1, 2) and refuses()):
        return False

    def data_hstack(blocks: Sequence[Any]) -> Any:
        if isinstance(blocks[0], pd.DataFrame) and not any(map(sp.issparse, blocks)):
            # Side by side as they stand: concat would match rows by their labels.
            index = blocks[0].index
            return pd.concat([pd.DataFrame(b).set_axis(index) for b in blocks], axis=1)
        joined = original(blocks)
        if joined is None:
            raise TypeError(f"{type(blocks[0])} datatype is not supported")
        return joined

    replace(original, data_hstack)
    return True


@repair
def frame_rows() -> bool:
    """Take rows of data frames by position, not by label, nor columns in their place.

    Query strategies return positions. `retrieve_rows` first tries ``X[I]``, which
    for a frame with columns 0, 1, 2, ... returns columns; `drop_rows` drops labels,
    more than one row where a label repeats; `enumerate_data` counts by label, which
    makes expected error reduction write to the wrong place or out of bounds.
    """
    original_retrieve = data.retrieve_rows
    original_drop = data.drop_rows
    original_enumerate = data.enumerate_data
    frame = pd.DataFrame(np.eye(3), index=[5, 5, 6])

    def probe() -> bool:
        return (
            original_retrieve(frame, [1]).shape == (1, 3)
            and original_retrieve(frame[0], [2]).tolist() == [0.0]
            and len(original_drop(frame, 0)) == 2
            and [i for i, _ in original_enumerate(frame)] == [0, 1, 2]
        )

    if works(probe):
        return False

    def retrieve_rows(X: Any, I: Any) -> Any:  # noqa: E741
        return X.iloc[I] if isinstance(X, _PANDAS) else original_retrieve(X, I)

    def drop_rows(X: Any, I: Any) -> Any:  # noqa: E741
        if isinstance(X, _PANDAS):
            return X.iloc[np.delete(np.arange(len(X)), I)]
        return original_drop(X, I)

    def enumerate_data(X: Any) -> Iterable[tuple[int, Any]]:
        if isinstance(X, pd.DataFrame):
            return enumerate(_frame_rows(X))
        if isinstance(X, pd.Series):
            return enumerate(X)
        return original_enumerate(X)

    replace(original_retrieve, retrieve_rows)
    replace(original_drop, drop_rows)
    replace(original_enumerate, enumerate_data)
    return True


def _frame_rows(X: pd.DataFrame) -> Iterator[pd.Series]:
    """Rows as Series, where columns of several types keep their values as they are."""
    exact = X if len(set(X.dtypes)) <= 1 else X.astype(object)
    return (row for _, row in exact.iterrows())


@repair
def append_row() -> bool:
    """Add a row to data frames, texts and images in expected error reduction.

    `add_row` hands a row of a frame to `DataFrame.append` too, and puts `np.vstack`
    on arrays and lists, which joins rows to tables and nothing else.
    """
    original = data.add_row
    frame = pd.DataFrame({"a": [1], "b": ["x"]})

    def probe() -> bool:
        row = next(_frame_rows(frame))
        images = np.zeros((2, 3, 3))
        return (
            list(original(frame, row).dtypes) == list(frame.dtypes)
            and original(images, images[0]).shape == (3, 3, 3)
            and original(["a", "b"], "c") == ["a", "b", "c"]
        )

    if works(probe):
        return False

    def add_row(X: Any, row: Any) -> Any:
        if isinstance(X, pd.DataFrame) and isinstance(row, pd.Series):
            return _under([X, _as_frame(row, X.dtypes)])
        if isinstance(X, np.ndarray) and X.ndim != 2:
            return np.concatenate([X, np.asarray(row)[np.newaxis]])
        if isinstance(X, list) and isinstance(row, str):
            return [*X, row]
        return original(X, row)

    replace(original, add_row)
    return True


def _as_frame(row: pd.Series, dtypes: pd.Series) -> pd.DataFrame:
    """Turn a row back into a frame with the column types of the frame it joins."""
    frame = row.to_frame().T
    for name, dtype in dtypes.items():
        # A category that the training data lacks would silently become missing.
        categories = getattr(dtype, "categories", None)
        if categories is None or row[name] in categories:
            frame[name] = frame[name].astype(dtype)
    return frame


def _tensor(block: Any) -> torch.Tensor:
    """Return rows as a tensor, without a copy where that is possible."""
    if torch.is_tensor(block):
        return block
    if isinstance(block, list) and all(map(torch.is_tensor, block)):
        return torch.stack(block)
    return torch.as_tensor(np.asarray(block))


@repair
def tensor_rows() -> bool:
    """Take, drop and add rows of tensors in expected error reduction.

    `drop_rows` refers to an undefined name, `enumerate_data` has no branch for
    tensors, and `data_vstack` and `add_row` cannot put a row or a new label under one.
    """
    original_stack, original_add = data.data_vstack, data.add_row
    original_drop, original_enumerate = data.drop_rows, data.enumerate_data
    table = torch.eye(3)

    def probe() -> bool:
        return (
            len(original_drop(table, 1)) == 2
            and len(list(original_enumerate(table))) == 3
            and len(original_add(table, table[0])) == 4
            and len(original_stack((torch.tensor([1]), np.array([2])))) == 2
        )

    if works(probe):
        return False

    def data_vstack(blocks: Sequence[Any]) -> Any:
        first = blocks[0]
        if torch.is_tensor(first):
            blocks = [_tensor(b).to(first) for b in blocks]
        return original_stack(blocks)

    def add_row(X: Any, row: Any) -> Any:
        if torch.is_tensor(X):
            return torch.cat([X, torch.as_tensor(row)[None].to(X)])
        return original_add(X, row)

    def drop_rows(X: Any, I: Any) -> Any:  # noqa: E741
        if torch.is_tensor(X):
            return X[np.delete(np.arange(len(X)), I)]
        return original_drop(X, I)

    def enumerate_data(X: Any) -> Iterable[tuple[int, Any]]:
        return enumerate(X) if torch.is_tensor(X) else original_enumerate(X)

    replace(original_stack, data_vstack)
    replace(original_add, add_row)
    replace(original_drop, drop_rows)
    replace(original_enumerate, enumerate_data)
    return True
