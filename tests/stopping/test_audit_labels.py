"""Audits: labels and classes as they come, in other spellings, types and frames."""

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.stopping import (
    Estimate,
    Predictions,
    draw_audit,
    predict_pool,
)
from tests.stopping.pools import pool


def test_labels_of_another_type_are_told_so():
    proba = np.full((20, 2), 0.5)
    audit = draw_audit(proba, 2, random_state=0)
    for unknown in ("error", "wrong"):
        with pytest.raises(ValueError, match="The label is of type str, the class int"):
            audit.estimate(["0", "1"], unknown=unknown)
    named = draw_audit(proba, 2, classes=["no", "yes"], random_state=0)
    with pytest.raises(ValueError, match="of type bytes, the class str"):
        named.estimate([b"no", b"yes"], unknown="wrong")


def test_labels_that_a_file_spells_otherwise_are_no_new_classes():
    proba = np.full((20, 2), 0.5)
    texts = draw_audit(proba, 2, classes=["0", "1"], random_state=0)
    for y in ([0.0, 1.0], ["0.0", "1.0"], ["0", "1 "]):  # of a column with gaps, say
        with pytest.raises(ValueError, match=r"of type float|in another spelling"):
            texts.estimate(y, unknown="wrong")
    numbers = draw_audit(proba, 2, random_state=0)
    with pytest.raises(ValueError, match="of type str, the class int"):
        numbers.estimate(["0.0", "1.0"], unknown="wrong")
    assert numbers.estimate([0.0, 1.0]).accuracy.n == 2
    new = ["v0.0", "0.5"]  # other classes
    assert texts.estimate(new, unknown="wrong").accuracy.value == 0


def test_accents_in_two_letters_as_macos_writes_them_make_no_new_class():
    proba = np.tile([0.9, 0.1], (20, 1))
    audit = draw_audit(proba, 2, classes=["caf\u00e9", "bar"], random_state=0)
    assert audit.estimate(["caf\u00e9"] * 2, unknown="wrong").accuracy.value == 1
    with pytest.raises(ValueError, match="in another spelling"):
        audit.estimate(["cafe\u0301"] * 2, unknown="wrong")
    assert audit.estimate(["cafe"] * 2, unknown="wrong").accuracy.value == 0


def test_a_frame_of_a_later_model_names_its_columns_in_any_order():
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    for classes in (["a", "b", "c"], [0, 1, 2]):
        audit = draw_audit(proba, 20, classes=classes, random_state=0)
        truth = np.array(classes)[proba.argmax(axis=1)][audit.rows]
        later = pd.DataFrame(proba, columns=map(str, classes))  # as of a file
        for order in ([0, 1, 2], [2, 0, 1]):
            assert audit.estimate(truth, later.iloc[:, order]).accuracy.value == 1


def test_a_class_in_other_capitals_is_warned_of():
    proba = np.tile([0.9, 0.1], (20, 1))
    audit = draw_audit(proba, 3, classes=["cat", "dog"], random_state=0)
    with pytest.warns(UserWarning, match="'Cat' 2 times, .* class 'cat'") as caught:
        found = audit.estimate(["cat", "Cat", "Cat"], unknown="wrong")
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="'Cat'"):  # code of no module
        exec("audit.estimate(['Cat'] * 3, unknown='wrong')", {"audit": audit})
    letters = draw_audit(proba, 2, classes=["a", "b"], random_state=0)
    assert letters.estimate(["A", "cow"], unknown="wrong").accuracy.value == 0


def test_masked_values_are_refused():
    audit = draw_audit(np.full((20, 2), 0.5), 4, random_state=0)
    masked = np.ma.array([0, 1, 0, 1], mask=[True, False, False, False])
    for call in (audit.estimate, audit.mean, lambda rows: audit.left(taught=rows)):
        with pytest.raises(ValueError, match="is masked in places"):
            call(masked)


def test_a_new_class_of_another_type_spoils_no_other_label():
    proba, y = pool(400)
    audit = draw_audit(proba, 30, random_state=0)
    truth = y[audit.rows].tolist()
    as_number = audit.estimate([*truth[:-1], 7], unknown="wrong")
    assert audit.estimate([*truth[:-1], "other"], unknown="wrong") == as_number
    assert as_number.accuracy.value > 0 and as_number.recall[0] is not None


def test_frames_of_later_models_have_their_own_classes():
    before = pd.DataFrame(np.tile([0.2, 0.8], (30, 1)), columns=["bird", "cat"])
    audit = draw_audit(before, 10, design="random", random_state=0)
    assert audit.estimate(["cat"] * 10).accuracy.value == 1
    # One class was a slip and is gone, another has come: all say "dog" now.
    later = before.set_axis(["cat", "dog"], axis=1)
    assert audit.estimate(["dog"] * 10, later).accuracy.value == 1
    more = pd.DataFrame(np.tile([0.2, 0.1, 0.7], (30, 1)), columns=["bird", "cat", "x"])
    found = audit.estimate(["x"] * 10, more)
    assert found.accuracy.value == 1 and list(found.recall) == ["bird", "cat", "x"]
    # Names that are no classes say nothing.
    named = before.set_axis(["p1", "p2"], axis=1)
    assert audit.estimate(["cat"] * 10, named).accuracy.value == 1


def test_classes_that_go_against_the_columns_are_refused():
    frame = pd.DataFrame(np.tile([0.2, 0.8], (30, 1)), columns=["cat", "dog"])
    with pytest.raises(ValueError, match="Leave out classes= if the columns are right"):
        draw_audit(frame, 10, classes=["bird", "cat"])


def test_predictions_may_come_with_their_classes():
    frame = pd.DataFrame(np.tile([0.2, 0.8], (30, 1)), columns=["cat", "dog"])
    now = Predictions(frame.to_numpy(), np.array(["cat", "dog"]))
    given = draw_audit(now, 5, classes=now.classes, random_state=0)
    assert (given.rows == draw_audit(now, 5, random_state=0).rows).all()
    with pytest.raises(ValueError, match="as predict_pool found them"):
        draw_audit(now, 5, classes=["dog", "cat"])


@pytest.mark.parametrize(("columns", "first"), [("ba", "b"), ("ab", "a"), (None, "a")])
def test_a_classifier_s_frame_is_read_by_its_names(columns, first):
    class Own:
        classes_ = np.array(["a", "b"])

        def predict_proba(self, X):
            names = None if columns is None else list(columns)
            return pd.DataFrame([[0.9, 0.1]] * len(X), columns=names)

    found = predict_pool(Own(), np.zeros((3, 1)))
    assert found.classes[found.column].tolist() == [first] * 3
    Own.classes_ = np.array(["c", "b"])
    if columns == "ba":
        with pytest.raises(ValueError, match=r"predict_proba.*\['c', 'b'\]"):
            predict_pool(Own(), np.zeros((3, 1)))


def test_classes_without_the_probabilities_that_they_name():
    audit = draw_audit(np.full((20, 2), 0.5), 2, classes=["a", "b"], random_state=0)
    assert audit.estimate(["a", "b"], classes=["a", "b"]).accuracy.value == 0.5
    with pytest.raises(ValueError, match="proba, which is not given"):
        audit.estimate(["a", "b"], classes=["b", "a"])


def test_a_number_is_in_an_estimate_between_its_bounds():
    accuracy = Estimate(0.9, 0.8, 0.95, 40, "Wilson")
    assert 0.85 in accuracy and 0.7 not in accuracy and 40 not in accuracy


def test_whether_the_model_is_right_in_the_place_of_labels():
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    audit = draw_audit(proba, 40, random_state=0)
    right = np.ones(40, dtype=bool)
    with pytest.raises(ValueError, match="pass the labels, not whether"):
        audit.estimate(right)
    two = draw_audit(proba[:, :2] / proba[:, :2].sum(1, keepdims=True), 40)
    two.estimate(right)  # class 1
