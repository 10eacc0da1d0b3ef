"""The records of a study: a CSV file with key columns, then columns of numbers.

A study reads its file before it begins, does not repeat the runs that are there, and
appends a run when it ends. So the key columns hold all that a run depends on: what
differs in one of them is another run, and stands in the same file.

A process that is killed, or a full disk, leaves a last line that is cut off. It is not
read, even where it seems to be complete: 0.95 may have been 0.9512. Where a run has
several lines, the others at the end go with it. The next append takes them out of the
file, and the study repeats that run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """The columns of a study's records, and how they are read and written.

    Parameters
    ----------
    keys : mapping of str to callable
        The columns that say which run it is, and what makes a value of their text, such
        as `int`. None is written as nothing.
    numbers : mapping of str to str
        The columns of what came out, and how they are written, such as ".4f". They are
        read as floats.
    run : tuple of str, default=()
        Where a run has several lines: the columns that are the same in all of them.
    """

    keys: Mapping[str, Callable[[str], Any]]
    numbers: Mapping[str, str]
    run: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in the order of the file."""
        return (*self.keys, *self.numbers)

    def key(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of the key columns: equal ones are the same run.

        Parameters
        ----------
        record : mapping

        Returns
        -------
        tuple
        """
        return tuple(record[name] for name in self.keys)

    def read(self, path: Path) -> list[dict[str, Any]]:
        """Read the records, in the order of the file.

        Parameters
        ----------
        path : Path
            None is there before the first run: no records.

        Returns
        -------
        list of dict

        Raises
        ------
        SystemExit
            If the file has other columns, or a line that is no record.
        """
        rows = csv.reader(line.decode() for line in self._lines(path)[0][1:])
        return [self._parsed(row, f"{path}, line {i}") for i, row in enumerate(rows, 2)]

    def append(self, path: Path, records: Iterable[Mapping[str, Any]]) -> None:
        """Append all lines of a run; begin the file where there is none.

        Parameters
        ----------
        path : Path
        records : iterable of mappings
            Of the names of the columns; what else they hold is not written.

        Raises
        ------
        SystemExit
            If the file has other columns.
        """
        lines, is_cut = self._lines(path)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not lines:
            writer.writerow(self.columns)
        for record in records:
            numbers = [format(record[name], how) for name, how in self.numbers.items()]
            writer.writerow([*map(_shown, self.key(record)), *numbers])
        with path.open("ab") as file:
            if is_cut:
                file.truncate(sum(map(len, lines)))
            file.write(text.getvalue().encode())

    def _lines(self, path: Path) -> tuple[list[bytes], bool]:
        """Return the lines that count, header first, and whether others follow."""
        content = path.read_bytes() if path.exists() else b""
        lines = content.splitlines(keepends=True)
        if not lines:
            return [], False
        is_cut = not lines[-1].endswith(b"\n")
        self._check_header(path, lines[0], is_cut and len(lines) == 1)
        if is_cut:
            lines.pop()
            if self.run and len(lines) > 1:
                last = self._run_of(lines[-1])
                while len(lines) > 1 and self._run_of(lines[-1]) == last:
                    lines.pop()
        return lines, is_cut

    def _check_header(self, path: Path, line: bytes, is_cut: bool) -> None:
        there, wanted = line.decode(errors="replace").rstrip("\r\n"), io.StringIO()
        csv.writer(wanted, lineterminator="").writerow(self.columns)
        expected = wanted.getvalue()
        if there != expected and not (is_cut and expected.startswith(there)):
            raise SystemExit(
                f"{path} has the columns {there!r}, but the records of this study "
                f"have {expected!r}. Name another file, or give this one these columns."
            )

    def _run_of(self, line: bytes) -> list[str]:
        cells = dict(zip(self.columns, next(csv.reader([line.decode()])), strict=False))
        return [cells.get(name, "") for name in self.run]

    def _parsed(self, row: list[str], where: str) -> dict[str, Any]:
        try:
            cells = dict(zip(self.columns, row, strict=True))
            kinds = {**self.keys, **dict.fromkeys(self.numbers, float)}
            return {name: kind(cells[name]) for name, kind in kinds.items()}
        except ValueError as error:
            raise SystemExit(
                f"{where} is {','.join(row)!r}, which is no record of "
                f"{','.join(self.columns)}: {error}. Take the line out, and the run is "
                "repeated."
            ) from None


def whole_or_none(text: str) -> int | None:
    """Read a whole number, or nothing as None.

    Parameters
    ----------
    text : str

    Returns
    -------
    int or None
    """
    return int(text) if text else None


def _shown(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value
