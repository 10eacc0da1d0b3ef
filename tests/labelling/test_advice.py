"""What a session says of its model: honest figures, in words, and slips found."""

import re
import threading
import time

import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from modal_pretrain import TimmEncoder
from modal_pretrain.labelling.advice import Doubt
from modal_pretrain.labelling.background import Background
from tests.labelling.conftest import label


def test_nothing_before_the_first_fit(folder, start, truth):
    session = start(folder)
    assert session.advice() is None
    session = label(session, truth, 12)
    advice = session.advice()
    assert advice.learnt >= 10 and not advice.stop
    assert advice.accuracy == advice.worst == ""
    assert advice.reason.startswith("Too early to say")
    assert session.advice() is advice  # once for each state of the model


def test_figures_come_from_random_questions(folder, start, truth):
    session = start(folder, audit_share=0.34, target=0.55)
    label(session, truth, 40)
    known = session.labels()
    measuring = known[known["asked"] == "audit"]
    predicted = session.predictions()["predicted"]
    right = (predicted[measuring["row"]].to_numpy() == measuring["label"]).mean()
    advice = session.advice()
    value, low, high = map(int, re.findall(r"\d+", advice.accuracy))
    assert value == round(100 * right) and low <= value <= high
    assert advice.stop is (low >= 55)
    assert advice.reason.startswith(("You may stop", "Go on"))
    assert "to" in advice.worth or advice.worth == "cannot tell yet"


def test_figures_are_of_now_where_advice_was_waited_for(folder, start, truth):
    session = label(start(folder, audit_share=0.34), truth, 36)
    with session._adviser._lock:  # another tab's advice is on its way
        asking = threading.Thread(target=session.advice)
        asking.start()
        time.sleep(0.2)
        while session.ask()[0].reason != "audit":
            label(session, truth, 1)
        session.skip(session.ask()[0].row)
        session.wait(60)
    asking.join()
    assert session.advice().accuracy.endswith(", 1 skipped")


def test_figures_are_whole_while_the_rest_is_embedded(
    folder, start, truth, monkeypatch
):
    params = {"audit_share": 0.34, "target": 0.6}
    session = label(start(folder, **params), truth, 40)
    before = session.advice()
    session.close()
    release, some = threading.Event(), Background._embed_some

    def embed_some(self, known):
        if self.embedded.sum() >= 48:  # what was answered, and a block more
            release.wait(60)
        return some(self, known)

    monkeypatch.setattr(Background, "_embed_some", embed_some)
    monkeypatch.setattr("modal_pretrain.labelling.background._BLOCK", 8)
    session = start(folder, **params)
    early = None
    while early is None:
        time.sleep(0.05)
        early = session.advice()
    assert session.progress().embedded < 80
    assert early.accuracy == before.accuracy
    release.set()
    session.wait(60)
    assert session.advice() == before  # not what was said of half the pool


def test_random_questions_that_are_skipped_are_no_reason_to_stop(folder, start, truth):
    """People skip what is hard, and so what the model has wrong."""
    session = start(folder, audit_share=0.34, target=0.4)
    label(session, truth, 40)
    before = session.advice()
    assert before.stop and "skipped" not in before.accuracy
    skipped = []
    while len(skipped) < 12:  # another random one comes at once
        question = session.ask()[0]
        if question.reason == "audit":
            session.skip(question.row)
            skipped.append(question.row)
        else:
            label(session, truth, 1)
    session.wait(60)
    advice = session.advice()
    assert advice.accuracy.endswith(", 12 skipped")
    assert (
        not advice.stop and "skipped random questions count as wrong" in advice.reason
    )
    # Answered after all, they measure and do not teach.
    learnt = session.progress().learnt
    for row in skipped:
        session.ask(rows=[row])
        assert session.guess(row) is None
        session.answer(row, truth(row))
    session.wait(60)
    assert session.progress().learnt == learnt
    assert "skipped" not in session.advice().accuracy + session.advice().reason


def test_a_slip_is_found(folder, start, truth):
    session = label(start(folder, audit_share=0), truth, 40)
    row = int(session.labels()["row"][3])
    wrong = {"circle": "square", "square": "circle"}[truth(row)]
    session.ask(rows=[row])
    session.answer(row, wrong)
    session.wait(60)
    doubts = session.advice().doubts
    assert doubts and isinstance(doubts[0], Doubt)
    found = {doubt.row: doubt for doubt in doubts}
    assert found[row].label == wrong and found[row].suggested == truth(row)


def test_what_needs_more_labels_than_a_copy_gets_hides_nothing_else(
    folder, start, truth
):
    """A third of the random labels are too few for five neighbours."""
    encoder = TimmEncoder(image_size=32, device="cpu", precision="float32")
    estimator = make_pipeline(encoder, KNeighborsClassifier())
    session = start(folder, estimator=estimator, audit_share=0.34)
    advice = label(session, truth, 30).advice()
    assert advice.accuracy.endswith("%)") and advice.reason.startswith("Go on")
    assert advice.worth == "cannot tell yet"


def test_an_estimator_that_has_not_learnt_yet_contradicts_nothing(folder, start, truth):
    """Boosting wants 20 rows on either side of a split."""
    encoder = TimmEncoder(image_size=32, device="cpu", precision="float32")
    boosting = HistGradientBoostingClassifier(max_iter=5)
    estimator = make_pipeline(encoder, PCA(4), boosting)
    session = start(folder, estimator=estimator, audit_share=0)
    label(session, lambda row: "circle" if row % 3 else "square", 24)
    advice = session.advice()
    assert advice.learnt == 24 and advice.doubts == []


def test_an_estimator_that_is_slow_to_fit_is_measured_only(folder, start, truth, make):
    small = {"backbone": "test_efficientnet", "pretrained": False}
    estimator = make(tune="all", max_steps=2, **small)
    session = label(start(folder, estimator=estimator, audit_share=0.5), truth, 22)
    advice = session.advice()
    assert advice.accuracy and advice.worth == "" and advice.doubts == []


def test_the_page_asks_for_it(folder, start, serve, truth):
    session = start(folder, audit_share=0.34)
    page = serve(session)
    assert page.get("api/advice") == (200, {"learnt": 0})
    label(session, truth, 30)
    status, advice = page.get("api/advice")
    assert status == 200 and advice["accuracy"] == session.advice().accuracy
    assert all(doubt["name"].endswith(".png") for doubt in advice["doubts"])


@pytest.mark.parametrize("target", [0, 1.1, "0.9", None])
def test_targets_that_are_none(folder, start, target):
    with pytest.raises(ValueError, match="target must be"):
        start(folder, target=target)


def test_without_random_questions_none_is_promised(folder, start, truth):
    session = label(start(folder, audit_share=0), truth, 12)
    reason = session.advice().reason
    assert reason.startswith("Nothing measures it: audit_share=0")
    assert "Too early" not in reason
