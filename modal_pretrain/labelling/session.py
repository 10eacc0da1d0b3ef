"""A labelling session: ask, answer, undo, go on tomorrow; no page needed."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain._checks import Number, Whole, check_parameters
from modal_pretrain.labelling import records
from modal_pretrain.labelling.advice import Advice, Adviser
from modal_pretrain.labelling.answers import Answers
from modal_pretrain.labelling.background import Background
from modal_pretrain.labelling.explain import explain
from modal_pretrain.labelling.export import Exported, export, predictions
from modal_pretrain.labelling.halves import check_estimator, is_of_texts
from modal_pretrain.labelling.known import Known
from modal_pretrain.labelling.label_file import LabelFile, label_path
from modal_pretrain.labelling.moved import Lost
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.pools import as_pool
from modal_pretrain.labelling.progress import Progress
from modal_pretrain.labelling.questions import Question, Questions
from modal_pretrain.labelling.to_the_end import to_the_end
from modal_pretrain.labelling.why import AUDIT, CHOSEN, Why
from modal_pretrain.labelling.words import Words
from modal_pretrain.modality import lookup
from modal_pretrain.query.disambiguation import disambiguation_sampling

_RULES = {
    "audit_share": Number(least=0, below=1),
    "target": Number(above=0, most=1),
    "first": Whole(least=2),
    "random_state": Whole(least=0),
}


class LabelSession:
    """Label pictures or texts with a model that asks.

    The first questions come at once, at random, while a thread embeds the pool. As
    soon as there are enough labels the model is fitted after every answer, in that
    thread, too, and the strategy chooses the questions. Answers are in the label file
    before `answer` returns, and a session on the same file goes on where it ended.

    Parameters
    ----------
    pool : folder, list of paths, pictures, list of texts, CSV file, or Pool
        See `as_pool`. A list of str holds texts where the estimator is one of texts,
        and else the paths of pictures.
    classes : sequence of str or None, default=None
        All there are. None: whatever is answered becomes a class.
    labels : path-like, optional
        The label file. By default, for a folder or a CSV file, ``NAME-labels.csv``
        beside it.
    column : str, optional
        The column of a CSV file that holds the texts.
    estimator : estimator, optional
        By default a `PretrainedClassifier` or `PretrainedTextClassifier` with a frozen
        backbone. See `halves` for those that learn within the time of an answer.
    strategy : callable, default=disambiguation_sampling
        A query strategy. The default takes no sparse vectors, as word counts are.
    tags : sequence of str, default=()
        What should not decide, such as the background of a row. More may be added.
    audit_share : float, default=0.1
        In [0, 1): share of the questions that are drawn at random and measure the
        model: one in ``round(1 / audit_share)``, so that 0.4 is a half and 0.7 all of
        them. It does not learn from them before `export`.
    target : float, default=0.95
        Accuracy that is good enough, in (0, 1]; see `advice`.
    first : int, default=10
        Labels before the first fit, at least 2.
    random_state : int, default=0
        Drives what is drawn.

    Attributes
    ----------
    path : pathlib.Path
        The label file.
    lost : Lost
        What of the label file does not fit the pool.

    Raises
    ------
    FileNotFoundError, TimeoutError, TypeError, ValueError
        If an argument does not fit, the label file is none, or another process has it.
    """

    def __init__(
        self,
        pool: Any,
        classes: Sequence[str] | None = None,
        *,
        labels: str | os.PathLike[str] | None = None,
        column: str | None = None,
        estimator: Any = None,
        strategy: Callable[..., Any] = disambiguation_sampling,
        tags: Sequence[str] = (),
        audit_share: float = 0.1,
        target: float = 0.95,
        first: int = 10,
        random_state: int = 0,
    ) -> None:
        check_parameters(vars(), _RULES)
        if not callable(strategy):
            raise TypeError(f"strategy must be a query strategy, got {strategy!r}.")
        self.pool: Pool = as_pool(pool, column=column, text=is_of_texts(estimator))
        if estimator is None:
            estimator = lookup(self.pool.kind).classifier()(random_state=random_state)
        self.estimator = check_estimator(estimator)
        self._classes = Words("classes", classes, said="labels")
        self._tags = Words("tags", tags, free=True, optional=True)
        self._lock = threading.RLock()
        self._version = 0
        self._questions = Questions(len(self.pool), audit_share, random_state)
        self._background = Background(
            self.pool,
            estimator,
            strategy,
            self._questions.order,
            self._known,
            first=first,
            seed=random_state,
        )
        self._adviser = Adviser(self._background, target, audit_share > 0)
        file = LabelFile(label_path(pool, labels))
        self._answers = Answers(self.pool, file, self._classes, self._tags)
        self._ledger, self._asked = self._answers.ledger, self._answers.asked
        self.path: Path = file.path
        self.lost: Lost = self._answers.lost
        self._server: Any = None
        self._background.start()

    @property
    def classes(self) -> list[str]:
        """All classes, in the order they were given or added."""
        return list(self._classes.known)

    @property
    def tags(self) -> list[str]:
        """All tags, in the order they were given or added."""
        return list(self._tags.known)

    def ask(self, n: int = 1, rows: Sequence[int] | None = None) -> list[Question]:
        """Return what to label next; never waits.

        Parameters
        ----------
        n : int, default=1
            How many; fewer come at the end of the pool. The same come again until
            they are answered, unless the model learns something better meanwhile.
        rows : sequence of int, optional
            Rows of your own choice instead, such as some to correct.

        Returns
        -------
        list of Question
            Named tuples (row, reason).
        """
        Whole().check("n", n)
        with self._lock:
            if rows is not None:
                found = [Question(row, CHOSEN) for row in self._asked.rows(rows)]
            else:
                found = self._questions.next(
                    n, self._ledger, self._background.belief, self.unreadable()
                )
            self._asked.reasons.update(found)
            return found

    def why(self, row: int) -> Why:
        """Say why a row is asked about, and which labelled rows are like it.

        Parameters
        ----------
        row : int

        Returns
        -------
        Why
        """
        (row,) = self._asked.rows([row])
        with self._lock:
            reason, known = self._asked.reason(row), self._known()
        return explain(row, reason, known, self._background)

    def guess(self, row: int) -> tuple[str, float] | None:
        """Return the model's guess of a row.

        Parameters
        ----------
        row : int

        Returns
        -------
        (str, float) or None
            The class and its probability. None before the first fit, and for rows
            that measure the model: an answer must not lean on what it is to judge.
        """
        (row,) = self._asked.rows([row])
        with self._lock:
            if self._asked.drawn(row) == AUDIT:
                return None
        return self._background.guess(row)

    @to_the_end
    def answer(self, rows: int | Sequence[int], labels: Any, tags: Any = None) -> None:
        """Label rows that were asked about: one answer, which one `undo` takes back.

        Parameters
        ----------
        rows : int or sequence of int
        labels : str or sequence of str
            One for all rows, or one for each, in their order.
        tags : str, sequence of str or None, optional
            Likewise.

        Raises
        ------
        NotAskedError, AnsweredError, TypeError, ValueError
            If a row was not asked about or was answered meanwhile, or rows or labels
            do not fit; then nothing is taken.
        """
        self._answers.label(rows, labels, tags)
        self._changed()

    @to_the_end
    def skip(self, rows: int | Sequence[int]) -> None:
        """Ask about rows when nothing else is left; a label that one has, it keeps.

        Parameters
        ----------
        rows : int or sequence of int
        """
        self._answers.take(self._asked.open(rows), records.SKIPPED)
        self._changed()

    @to_the_end
    def cannot_tell(self, rows: int | Sequence[int]) -> None:
        """Say that nobody can tell: the rows are not asked about again.

        Parameters
        ----------
        rows : int or sequence of int
        """
        self._answers.take(self._asked.open(rows), records.CANNOT_TELL)
        self._changed()

    @to_the_end
    def undo(self) -> list[int]:
        """Take back the last answer, also one of an earlier session.

        Returns
        -------
        list of int
            Its rows, which are asked about again; empty if there is none.
        """
        rows = self._answers.undo()
        self._changed()
        return rows

    def add_class(self, name: str) -> None:
        """Add a class.

        Parameters
        ----------
        name : str
        """
        with self._lock:
            self._classes.add(name)
            self._changed()

    def add_tag(self, name: str) -> None:
        """Add a tag.

        Parameters
        ----------
        name : str
        """
        with self._lock:
            self._tags.add(name)

    def set_unreadable(self, row: int, reason: str | Exception) -> None:
        """Say that a row can't be shown: it is not asked about until its file changes.

        Parameters
        ----------
        row : int
        reason : str or Exception
        """
        self._background.set_unreadable(self._asked.rows([row])[0], reason)

    def progress(self) -> Progress:
        """Return the figures of now; never waits."""
        with self._lock:
            return Progress.of(self.classes, self._ledger, self._background)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the pool is embedded and the model knows all answers.

        Parameters
        ----------
        timeout : float, optional
            Most seconds to wait.

        Returns
        -------
        bool
            Whether that is so now; False where the session was closed before that.

        Raises
        ------
        RuntimeError
            If the model could not learn the latest answers. It stays as it was.
        """
        done, problem = self._background.wait(timeout)
        if problem:
            raise RuntimeError(f"the model could not be fitted: {problem}")
        return done

    def labels(self) -> pd.DataFrame:
        """Return what is labelled: columns row, item, label, tag and asked."""
        with self._lock:
            return self._ledger.table()

    def advice(self) -> Advice | None:
        """Say how good the model is, whether asking pays, and what to look at again.

        Returns
        -------
        Advice or None
            None before the first fit. It takes seconds, once for each state of the
            model.
        """
        return self._adviser.advice(self._ledger, self._lock)

    def unreadable(self) -> set[int]:
        """Return the rows that can't be read."""
        return set(self._background.unreadable)

    def predictions(self) -> pd.DataFrame:
        """Return the model's word on every row, see `labelling.export`."""
        return predictions(self.pool, self.labels(), self._background)

    def export(self, folder: str | os.PathLike[str]) -> Exported:
        """Write labels, predictions and the fitted estimator.

        Parameters
        ----------
        folder : path-like
            It is made where it is not there. See `labelling.export` for what is.

        Returns
        -------
        Exported
        """
        return export(self, folder)

    def show(self, height: int = 860) -> Any:
        """Show the page (extra ``label``) in a notebook; it exports to NAME-labelled.

        Parameters
        ----------
        height : int, default=860
            Pixels of the frame.

        Returns
        -------
        IPython.display.IFrame
            Of this machine: a notebook on another one needs a tunnel to the port.
        """
        serve = importlib.import_module("modal_pretrain.labelling.page.serve")
        self._server = self._server or serve.beside(self)
        return serve.frame(self._server.address, height)

    def close(self) -> None:
        """End the thread and let other processes have the label file."""
        if self._server is not None:
            self._server.stop()
        self._background.close()
        self._answers.file.close()

    def __enter__(self) -> LabelSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _known(self) -> Known:
        with self._lock:
            return Known.of(self._version, self.classes, self._ledger)

    def _changed(self) -> None:
        self._version += 1
        self._background.wake()
