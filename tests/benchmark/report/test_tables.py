"""The same rows on the page and in Markdown."""

from dataclasses import replace

import numpy as np
import pytest

from modal_pretrain.benchmark import RecordStore
from modal_pretrain.benchmark.report.markdown import markdown_table, to_markdown
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.benchmark.report.tables import (
    LAST_ROUND,
    MAIN,
    SECONDS,
    Cell,
    Table,
    number,
    overview,
    probes,
    results,
    saved,
    settings,
)


def column(table, name):
    i = table.header.index(name)
    return [str(row[i]) for row in table.rows]


def test_main_numbers(store):
    table = summary(store).table
    text = to_markdown(table)
    assert len(text.splitlines()) == 4
    assert "| 2.0x (2.0-2.0) |" in text
    assert "0.90 / 0.80 / -" in text
    of_page = results(table, MAIN)
    assert column(of_page, "label efficiency") == ["2.0x (2.0-2.0)", "-"]
    assert column(of_page, "atypical share") == ["50.0%", "0.0%"]
    for row in of_page.rows:
        assert "| " + " | ".join(map(str, row)) + " |" in text


def test_strategies_keep_their_colour(store):
    s = summary(store)
    for table in (results(s.table, LAST_ROUND, s), results(s.table, SECONDS, s)):
        assert [row[1].tone for row in table.rows] == ["s-0", "s-random"]
    assert {row[1].tone for row in saved(s).rows} == {"s-0"}


def test_seconds_add_up(store):
    s = summary(store)
    table = results(s.table, SECONDS, s)
    # Four rounds of 2 + 0.5 + 1 seconds; embedding was not measured.
    assert column(table, "fit") == ["8.0", "8.0"]
    assert column(table, "query") == ["2.0", "2.0"]
    assert column(table, "embed") == ["-", "-"]
    assert column(table, "all") == ["-", "-"]


def test_labels_saved(store):
    table = saved(summary(store))
    i = column(table, "to reach").index("random's final accuracy")
    assert [str(cell) for cell in table.rows[i]][3:] == [
        "0.800",
        "40",
        "20",
        "2.0x (2.0-2.0)",
    ]


def test_probes_have_bars(store):
    (row,) = probes(summary(store)).rows
    assert row == [
        Cell("pretrained"),
        Cell("0.90", bar=0.9),
        Cell("0.80", bar=0.8),
        Cell("-"),
    ]


def test_overview_links_to_its_section(store):
    s = summary(store)
    table = overview([s])
    assert column(table, "strategy") == ["uncertainty"]
    assert table.rows[0][0].link == f"#{store.folder.name}"


@pytest.mark.parametrize(
    "value, spec, expected",
    [(0.25, ".1%", "25.0%"), (1234.5, ",.0f", "1,234"), (np.nan, ".3f", "-")],
)
def test_numbers(value, spec, expected):
    assert number(value, spec) == expected


def test_cells_stay_in_their_columns():
    table = Table(["a", "b"], [[Cell("x|y"), Cell("two\nlines")]], 1)
    assert markdown_table(table).splitlines()[2:] == [r"| x\|y | two lines |"]


def test_settings_are_told_apart(store):
    """What is told of any may be the same for all of them."""
    first, name = summary(store), "data set, seed set 10, batch 10, tune head"
    assert settings([first]) == [name]
    config = store.config
    others = [
        {"rounds": 7},
        {"estimator_params": {**config.estimator_params, "augment": True}},
        {"dataset_params": {**config.dataset_params, "path": "b.csv"}},
        {"batch": 3},
    ]
    stores = [RecordStore("", replace(config, **change)) for change in others]
    found = settings([first, *(first._replace(store=one) for one in stores)])
    rounds = f"rounds {config.rounds}"
    assert found == [
        f"{name}, {rounds}, augment false",
        f"{name}, rounds 7, augment false",
        f"{name}, {rounds}, augment true",
        f"{name}, {rounds}, augment false, path b.csv",
        "data set, seed set 10, batch 3, tune head",
    ]


def test_two_parameters_of_one_name_are_told_apart(store):
    """The classifier's image_size hid the data's: two folders had one heading."""
    first, name = summary(store), "data set, seed set 10, batch 10, tune head"
    estimator = {**store.config.estimator_params, "image_size": 48}
    summaries = [
        first._replace(
            store=RecordStore(
                "",
                replace(
                    store.config,
                    estimator_params=estimator,
                    dataset_params={**store.config.dataset_params, "image_size": size},
                ),
            )
        )
        for size in (64, 96)
    ]
    assert settings(summaries) == [
        f"{name}, dataset_image_size 64",
        f"{name}, dataset_image_size 96",
    ]


def test_a_pair_of_sizes_is_shown_as_one_size(store):
    """Or somebody who meant a grid would take it for one of the two."""
    first = summary(store)
    params = {**store.config.estimator_params, "image_size": (64, 96)}
    one = RecordStore("", replace(store.config, estimator_params=params))
    (name,) = settings([first._replace(store=one)])
    assert name.endswith(", tune head, pictures of 64 x 96")
