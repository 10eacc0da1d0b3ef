"""The guide's table of backbones and sizes comes from the committed records."""

from pathlib import Path

import numpy as np
import pytest

from modal_pretrain.datasets import make_shapes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(script_of):
    return script_of("picture_sizes")


def test_the_guide_holds_what_the_records_say(script):
    assert script.table() in (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def test_the_readme_quotes_the_records(script):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for size, shown in (
        ("96", "96 have an accuracy of {:.3f} on roadwater"),
        ("own", "the default 224 of {:.3f}"),
    ):
        accuracies = [
            row["accuracy"]
            for row in script.LAYOUT.read(script.RECORDS)
            if (row["data"], row["size"], row["labels"]) == ("roadwater", size, 60)
            and row["backbone"] == "tf_efficientnet_lite0"
        ]
        assert shown.format(np.mean(accuracies)) in readme


def test_every_candidate_has_every_set_and_seed(script):
    of = {}
    for row in script.LAYOUT.read(script.RECORDS):
        key = row["backbone"], row["size"], row["data"], row["labels"]
        of.setdefault(key, []).append(row["seed"])
    assert {tuple(seeds) for seeds in of.values()} == {tuple(range(8))}
    candidates = {key[:2] for key in of}
    assert len(of) == len(candidates) * len(script.SETS) * len(script.LABELS)


def test_a_loop_is_scored_at_the_numbers_of_labels(script):
    data = make_shapes(n_train=300, n_test=40, image_size=32, random_state=0)
    pool, test = data.subset("train"), data.subset("test")
    known = np.eye(2)[np.unique(data.y, return_inverse=True)[1]]
    E, T = known[data.split == "train"], known[data.split == "test"]
    found = list(script.loop(E, T, pool, test, seed=0))
    assert found == [(60, 1.0, 1.0), (200, 1.0, 1.0)]
    hidden = list(script.loop(np.zeros_like(E), np.zeros_like(T), pool, test, seed=0))
    assert all(accuracy < 1 and worst == 0 for _, accuracy, worst in hidden)


def test_what_is_there_is_not_done_again(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "RECORDS", tmp_path / "records.csv")
    monkeypatch.setattr(script, "SETS", {"shapes": ("shapes", None)})
    embedded = []

    def noise(data, backbone, size):
        embedded.append((backbone, size))
        rng = np.random.default_rng(0)
        n = [int((data.split == part).sum()) for part in ("train", "test")]
        return rng.normal(size=(n[0], 3)), rng.normal(size=(n[1], 3)), 1.5

    monkeypatch.setattr(script, "embedded", noise)
    for _ in range(2):
        script.run(["a:64", "b:own"], tmp_path, 1)
    assert embedded == [("a", "64"), ("b", "own")]
    rows = script.table().splitlines()[2:]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| a", "64", "1.5"],
        ["| b", "own", "1.5"],
    ]
