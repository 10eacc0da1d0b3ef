"""One active-learning run: what it records, and that it can be taken up again."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain import PretrainedClassifier
from modal_pretrain.benchmark import run_unit
from modal_pretrain.benchmark.registry import strategy
from modal_pretrain.datasets import GroupedDataset, make_shapes


def first_rows(classifier, X, n_instances=1):
    return np.arange(n_instances), np.zeros(n_instances)


def unit(data, query=first_rows, estimator=None, **settings):
    defaults = {"seed_set": np.arange(4), "batch": 5, "rounds": 3}
    estimator = LogisticRegression() if estimator is None else estimator
    return list(run_unit(data, estimator, query, **{**defaults, **settings}))


def without_seconds(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def test_records_say_what_happened(tabular):
    records = unit(tabular)
    assert [record["n_labels"] for record in records] == [4, 9, 14, 19]
    assert records[0]["acquired"] == [0, 1, 2, 3]
    assert records[1]["acquired"] == [4, 5, 6, 7, 8]
    assert records[2]["acquired"] == [9, 10, 11, 12, 13]
    assert records[2]["acquired_atypical"] == 1  # row 10
    assert sum(records[1]["acquired_groups"].values()) == 5
    for record in records:
        groups = record["group_accuracy"].values()
        assert record["worst_group_accuracy"] == min(groups)
        assert set(record["seconds"]) == {"embed", "fit", "predict", "query"}
        assert record["seconds"]["fit"] > 0


def test_scores_by_hand():
    """Labels 0, 1 and, never labelled, 2; a model that says 0.8 for class 0."""

    class Constant(LogisticRegression):
        def predict_proba(self, X):
            return np.tile([0.8, 0.2], (len(X), 1))

    y = np.array([0, 1, 0, 1, 2])
    data = GroupedDataset(
        X=np.zeros((5, 1)),
        y=y,
        attribute=np.array([0, 1, 1, 1, 1]),
        split=["train", "train", "test", "test", "test"],
    )
    (record,) = unit(data, seed_set=np.array([0, 1]), rounds=0, estimator=Constant())
    assert record["accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert record["calibration_error"] == pytest.approx(0.8 - 1 / 3, abs=1e-6)
    brier = (0.2**2 * 2 + 0.8**2 * 2 + 0.8**2 + 0.2**2 + 1) / 3
    assert record["brier"] == pytest.approx(brier, abs=1e-6)
    loss = -(np.log(0.8) + np.log(0.2) + np.log(1e-15)) / 3
    assert record["log_loss"] == pytest.approx(loss, abs=1e-5)
    # Of the test rows the first has an attribute that its class lacks in train.
    assert record["atypical_accuracy"] == 1.0


def test_the_run_ends_with_the_pool(tabular):
    records = unit(tabular, seed_set=np.arange(50), batch=8, rounds=9)
    assert [record["n_labels"] for record in records] == [50, 58, 60]
    acquired = np.concatenate([record["acquired"] for record in records])
    assert sorted(acquired) == list(range(60))


def test_strategies_get_a_seed_of_their_round(tabular):
    seen = []

    def asking(classifier, X, n_instances=1, *, random_state=None):
        seen.append(random_state)
        return first_rows(classifier, X, n_instances)

    for seed in (0, 0, 1):
        unit(tabular, asking, batch=1, rounds=2, seed=seed)
    assert seen[:2] == seen[2:4]
    assert len(set(seen)) == 4


def test_a_part_of_the_pool_is_shown_another_each_round(tabular):
    sizes, first = [], []

    def asking(classifier, X, n_instances=1):
        sizes.append(len(X))
        first.append(X[0, 0])
        return first_rows(classifier, X, n_instances)

    for _ in range(2):
        unit(tabular, asking, batch=3, rounds=4, pool_sample=7)
    assert sizes == [7] * 8
    assert first[:4] == first[4:]
    assert len(set(first)) > 1


def test_the_oracle_sees_the_groups(tabular):
    query = strategy("group_balanced")
    records = unit(tabular, query, seed_set=np.array([1, 2, 3, 4]), batch=2, rounds=1)
    # The seed set has two rows of each group but the atypical one.
    assert records[1]["acquired_atypical"] == 2


def test_an_oracle_of_ones_own_takes_the_groups_it_wants(tabular):
    seen = []

    def of_pool(classifier, X, n_instances=1, *, groups):
        seen.append(len(groups) == len(X))
        return np.argsort(groups, kind="stable")[-n_instances:]

    def of_labelled(classifier, X, n_instances=1, *, groups_labelled):
        seen.append(len(groups_labelled))
        return np.arange(n_instances)

    unit(tabular, of_pool, rounds=2)
    unit(tabular, of_labelled, rounds=2)
    assert seen == [True, True, 4, 9]


@pytest.mark.parametrize("n_done", [1, 2, 3, 4])
def test_a_run_is_taken_up_where_it_stopped(tabular, n_done):
    class Counting(LogisticRegression):
        fits = 0

        def fit(self, X, y):
            Counting.fits += 1
            return super().fit(X, y)

    query = strategy("uncertainty")
    whole = unit(tabular, query)
    rest = unit(tabular, query, Counting(), done=whole[:n_done])
    assert without_seconds(rest) == without_seconds(whole[n_done:])
    # One fit on what was labelled, then one a round; none if nothing is left to do.
    assert Counting.fits == (0 if n_done == 4 else 1 + 4 - n_done)


def test_a_warm_start_within_a_pipeline_is_taken_up(tabular):
    def warm():
        last = SGDClassifier(
            loss="log_loss", warm_start=True, max_iter=2, tol=None, random_state=0
        )
        return make_pipeline(StandardScaler(), last)

    query = strategy("uncertainty")
    whole = unit(tabular, query, warm())
    for n_done in (1, 2, 3):
        rest = unit(tabular, query, warm(), done=whole[:n_done])
        assert without_seconds(rest) == without_seconds(whole[n_done:])


def test_a_run_with_an_array_as_parameter_is_taken_up(tabular):
    def priors():
        return GaussianNB(priors=np.array([0.5, 0.5]))

    query = strategy("uncertainty")
    whole = unit(tabular, query, priors())
    rest = unit(tabular, query, priors(), done=whole[:2])
    assert without_seconds(rest) == without_seconds(whole[2:])


@pytest.mark.parametrize("tune, warm_start", [("head", 0), ("all", 0), ("all", 1)])
@pytest.mark.parametrize("pretrained", [True, False])
def test_networks_are_taken_up_exactly(tune, warm_start, pretrained):
    data = make_shapes(40, 20, image_size=32)
    settings = {"seed_set": data.seed_set(6, random_state=0), "batch": 3, "rounds": 2}

    def network():
        return PretrainedClassifier(
            image_size=32,
            device="cpu",
            tune=tune,
            warm_start=bool(warm_start),
            pretrained=pretrained,
            random_state=0,
            max_steps=2,
            classes=[0, 1] if data.y.dtype.kind == "i" else list(data.classes),
        )

    query = strategy("uncertainty")
    whole = unit(data, query, network(), **settings)
    rest = unit(data, query, network(), done=whole[:2], **settings)
    assert without_seconds(rest) == without_seconds(whole[2:])


def test_records_of_another_seed_set_are_refused(tabular):
    whole = unit(tabular)
    with pytest.raises(ValueError, match="another seed set"):
        unit(tabular, seed_set=np.arange(5), done=whole[:1])


@pytest.mark.parametrize(
    "answer, problem",
    [
        (None, "it returned None"),
        ((None, None), "it returned None"),
        ([3, 3, 4], "it returned row 3 2 times"),
        ([0, 1], "it returned 2 rows"),
        ([0, 1, 2, 3], "it returned 4 rows"),
        ([0, 1, -1], "it returned row -1"),
        ([0, 1, 56], "it returned row 56"),
        ([0.0, 1.0, 2.0], r"an array of float64 of shape \(3,\)"),
        ([[0], [1], [2]], r"an array of int64 of shape \(3, 1\)"),
        ([True, False, True], "an array of bool"),
    ],
)
def test_what_a_strategy_may_not_return(tabular, answer, problem):
    def ask(classifier, X, n_instances=1):
        return answer if answer is None or answer == (None, None) else (answer, None)

    match = r"strategy tests\.benchmark\.test_loop:.*ask must return n_instances=3 "
    with pytest.raises(ValueError, match=match + f".*{problem}"):
        unit(tabular, ask, seed_set=np.arange(4), batch=3, rounds=1)


def test_bare_row_numbers_are_taken(tabular):
    for n in (1, 2, 3):
        rows = unit(
            tabular,
            lambda classifier, X, n_instances=1: list(range(n_instances)),
            seed_set=np.arange(4),
            batch=n,
            rounds=1,
        )[1]["acquired"]
        assert rows == list(range(4, 4 + n))


def test_a_seed_set_is_of_the_train_split_each_row_once(tabular):
    test_row = np.flatnonzero(tabular.split == "test")[0]
    match = f"1 of 5 are not, first {test_row}, which is in test"
    with pytest.raises(ValueError, match=match):
        unit(tabular, seed_set=np.array([0, 1, 2, 3, test_row]))
    with pytest.raises(ValueError, match="each row once; 1 of 5 repeat another"):
        unit(tabular, seed_set=np.array([0, 1, 2, 3, 3]))


def test_a_seed_set_may_be_a_mask(tabular):
    mask = np.arange(len(tabular)) < 4
    records = unit(tabular, seed_set=mask)
    assert records[0]["acquired"] == [0, 1, 2, 3]
    assert without_seconds(records) == without_seconds(unit(tabular))
