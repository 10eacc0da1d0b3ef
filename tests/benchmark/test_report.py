"""Summaries by hand, the report made from records alone, and the command line."""

import html.parser
import json
import re
import shutil
import sys

import numpy as np
import pytest

from modal_pretrain.benchmark import RecordStore, open_stores, run
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.report.charts import interval
from modal_pretrain.benchmark.report.claims import lead
from modal_pretrain.benchmark.report.examples import keep_description
from modal_pretrain.benchmark.report.figure import draw
from modal_pretrain.benchmark.report.multiples import OWN, multiples
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.benchmark.report.summary import (
    curves,
    summarise,
    summary,
    to_markdown,
)
from modal_pretrain.benchmark.report.svg import WIDTH, Series, line_chart, spread
from modal_pretrain.cli.main import main
from modal_pretrain.datasets import GroupedDataset

LABELS = np.array([10, 20, 30, 40])


def store_of(tmp_path, small, tabular, curves_by_strategy):
    """Make a store with given accuracies, to compare with hand computation."""
    config = small(models=("pretrained",), strategies=tuple(curves_by_strategy))
    store = RecordStore(tmp_path, config)
    store.create()
    keep_description(store, tabular)
    for name, curve in curves_by_strategy.items():
        for seed in config.seeds:
            with store.working_on(Unit("pretrained", name, seed)) as writer:
                for i, accuracy in enumerate(curve):
                    writer.append(
                        {
                            "round": i,
                            "n_labels": int(LABELS[i]),
                            "accuracy": accuracy,
                            "worst_group_accuracy": accuracy - 0.1,
                            "atypical_accuracy": accuracy - 0.05,
                            "calibration_error": 0.1,
                            "group_accuracy": {"0/0": accuracy, "0/1": accuracy},
                            "acquired": [4 * i, 4 * i + 1],
                            "acquired_atypical": int(i == 0 or name == "uncertainty"),
                            "seconds": {"fit": 2.0, "query": 0.5, "predict": 1.0},
                        }
                    )
                writer.finish()
    probes = {"pretrained": {"class": 0.9, "attribute": 0.8, "mismatch": None}}
    (store.folder / "probes.json").write_text(json.dumps(probes))
    return store


@pytest.fixture
def store(tmp_path, small, tabular):
    curves_by_strategy = {
        "uncertainty": [0.5, 0.8, 0.9, 0.9],
        "random": [0.5, 0.6, 0.7, 0.8],
    }
    return store_of(tmp_path, small, tabular, curves_by_strategy)


def test_summary_by_hand(store):
    labels, values = curves(store.load(), "pretrained", "random")
    assert labels.tolist() == [10, 20, 30, 40]
    assert values.shape == (2, 4)
    table = summarise(store).set_index("strategy")
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
    text = to_markdown(table.reset_index())
    assert "| 2.0x (2.0-2.0) |" in text
    assert "0.90 / 0.80 / -" in text
    assert len(text.splitlines()) == 4


def test_lead_by_hand(store):
    first, finding, warning = lead(summary(store))
    assert "60 unlabelled examples" in first
    assert "The 10.0 % atypical examples" in first
    assert "needs 20 labels for what takes random questions 40 (2.0 times" in finding
    assert "50.0 % of its questions" in finding
    assert "too few" in warning


@pytest.mark.parametrize(
    "uncertainty, expected",
    [
        ([0.5, 0.5, 0.5, 0.6], "did worse with uncertainty than with random questions"),
        ([0.79, 0.79, 0.8, 0.8], "learned next to nothing"),
    ],
)
def test_lead_says_what_failed(tmp_path, small, tabular, uncertainty, expected):
    random = [0.5, 0.6, 0.7, 0.8] if uncertainty[0] == 0.5 else [0.79, 0.79, 0.8, 0.8]
    by_strategy = {"uncertainty": uncertainty, "random": random}
    store = store_of(tmp_path, small, tabular, by_strategy)
    assert expected in " ".join(lead(summary(store)))


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


def test_interval_is_paired_and_covers():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 1)) + np.array([0.0, 1.0])
    mean, low, high = interval(values)
    assert (low < mean).all() and (mean < high).all()
    # The same seeds are drawn for every round and call.
    np.testing.assert_allclose(np.diff([mean, low, high], axis=1), 1.0)


def test_labels_of_curves_do_not_overlap():
    assert spread([5, 50, 100], 0, 200) == [5, 50, 100]
    placed = spread([50, 50, 51, 49], 0, 200)
    gaps = np.diff(sorted(placed))
    assert (gaps >= 13 - 1e-9).all()
    assert np.argsort(placed).tolist() == [3, 0, 1, 2]
    assert max(spread([100, 100], 0, 100)) <= 100


def test_chart_places_points():
    x = np.array([10.0, 20.0])
    series = Series("a <b>", "s-0", x, np.array([0.0, 1.0]), x * 0, x * 0 + 1)
    text = line_chart([series], title="t", y_range=(0, 1))
    assert 'points="44.0,230.0 308.0,12.0"' in text
    assert "a &lt;b&gt;" in text


class Page(html.parser.HTMLParser):
    """Collect tags, what they load, and check that they close."""

    VOID = ("meta", "img", "line", "polygon", "wbr", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_from_records_alone(small, tmp_path, monkeypatch):
    config = small(references=("oracle", "full"), strategies=("random", "margin"))
    run(config, tmp_path / "made", verbose=0, examples=3)
    shutil.copytree(tmp_path / "made", tmp_path / "moved")
    shutil.rmtree(tmp_path / "made")

    def nothing(*args, **kwargs):
        raise AssertionError("a report must not load data")

    monkeypatch.setattr("modal_pretrain.datasets.GroupedDataset.__init__", nothing)
    report = write_report(tmp_path / "moved", tmp_path / "report")
    text = report.html.read_text()
    page = Page(text)
    # Nothing is fetched: pictures are inside, links stay on the page.
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in page.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert page.tags.count("script") == 0
    # Two models: accuracy, atypical, worst group, four groups, enrichment, calibration.
    assert page.tags.count("svg") == 2 * (3 + 4 + 1 + 1)
    assert page.tags.count("img") >= 2 * 3 * 3
    for part in ("All settings", "torch", "Time per run", "Labels saved", "arXiv"):
        assert part in text
    assert config.digest() in text
    markdown = report.markdown.read_text()
    assert "| pretrained | margin |" in markdown
    assert "```sh" in markdown


def test_report_of_texts(small, tmp_path):
    store = RecordStore(tmp_path, small(models=("pretrained",), seeds=(0,)))
    words = [f"sentence {i} <tag>" for i in range(12)]
    data = GroupedDataset(
        X=words,
        y=np.tile([0, 1], 6),
        attribute=np.tile([0, 1, 1, 1], 3),
        split=["train"] * 8 + ["test"] * 4,
        modality="text",
    )
    store.create()
    keep_description(store, data)
    record = {
        **{"round": 1, "n_labels": 4, "acquired": [2, 5], "acquired_atypical": 1},
        **{"accuracy": 0.5, "worst_group_accuracy": 0.5, "atypical_accuracy": None},
        **{"calibration_error": 0.1, "group_accuracy": {}, "seconds": {"fit": 1.0}},
    }
    for name in ("uncertainty", "random"):
        with store.working_on(Unit("pretrained", name, 0)) as writer:
            writer.append({**record, "round": 0, "n_labels": 2, "acquired": [0, 1]})
            writer.append(record)
            writer.finish()
    from modal_pretrain.benchmark.report.examples import keep_examples

    keep_examples(store, data, 2)
    text = write_report(tmp_path, tmp_path).html.read_text()
    Page(text)
    assert "sentence 2 &lt;tag&gt;" in text
    assert "sentence 7" not in text


def test_several_settings_on_one_page(tmp_path):
    settings = {
        "dataset": {"name": "shapes", "n_train": 40, "n_test": 20, "image_size": 32},
        "models": ["pretrained"],
        "seeds": 1,
        "seed_set": 4,
        "batch": [2, 4],
        "budget": 4,
        "estimator": {"image_size": 32},
        "references": [],
    }
    records = run(settings, tmp_path, verbose=0, examples=0)
    assert records.groupby("batch").size().to_dict() == {2: 6, 4: 4}
    page = Page(write_report(tmp_path, tmp_path).html.read_text())
    assert {link for link in page.links if link[0] == "#"} == {
        f"#{store.folder.name}" for store in open_stores(tmp_path)
    }


SMALL = ["--seeds", "1", "--rounds", "1", "--quiet", "--image-size", "32"]
SMALL += ["--data", "n_train=60", "n_test=40", "image_size=32", "--seed-set", "4"]
SMALL += ["--models", "pretrained"]


def test_command_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["bench", *SMALL, "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert "| pretrained | uncertainty |" in output.out
    assert str(out / "report.html") in output.out
    assert output.err == ""
    first = (out / "report.html").read_text()
    (out / "report.html").unlink()
    figure = tmp_path / "figure.png"
    assert main(["report", str(out), "--figure", str(figure)]) == 0
    assert (out / "report.html").read_text() == first
    assert figure.stat().st_size > 10_000


def test_long_names_fit_beside_the_curves():
    x, y = np.array([10.0, 20.0]), np.array([0.5, 0.6])
    name = "uncertainty_herding"
    chart = line_chart([Series(name, "s-0", x, y, y, y)], title="Accuracy")
    left = float(re.search(rf'x="([\d.]+)" y="[\d.]+">{name}<', chart).group(1))
    assert left + 7 * len(name) <= WIDTH


def test_flags_win_over_the_file(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(
        "strategies = ['margin']\nseeds = 7\nbudget = 90\n"
        "[dataset]\nname = 'shapes'\nn_train = 50\n[estimator]\nimage_size = 48\n"
    )
    arguments = ["bench", "--config", str(tmp_path / "a.toml"), *SMALL]
    assert main([*arguments, "--batch", "3", "--out", str(tmp_path / "out")]) == 0
    (store,) = open_stores(tmp_path / "out")
    config = store.config
    assert config.strategies == ("margin",)
    assert config.seeds == (0,)
    assert (config.batch, config.rounds) == (3, 1)
    assert config.dataset_params["n_train"] == 60
    assert config.estimator_params["image_size"] == 32


def test_figure_without_matplotlib(store, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'modal_pretrain\[report\]'"):
        draw(summary(store), tmp_path / "figure.png")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["bench", "--strategies", "nonsense"], "no strategy 'nonsense'"),
        (["bench", "--dataset", "waterbirds"], "missing: 'root' (--root DIR)"),
        (["bench", "--config", "nowhere.toml"], "cannot read"),
        (["bench", "--rounds", "3", "--budget", "30"], "not both"),
        (["bench", "--data", "n_train"], "--data needs KEY=VALUE"),
        (["report", "."], "no benchmark records"),
        (["embed", "--cache", "cache"], "name a folder of pictures"),
        (["embed", ".", "--cache", "cache"], "there are no pictures"),
    ],
)
def test_command_line_names_what_is_wrong(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_embed_a_folder(paths, tmp_path, capsys):
    arguments = ["embed", str(tmp_path), "--cache", str(tmp_path / "cache")]
    arguments += ["--image-size", "32"]
    assert main(arguments) == 0
    assert f"{len(paths)} x 1280 embeddings" in capsys.readouterr().out

    from modal_pretrain import PretrainedClassifier
    from modal_pretrain.cache.disk import DiskCache

    cache = DiskCache(tmp_path / "cache")
    PretrainedClassifier(image_size=32, cache=cache).embed(paths)
    assert cache.info()["misses"] == 0


def test_list(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    for name in ("waterbirds", "random-init", "badge", "tf_efficientnet_lite0"):
        assert f"  {name}" in output
