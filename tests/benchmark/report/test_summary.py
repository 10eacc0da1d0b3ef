"""Numbers and sentences by hand."""

import json
import re

import numpy as np
import pytest

from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.report.claims import claims, lead, protocol
from modal_pretrain.benchmark.report.multiples import OWN, multiples
from modal_pretrain.benchmark.report.summary import curves, summary

LABELS = np.array([10, 20, 30, 40])


def test_summary_by_hand(store):
    labels, values = curves(store.load(), "pretrained", "random")
    assert labels.tolist() == [10, 20, 30, 40]
    assert values.shape == (2, 4)
    table = summary(store).table.set_index("strategy")
    row = table.loc["uncertainty"]
    assert row.multiple == row.multiple_low == row.multiple_high == 2.0
    assert row.accuracy == pytest.approx(0.9)
    assert row.worst_group == pytest.approx(0.8)
    assert row.atypical == pytest.approx(0.85)
    # One of two a round; the seed set was not asked about and does not count. The
    # pool has six atypical rows in 60.
    assert row.atypical_share == pytest.approx(0.5)
    assert row.enrichment == pytest.approx(5.0)
    assert table.loc["random"].atypical_share == 0
    assert row.seconds_fit == pytest.approx(8.0)  # four rounds of two
    assert row.probe_class == 0.9
    assert np.isnan(row.probe_mismatch)


def test_lost_timings_do_not_count_as_no_time(store):
    first, second = (store.timings_path(u) for u in store.config.units()[::2])
    first.unlink()
    table = summary(store).table.set_index("strategy")
    assert table.loc["uncertainty"].seconds_fit == pytest.approx(8.0)
    second.unlink()
    assert np.isnan(summary(store).table.set_index("strategy").seconds_fit).sum() == 1


def test_lead_by_hand(store):
    first, finding, warning = lead(summary(store))
    assert "60 unlabelled examples" in first
    assert "The 10.0 % atypical examples" in first
    assert "needs 20 labels for what takes random questions 40 (2.0 times" in finding
    assert "50.0 % of its questions" in finding
    assert "too few" in warning


@pytest.mark.parametrize(
    "n_atypical, expected",
    [
        (0, "None of them counts as atypical"),  # no attribute, or one nested in it
        (30, "In most of them the class goes together"),
        (40, "66.7 % of them count as atypical"),
    ],
)
def test_lead_says_what_the_pool_holds(store, n_atypical, expected):
    found = summary(store)
    found.data["splits"]["train"]["atypical"] = n_atypical
    first = lead(found)[0]
    assert expected in first
    assert ("In most of them" in first) == (n_atypical == 30)


@pytest.mark.parametrize(
    "uncertainty, expected",
    [
        ([0.5, 0.5, 0.5, 0.6], "did worse with uncertainty than with random questions"),
        ([0.79, 0.79, 0.8, 0.8], "learned next to nothing after its first 10 labels"),
    ],
)
def test_lead_says_what_failed(store_of, uncertainty, expected):
    random = [0.5, 0.6, 0.7, 0.8] if uncertainty[0] == 0.5 else [0.79, 0.79, 0.8, 0.8]
    store = store_of({"uncertainty": uncertainty, "random": random})
    assert expected in " ".join(lead(summary(store)))


def test_lead_of_a_strategy_that_unlearned(store_of):
    """It gained nothing, but what it lost is no "next to nothing"."""
    curves = {"uncertainty": [0.8, 0.6, 0.4, 0.3], "random": [0.8, 0.8, 0.81, 0.81]}
    words = " ".join(lead(summary(store_of(curves))))
    assert "did worse with uncertainty than with random questions: 30.0 %" in words
    assert "next to nothing" not in words


@pytest.mark.parametrize(
    "tune, warm_start, expected",
    [
        ("all", False, "all weights are trained, again from their initial values each"),
        ("all", True, "all weights are trained, each round on from the weights of"),
        (2, True, "the head are trained, each round on from the weights of the round"),
        (2, False, "the last 2 stages and the head are trained."),
    ],
)
def test_protocol_says_where_a_fit_starts(store_of, tune, warm_start, expected):
    params = {"tune": tune, "warm_start": warm_start}
    curves = {"random": [0.5, 0.6, 0.7, 0.8]}
    assert expected in protocol(summary(store_of(curves, estimator_params=params)))


def test_protocol_says_what_was_chosen_from(store_of):
    curves = {"random": [0.5, 0.6, 0.7, 0.8]}
    said = protocol(summary(store_of(curves, pool_sample=25, seed_set_atypical=2)))
    assert "starts with 10 labels (2 of them atypical) and asks for 10 more" in said
    assert "in each of 3 rounds, chosen from 25 random rows of the pool; only" in said


def test_lead_of_equal_ends(store_of):
    """Means of records, which have six decimals, are equal if they are as near."""
    curves = {"uncertainty": [0.5, 0.7, 0.8, 0.799999], "random": [0.5, 0.6, 0.7, 0.8]}
    words = " ".join(lead(summary(store_of(curves))))
    assert "did worse" not in words
    assert "needs 30 labels for what takes random questions 40" in words


def test_lead_where_random_questions_led_nowhere(store_of):
    """The multiple is one then, whatever the strategy reached."""
    curves = {"uncertainty": [0.5, 0.7, 0.8, 0.9], "random": [0.5, 0.45, 0.45, 0.5]}
    words = " ".join(lead(summary(store_of(curves))))
    assert "so nothing is gained up to there" in words
    assert "; accuracy 50.0 %), and ends at 90.0 % with 40; " in words


@pytest.mark.parametrize(
    "n_rows, audit, expected",
    [
        (60, 0, None),
        (42, 0, "only 2 of the pool can still be asked about"),
        (40, 0, "none of the pool can still be asked about"),
        (55, 15, "none of the pool can still be asked about"),  # the audit's are apart
    ],
)
def test_lead_of_a_pool_that_ran_out(store_of, n_rows, audit, expected):
    """All strategies asked about the same rows then, which says nothing of any."""
    curves = {"uncertainty": [0.5, 0.8, 0.9, 0.9], "random": [0.5, 0.6, 0.7, 0.9]}
    found = summary(store_of(curves, audit=audit, audit_apart=bool(audit)))
    found.data["splits"]["train"]["rows"] = n_rows
    words = " ".join(lead(found))
    assert expected is None or expected in words
    assert ("can still be asked about" in words) == (expected is not None)
    until = "asks for 10 more a round, 3 times or until the pool is empty;"
    assert (until in protocol(found)) == (n_rows - audit == 40)


def test_lead_of_a_pool_that_ran_out_with_heads(store_of):
    """Heads learn otherwise from the same rows: they do not end alike."""
    curves = {"random": [0.5, 0.6, 0.7, 0.9], "random+tags:all": [0.5, 0.6, 0.7, 0.8]}
    found = summary(store_of(curves))
    found.data["splits"]["train"]["rows"] = 40
    assert "final accuracies of one head, and what" in " ".join(lead(found))


def test_lead_of_a_pool_that_ran_out_with_one_head_and_the_plain_oracle(store_of):
    """The oracle is a line of the same figure and has a plain head, always."""
    curves = {
        "random+errors:2": [0.5, 0.6, 0.7, 0.9],
        "group_balanced": [0.5, 0.6, 0.7, 0.8],
    }
    shown = {"strategies": ("random+errors:2",), "references": ("oracle",)}
    found = summary(store_of(curves, **shown))
    found.data["splits"]["train"]["rows"] = 40
    assert "final accuracies of one head, and what" in " ".join(lead(found))


def test_multiples_by_hand():
    fast = np.array([[0.4, 0.8, 0.9, 0.95]] * 3)
    slow = np.array([[0.4, 0.5, 0.6, 0.8]] * 3)
    ninety, _, final, own = multiples(LABELS, fast, slow, n_resamples=20)
    assert (final.labels_random, final.labels_strategy) == (40, 20)
    assert (final.estimate, final.low, final.high, final.bound) == (2, 2, 2, "")
    assert ninety.level == pytest.approx(0.72)
    assert ninety.labels_random == pytest.approx(36)
    assert ninety.labels_strategy == pytest.approx(18)
    # Random sampling never gets to 0.95: it counts as 40 labels, a lower bound.
    assert own.name == OWN
    assert np.isnan(own.labels_random)
    assert own.labels_strategy == 40
    assert str(own) == ">1.0x (1.0-1.0)"
    # The other way round: the strategy never gets there, an upper bound.
    worse = multiples(LABELS, slow, fast, n_resamples=20)[2]
    assert np.isnan(worse.labels_strategy)
    assert str(worse) == "<1.0x (1.0-1.0)"
    # Both start above the level.
    flat = np.full((2, 4), 0.8)
    assert {str(level) for level in multiples(LABELS, flat, flat)} == {"-"}


def test_first_claim_is_about_the_plain_head(store_of):
    told = {"uncertainty+tags:all": [0.9, 0.9], "random+tags:all": [0.9, 0.9]}
    plain = {"uncertainty": [0.6, 0.8], "random": [0.6, 0.7]}
    first, second, *_ = (found for _, found in claims(summary(store_of(told | plain))))
    assert first.endswith("accuracy 0.60, on atypical examples 0.55")
    assert second.startswith("uncertainty: ")


def test_claims_without_a_plain_head(store_of):
    store = store_of({"random+errors:2": [0.6, 0.8], "margin+errors:2": [0.6, 0.8]})
    first, second, *_ = (found for _, found in claims(summary(store)))
    assert first.startswith("pretrained with the head errors:2 with the seed set alone")
    assert second.startswith("margin+errors:2: ")


def test_claims_are_about_a_strategy_that_was_run(store_of):
    store = store_of(
        {"entropy": [0.6, 0.8], "margin": [0.6, 0.8], "random": [0.6, 0.7]}
    )
    for seed in store.config.seeds:  # as where it failed
        store.path(Unit("pretrained", "entropy", seed)).unlink()
    found = [found for _, found in claims(summary(store))]
    assert found[1].startswith("margin: pretrained ") and "not measured" not in found[1]
    assert found[-1] == "pretrained 0.90 / 0.80 / -"


def test_claims_without_atypical_test_rows(store_of):
    store = store_of({"random": [0.6, 0.8]})
    for unit in store.config.units():
        path = store.path(unit)
        text = re.sub(
            '"atypical_accuracy":[0-9.]+', '"atypical_accuracy":null', path.read_text()
        )
        path.write_text(text)
    found = dict(claims(summary(store)))
    assert "nan" not in "".join(found.values())
    first = found["C1: few labels leave the task ambiguous"]
    assert first.endswith("accuracy 0.60, on atypical examples not measured")


def test_runs_that_are_not_finished_are_told(store_of):
    store = store_of(
        {"uncertainty": [0.6, 0.8], "random": [0.6, 0.7]}, seeds=tuple(range(6))
    )
    found = summary(store)
    assert "not finished" not in " ".join(lead(found))
    assert "6 seed sets" in protocol(found)
    for seed in (2, 3, 4, 5):
        store.path(Unit("pretrained", "uncertainty", seed)).unlink()
    found = summary(store)
    assert lead(found)[1].startswith("4 of 12 runs ")
    assert "2 seeds: too few" in lead(found)[-1]
    assert "2 seed sets" in protocol(found)


def test_sentences_are_of_the_seeds_that_they_compare(store_of):
    """Six seeds of each strategy, of which one was run with both."""
    curves = {"uncertainty": [0.5, 0.6, 0.7, 0.8], "random": [0.5, 0.7, 0.8, 0.9]}
    store = store_of(curves, seeds=tuple(range(11)))
    for seed in range(11):
        if seed < 5:
            store.path(Unit("pretrained", "random", seed)).unlink()
        if seed > 5:
            store.path(Unit("pretrained", "uncertainty", seed)).unlink()
        if seed < 5:  # others asked about nothing atypical, and ended elsewhere
            path = store.path(Unit("pretrained", "uncertainty", seed))
            text = path.read_text().replace(
                '"acquired_atypical":5', '"acquired_atypical":0'
            )
            path.write_text(text)
    found = summary(store)
    assert (found.n_seeds, found.n_compared) == (6, 1)
    words = " ".join(lead(found))
    assert "over the seeds that both have, in places a single one." in words
    assert "80.0 % against 90.0 % accuracy with 40 labels; 50.0 % of its" in words
    assert "some at least, are over 1 seed: too few to trust" in words
    # Where nothing is atypical, the end that is told is that of the same run.
    found.data["splits"]["train"]["atypical"] = 0
    others = (found.records.seed < 5) & (found.records.strategy == "uncertainty")
    found.records.loc[others, "accuracy"] = 0.3
    assert "it ended at an accuracy of 80.0 %" in lead(found._replace())[2]


def test_probes_are_of_a_model_whichever_of_its_runs_are_finished(store_of):
    """They were told as not measured, beside a table that had them."""
    curve, models = [0.5, 0.6], ("pretrained", "random-init")
    store = store_of({"uncertainty": curve, "random": curve}, models=models)
    probes = {"class": 0.5, "attribute": 1.0, "mismatch": None}
    (store.folder / "probes.json").write_text(json.dumps(dict.fromkeys(models, probes)))
    told = claims(summary(store))[-1][1]
    assert told == "pretrained 0.50 / 1.00 / -; random-init 0.50 / 1.00 / -"


def test_all_labels_alone_have_no_seed_sets(store_of):
    curve = [0.5, 0.6]
    found = summary(store_of({"uncertainty": curve, "random": curve}))
    full = found.records[found.records["round"] == 1].assign(strategy="full")
    found = found._replace(records=full)
    assert found.n_seeds == 0
    assert not any("0 seed" in told for told in (*lead(found), protocol(found)))
