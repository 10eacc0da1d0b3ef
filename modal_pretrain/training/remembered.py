"""Tags by the content of rows, kept from one training to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain.embedding.source import Source
from modal_pretrain.reweighting.tags import check_kinds, tag_codes, tag_table

Tags = tuple[Any, ...]


class RememberedTags:
    """What `tag` was told about rows.

    A row is known by its key. That of a file changes with its name and times, so a
    tagged file is known by what is in it, too.

    Attributes
    ----------
    tags : dict of bytes to tuple
        By the key of a row, or the hash of what is in a file.
    files : dict of bytes to (int, bytes)
        Size and hash of what is in tagged files, by the keys of their rows.
    """

    def __init__(self) -> None:
        self.tags: dict[bytes, Tags] = {}
        self.files: dict[bytes, tuple[int, bytes]] = {}

    def __len__(self) -> int:
        return len(self.tags)

    def but(self, source: Source, ignore: Any) -> RememberedTags:
        """Return these tags with others for the rows of a source; None forgets.

        Parameters
        ----------
        source : Source
        ignore : array-like of shape (n,) or (n, k)

        Raises
        ------
        ValueError
            If tags do not fit the rows, or those that are known.
        """
        table = tag_table(ignore, len(source))
        other = RememberedTags()
        other.tags, other.files = dict(self.tags), dict(self.files)
        rows = zip(source.row_keys(), _contents(source), table.tolist(), strict=True)
        for key, file, tags in rows:
            if file is not None:
                other.files[key] = file
                key = file[1]
            other.tags.pop(key, None)
            if any(tag is not None for tag in tags):
                other.tags[key] = tuple(tags)
        other.files = {k: f for k, f in other.files.items() if f[1] in other.tags}
        check_width({len(tags) for tags in other.tags.values()})
        if other.tags:
            known = np.array(list(other.tags.values()), dtype=object)
            check_kinds(known)
            tag_codes(known)  # which is what a training does
        return other

    def of(self, source: Source) -> list[Tags | None]:
        """Return the tags of each row of a source, None where nobody said."""
        if not self.tags:
            return [None] * len(source)
        found = []
        for key in source.row_keys():
            file = self.files.get(key)
            found.append(self.tags.get(key if file is None else file[1]))
        unknown = [row for row, tags in enumerate(found) if tags is None]
        if unknown and self.files:
            sizes = {size for size, _ in self.files.values()}
            contents = _contents(source.take(np.array(unknown)), sizes)
            for row, file in zip(unknown, contents, strict=True):
                found[row] = None if file is None else self.tags.get(file[1])
        return found


def _contents(
    source: Any, sizes: set[int] | None = None
) -> list[tuple[int, bytes] | None]:
    """Return sizes and hashes of what is in files, None of rows that are none."""
    if not hasattr(source, "contents"):
        return [None] * len(source)
    return source.contents(sizes)


def check_width(widths: set[int]) -> None:
    """Raise ValueError if rows have tags of several numbers of attributes."""
    if len(widths) > 1:
        raise ValueError(
            f"ignore has tags of {' and of '.join(map(str, sorted(widths)))} "
            "attributes for different rows; give all attributes for each, None where "
            "nobody said."
        )
