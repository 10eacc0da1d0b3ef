"""A label file's long journeys: day after day, in any order."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from modal_pretrain.labelling import LabelSession
from modal_pretrain.labelling.pools import TextPool

TEXTS = [f"text {number}" for number in range(9)]
WORDS = ["a", "b", "c"]


class Days(RuleBasedStateMachine):
    """Answers are of the texts, whatever the order of the rows, day after day."""

    def __init__(self):
        super().__init__()
        self.session = None
        self.answers = []

    @initialize(today=st.permutations(TEXTS))
    def begin(self, today):
        self.path = Path(tempfile.mkdtemp(dir=self.root), "labels.csv")
        self.open(today)

    @rule(today=st.lists(st.sampled_from(TEXTS), min_size=2, unique=True))
    def open(self, today):
        """Another day: some texts are gone, some are back, in another order."""
        self.teardown()
        self.today = list(today)
        self.session = LabelSession(
            TextPool(self.today),
            labels=self.path,
            estimator=make_pipeline(CountVectorizer(), LogisticRegression()),
            first=1000,
        )

    def rows(self, data):
        rows = data.draw(
            st.lists(
                st.integers(0, len(self.today) - 1), min_size=1, max_size=3, unique=True
            )
        )
        self.session.ask(rows=rows)
        return rows, [self.today[row] for row in rows]

    def known(self, text):
        """Return what the last answer about a text says that was not taken back."""
        return next((a[text] for a in reversed(self.answers) if text in a), None)

    def take(self, texts, now):
        self.answers.append(dict(zip(texts, now, strict=True)))

    @rule(data=st.data(), word=st.sampled_from(WORDS), tag=st.sampled_from(["", "t"]))
    def answer(self, data, word, tag):
        rows, texts = self.rows(data)
        self.session.answer(rows, word, tag or None)
        self.take(texts, [(word, tag)] * len(rows))

    @rule(data=st.data())
    def answer_each(self, data):
        rows, texts = self.rows(data)
        words = [data.draw(st.sampled_from(WORDS)) for _ in rows]
        self.session.answer(rows, words)
        self.take(texts, [(word, "") for word in words])

    @rule(data=st.data())
    def skip(self, data):
        rows, texts = self.rows(data)
        self.session.skip(rows)
        self.take(texts, [self.known(text) for text in texts])

    @rule(data=st.data())
    def cannot_tell(self, data):
        rows, texts = self.rows(data)
        self.session.cannot_tell(rows)
        self.take(texts, [None] * len(texts))

    @rule()
    def undo(self):
        rows = self.session.undo()
        # What is away keeps what was said of it, until it is back and taken back, too.
        there = [answer for answer in self.answers if set(answer) & set(self.today)]
        last = there[-1] if there else {}
        assert {self.today[row] for row in rows} == set(last) & set(self.today)
        for text in set(last) & set(self.today):
            del last[text]

    @invariant()
    def labels_are_as_said(self):
        if self.session is None:
            return
        found = {
            self.today[row]: (label, tag)
            for row, label, tag in self.session.labels()[["row", "label", "tag"]]
            .itertuples(index=False)
        }  # fmt: skip
        said = {t: self.known(t) for t in self.today if self.known(t) is not None}
        assert found == said

    def teardown(self):
        if self.session is not None:
            self.session.close()
            self.session = None


def test_days(tmp_path_factory):
    Days.root = tmp_path_factory.mktemp("days")
    run_state_machine_as_test(Days, settings=settings(stateful_step_count=25))
