"""A data set whose every example has a class and a second attribute.

The second attribute (background, colour, camera, product category) is what makes a
task ambiguous: where it goes with the class in the labelled examples, they cannot tell
which of the two is meant. The examples that can are called *disambiguating*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from modal_pretrain._checks import Number, take_rows
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._modalities import check_name
from modal_pretrain.datasets._columns import (
    as_column,
    as_rows,
    by_place,
    check_shown,
    encode,
    free_column,
    in_order,
    label_column,
    named_columns,
)
from modal_pretrain.datasets._seed_set import draw_seed_set

# The "id_" splits are WILDS's: held-out examples with attribute values seen in train.
SPLITS = ("train", "validation", "test", "id_validation", "id_test")
RULES = ("mismatch", "rare")


@dataclass(frozen=True, eq=False, repr=False)
class GroupedDataset:
    """Inputs, class labels, one attribute and a split, row by row.

    Parameters
    ----------
    X : sequence of length n
        The inputs, in any form the classifier takes: an array of images, an array or a
        list of paths, a list of PIL images; texts. Only ``len`` and indexing are used.
    y : array-like of shape (n,)
        Class labels: all numbers, all strings or all booleans, none missing.
    attribute : array-like of shape (n,)
        The second attribute, likewise.
    split : array-like of shape (n,)
        "train", "validation" or "test" for each row (WILDS's "id_validation" and
        "id_test" are known too).
    disambiguating : {"mismatch", "rare"} or array-like of bool of shape (n,), \
            default="mismatch"
        Which rows tell class and attribute apart. "mismatch": the attribute value is
        not the most frequent one of this class in the train split; values that tie for
        the first place all count as most frequent, and a class that train lacks has no
        mismatch. "rare": the attribute value belongs to the rarest values, which
        together hold at most `rare_share` of the train split; values that train lacks
        are rare. Otherwise the flags themselves. A rule is applied once, here: the
        flags stay with their rows in every subset. (A third definition depends on a
        seed set: see `unseen`.)
    rare_share : float, default=0.1
        See `disambiguating`; in (0, 1).
    name : str, default="data set"
        Name for summaries and reports.
    attribute_name : str, default="attribute"
        What the attribute is, e.g. "place".
    classes, attributes : array-like, optional
        Labels that occur, in the order that numbers the groups. By default the sorted
        labels found in `y` and in `attribute`.
    class_names, attribute_names : sequence of str, optional
        Names to show for `classes` and `attributes`. By default ``str`` of them.
    modality : str, default="image"
        What `X` holds, for those who choose a model by it: "image", "text", or the name
        of a modality of your own, see `modal_pretrain.modality.register`.
    extra : mapping of str to array-like of shape (n,), optional
        Further attributes by name, such as the day, the user or the camera: kept
        through subsets. For groups by one of them see `regroup`.

    Attributes
    ----------
    disambiguating : ndarray of bool of shape (n,)
        The flags, whichever way they were given.

    Examples
    --------
    >>> from modal_pretrain.datasets import GroupedDataset
    >>> data = GroupedDataset(
    ...     X=["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"],
    ...     y=["bird", "bird", "bird", "fish", "fish", "fish"],
    ...     attribute=["air", "air", "water", "water", "water", "air"],
    ...     split=["train", "train", "train", "train", "train", "test"],
    ...     name="animals", attribute_name="place",
    ... )
    >>> data.summary()
    'animals: 2 classes x 2 place; train 5 (20.0 % disambiguating), test 1 (100.0 %)'
    >>> data.group_names[data.groups[2]]
    'bird/water'
    >>> data.subset("test").X
    ['f.png']
    """

    X: Any
    y: Any
    attribute: Any
    split: Any
    disambiguating: Any = "mismatch"
    rare_share: float = 0.1
    name: str = "data set"
    attribute_name: str = "attribute"
    classes: Any = None
    attributes: Any = None
    class_names: Sequence[str] | None = None
    attribute_names: Sequence[str] | None = None
    modality: str = "image"
    extra: Mapping[str, Any] | None = None
    _y_index: Any = field(init=False)
    _attribute_index: Any = field(init=False)

    def __post_init__(self) -> None:
        if not hasattr(self.X, "__len__") or isinstance(self.X, Mapping | Set | str):
            raise TypeError(
                f"X must be rows, in an order, got a {type(self.X).__name__}"
            )
        n = len(self.X)
        aligned = ("X", "y", "attribute", "split", "disambiguating")
        extra = named_columns(self.extra, "extra")
        further = {f"extra[{key!r}]": each for key, each in extra.items()}
        check_order(**{key: getattr(self, key) for key in aligned}, **further)
        self._set("X", by_place(self.X))
        for key in ("y", "attribute", "split"):
            self._set(key, label_column(getattr(self, key), key, n))
        check_name(self.modality)
        named = {str(k): free_column(extra[k], f"extra[{k!r}]", n) for k in extra}
        self._set("extra", named)
        unknown = sorted(set(map(str, np.unique(self.split))) - set(SPLITS))
        if unknown:
            raise ValueError(
                f"split holds {unknown[0]!r}; the known splits are {', '.join(SPLITS)}"
            )
        for labels, values, names, index in (
            ("y", "classes", "class_names", "_y_index"),
            ("attribute", "attributes", "attribute_names", "_attribute_index"),
        ):
            known, positions = encode(
                getattr(self, labels), getattr(self, values), labels, values
            )
            self._set(values, known)
            self._set(index, positions)
            shown = getattr(self, names)
            shown = tuple(map(str, known) if shown is None else in_order(shown, names))
            check_shown(shown, names, known, values)
            self._set(names, shown)
        self._set("disambiguating", self._flags(self.disambiguating))

    def _set(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, value)

    def _flags(self, rule: Any) -> np.ndarray:
        if not isinstance(rule, str):
            flags = as_column(rule, "disambiguating", len(self))
            if flags.dtype != bool:
                raise ValueError(
                    "disambiguating must be a rule or boolean flags, got an array of "
                    f"{flags.dtype}"
                )
            return flags
        if rule not in RULES:
            raise ValueError(
                f"unknown rule disambiguating={rule!r}; use one of {', '.join(RULES)} "
                "or give the flags"
            )
        Number(above=0, below=1).check("rare_share", self.rare_share)
        train = self.split == "train"
        if not train.any():
            there = " and ".join(np.unique(self.split)) or "no split"
            raise ValueError(
                f"disambiguating={rule!r} is read off the train split, which is empty: "
                f"{len(self)} rows are in {there}. Name some train, or give the flags"
            )
        counts = np.bincount(
            self.groups[train], minlength=len(self.classes) * len(self.attributes)
        ).reshape(len(self.classes), len(self.attributes))
        if rule == "mismatch":
            dominant = counts == counts.max(axis=1, keepdims=True)
            return ~dominant[self._y_index, self._attribute_index]
        totals = counts.sum(axis=0)
        # Rows whose value is at most as frequent as this one: ties go together.
        below = np.array([totals[totals <= total].sum() for total in totals])
        most = round(self.rare_share * int(totals.sum()), 9)  # 0.29 * 100 is below 29
        return (below <= most)[self._attribute_index]

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"<GroupedDataset {self.summary()}>"

    @property
    def groups(self) -> np.ndarray:
        """Group number of each row: class index x number of attributes + attribute."""
        return self._y_index * len(self.attributes) + self._attribute_index

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names "class/attribute" of all groups, by group number.

        Where two would be the same, their numbers tell them apart.
        """
        names = [
            f"{c}/{a}"
            for c in self.class_names or ()
            for a in self.attribute_names or ()
        ]
        counts = Counter(names)
        return tuple(
            name if counts[name] == 1 else f"{name} ({number})"
            for number, name in enumerate(names)
        )

    def subset(self, selection: Any) -> GroupedDataset:
        """Rows of one split, or chosen by a mask or by indices, in that order.

        Group numbers, names and disambiguating flags stay as they are.

        Parameters
        ----------
        selection : str, array-like of bool of shape (n,) or array-like of int
            A split, a mask, or row numbers.

        Returns
        -------
        GroupedDataset
            The chosen rows.

        Raises
        ------
        ValueError
            If the split has no rows here, or a mask has the wrong length.
        """
        rows = self._rows(selection)
        return replace(
            self,
            X=take_rows(self.X, rows),
            y=self.y[rows],
            attribute=self.attribute[rows],
            split=self.split[rows],
            disambiguating=self.disambiguating[rows],
            extra={key: values[rows] for key, values in self._extra.items()},
        )

    @property
    def _extra(self) -> dict[str, np.ndarray]:
        return dict(self.extra or {})

    def regroup(
        self, attribute: str, disambiguating: Any = "mismatch"
    ) -> GroupedDataset:
        """Group the same rows by one of the further attributes instead.

        Parameters
        ----------
        attribute : str
            A key of `extra`. The present attribute takes its place there.
        disambiguating : {"mismatch", "rare"} or array-like of bool of shape (n,), \
                default="mismatch"
            As for the class; a rule is read off the train rows of this data set.

        Returns
        -------
        GroupedDataset
            The same inputs, classes and splits.

        Raises
        ------
        ValueError
            If there is no such attribute, or the name of the present one is taken.
        """
        if attribute not in self._extra:
            raise ValueError(
                f"{self.name} has no further attribute {attribute!r}; it has "
                f"{', '.join(self._extra) or 'none'}"
            )
        extra = self._extra
        values, name = extra.pop(attribute), self.attribute_name
        if name in extra:
            raise ValueError(f"extra has {name!r}, too; give another attribute_name")
        return replace(
            self,
            attribute=values,
            attribute_name=attribute,
            attributes=None,
            attribute_names=None,
            disambiguating=disambiguating,
            extra={name: self.attribute, **extra},
        )

    def unseen(self, rows: Any) -> np.ndarray:
        """Flag the examples whose attribute value none of some rows has.

        The third definition of "disambiguating": with `rows` the seed set, these are
        the examples with an attribute that the first labels say nothing about. For
        them ``dataclasses.replace(data, disambiguating=data.unseen(seeds))``.

        Parameters
        ----------
        rows : str, array-like of int or array-like of bool of shape (n,)
            Row numbers, as from `seed_set`; or a split, or a mask.

        Returns
        -------
        ndarray of bool of shape (n,)
            True where the attribute value is new.
        """
        seen = np.zeros(len(self.attributes), dtype=bool)
        seen[self._attribute_index[self._rows(rows)]] = True
        return ~seen[self._attribute_index]

    def _rows(self, selection: Any) -> np.ndarray:
        """Row numbers from the name of a split, a mask or row numbers."""
        if isinstance(selection, str):
            present = [s for s in SPLITS if (self.split == s).any()]
            if selection not in present:
                raise ValueError(
                    f"{self.name} has no split {selection!r}; it has "
                    f"{', '.join(present) or 'no rows'}"
                )
            selection = self.split == selection
        return as_rows(selection, len(self), self.name)

    def summary(self) -> str:
        """One line: name, classes, attribute, and the rows of each split."""
        parts: list[str] = []
        for split in SPLITS:
            rows = self.split == split
            if rows.any():
                share = f"{self.disambiguating[rows].mean():.1%}".replace("%", " %")
                word = "" if parts else " disambiguating"
                parts.append(f"{split} {rows.sum()} ({share}{word})")
        return (
            f"{self.name}: {len(self.classes)} classes x {len(self.attributes)} "
            f"{self.attribute_name}; {', '.join(parts) or 'no rows'}"
        )

    def seed_set(
        self,
        n: int,
        *,
        balanced: bool = True,
        atypical: int | None = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw the first labelled examples from the train split.

        Parameters
        ----------
        n : int
            Number of examples.
        balanced : bool, default=True
            Give every class of the train split the same number (which classes get one
            of a remainder is drawn).
        atypical : int or None, default=0
            How many of the examples are disambiguating, spread evenly over the
            classes where possible. 0 leaves the task ambiguous, as in the example of
            red squares and blue circles; None ignores the attribute, so that they
            enter by chance, as in the experiments of [1]_.
        random_state : int, RandomState or None, default=None
            The draw.

        Returns
        -------
        ndarray of int of shape (n,)
            Distinct row numbers of this data set, in random order.

        Raises
        ------
        ValueError
            If there are not enough such examples.

        References
        ----------
        .. [1] A. Tamkin et al., Active Learning Helps Pretrained Models Learn the
           Intended Task, NeurIPS 2022, arXiv:2204.08491.
        """
        return draw_seed_set(
            n,
            self.split == "train",
            self._y_index,
            np.asarray(self.disambiguating),
            balanced=balanced,
            atypical=atypical,
            random_state=random_state,
        )
