"""Picture files to label, which may move, change or be away for a while."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path

import numpy as np
from xxhash import xxh3_64_hexdigest

from modal_pretrain._identity import absolute, expanded, read_whole
from modal_pretrain.datasets._folders import pictures_and_inodes, unread
from modal_pretrain.labelling.pool import FORMULA, Pool, check_some

# Rows read below a folder that changed, until it is taken for the one it was.
_READ = 50


class FilePool(Pool):
    """Picture files.

    Parameters
    ----------
    paths : sequence of str or path-like
    root : path-like, optional
        Names are relative to it, so that the folder may move as a whole. By default
        they are the paths as they are given.
    """

    named = True
    # All that lies below it is the pool, also what comes later; a list has none.
    folder: Path | None = None

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        kept, names, left_out = [], [], []
        for given in paths:
            if not isinstance(given, str | os.PathLike):
                raise TypeError(
                    f"pool must be a list of paths, or none; it holds {given!r} of "
                    f"type {type(given).__name__}."
                )
            path = os.fspath(given)
            name = os.path.relpath(path, root) if root is not None else path
            name = name.replace(os.sep, "/")
            if any(ord(letter) < 32 for letter in name):
                left_out.append(f"{name!r}: its name has a control character")
                continue
            names.append(f"./{name}" if name.startswith(FORMULA) else name)
            kept.append(path)
        check_some(names, "pictures")
        self._root = absolute(os.curdir if root is None else root)
        self._spelt: dict[str, int | None] | None = None
        self._agree: Counter[tuple[str, float]] = Counter()
        _check_unique(names, kept)
        super().__init__(names, np.array(kept, dtype=object))
        self.left_out = left_out

    @classmethod
    def below(cls, folder: str | os.PathLike[str]) -> FilePool:
        """List the pictures anywhere below a folder, sorted.

        Those of phones and cameras that Pillow does not read, and those with more
        behind their endings, are counted as left out.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            If the folder is not there, or is a file.
        ValueError
            If it holds no pictures.
        """
        root = expanded(folder)
        if root.is_file():
            raise NotADirectoryError(
                f"{root} is a file: name a folder of pictures, of an archive the one "
                "that it was unpacked to."
            )
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        others: list[Path] = []
        paths = [path for path, _ in pictures_and_inodes(root, others)]
        more = unread(others)
        if not paths:
            raise ValueError(
                f"there are no pictures in {root} or in its folders"
                + (f", but {more}: convert or rename them." if more else ".")
            )
        pool = cls(paths, root)
        pool.folder = root
        pool.left_out += [more] if more else []
        return pool

    def find(self, name: str) -> int | None:
        """Return the row of a name, also of one that somebody else has written.

        Such as ``./a.png``, the whole path, with accents in another spelling, or with
        the separators of Windows.
        """
        row = super().find(name)
        if row is not None:
            return row
        if self._spelt is None:
            self._spelt = {}
            for known, at in self._rows.items():
                place = self._place(known)
                self._spelt[place] = None if place in self._spelt else at
        return self._spelt.get(self._place(name))

    def _place(self, name: str) -> str:
        path = os.path.join(self._root, name.replace("\\", "/"))
        return unicodedata.normalize("NFC", absolute(path))

    def show(self, row: int) -> Path:
        """Return the picture's file, which may be gone or damaged."""
        return Path(self.X[row])

    def state(self, row: int) -> Hashable:
        """Return size, times and inode of the file, None while it is missing."""
        status = self._status(row)
        if status is None:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino

    def content(self, row: int) -> str:
        """Return size and hash of the file; empty where it can't be read."""
        try:
            data = read_whole(self.X[row])
        except OSError:
            return ""
        return f"{len(data)}:{xxh3_64_hexdigest(data)}"

    def same(self, row: int, content: str, since: float) -> bool:
        """Compare contents, of files that changed later: reading takes minutes.

        Of a folder that changed some files are read, all if one of them is another.
        """
        status = self._status(row)
        if not content or status is None:
            return True
        if content.split(":")[0] != str(status.st_size):
            return False
        path = absolute(self.X[row])
        folder = os.path.dirname(path)
        before = since - 2  # a clock's tick and a second's fraction aside
        # A copy has a new inode, and a link may lead elsewhere.
        if max(_changed(status), _changed(os.lstat(path))) >= before:
            return self.content(row) in (content, "")
        state = folder, self._folder_changed(folder)
        # A folder changes with whatever is put into it, but is another one with all
        # that it holds: some of that tells.
        if state[1] < before or self._agree[state] >= _READ:
            return True
        found = self.content(row)
        self._agree[state] += 1 if found in (content, "") else -len(self)
        return found in (content, "")

    def places(
        self, contents: Collection[str], rows: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return which files have these contents; those of other sizes are not read."""
        sizes = {content.split(":")[0] for content in contents}
        known = [(row, self._status(row)) for row in rows]
        return super().places(
            contents, [row for row, s in known if s and str(s.st_size) in sizes]
        )

    def _folder_changed(self, folder: str) -> float:
        """Return when a folder was last changed, or a folder or link on its way.

        Folders that swap their names leave the times of what is in them.
        """
        last = max(_changed(os.stat(folder)), _changed(os.lstat(folder)))
        if folder.startswith(os.path.join(self._root, "")):
            last = max(last, self._folder_changed(os.path.dirname(folder)))
        return last

    def _status(self, row: int) -> os.stat_result | None:
        try:
            return os.stat(self.X[row])
        except OSError:
            return None


def _changed(status: os.stat_result) -> float:
    return max(status.st_mtime, status.st_ctime)


def _check_unique(names: Sequence[str], paths: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        place = absolute(path)
        if place in first:
            also = "" if first[place] == name else f", once as {first[place]!r}"
            raise ValueError(
                f"pool names {name!r} twice{also}; every row needs a file of its own."
            )
        first[place] = name
