"""Every file of configs/ says what it should, and runs on a tiny look-alike."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain.benchmark import expand, run
from modal_pretrain.benchmark.settings import read_settings
from modal_pretrain.datasets.registry import modality_of

FOLDER = Path(__file__).parents[2] / "configs"
FILES = sorted(FOLDER.rglob("*.toml"))
PAPER_SEEDS = tuple(range(1, 152, 10))
NEEDS_TEXT = ("amazon", "snippets")
each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix()
)


def settings_of(path, root):
    settings = read_settings(path)
    if settings["dataset"] != "shapes":
        settings["dataset"] = {"name": settings["dataset"], "root": str(root)}
    elif root is not None:
        small = {"n_train": 40, "n_test": 20, "image_size": 32}
        settings["dataset"] = {"name": "shapes", **small}
    return settings


def skip_without_text(path):
    if path.stem in NEEDS_TEXT and importlib.util.find_spec("transformers") is None:
        pytest.skip("needs the extra 'text'")


@each_file
def test_it_is_valid(path):
    skip_without_text(path)
    (config,) = expand(settings_of(path, "anywhere"))
    assert "random" in config.strategies
    assert config.models == ("pretrained", "random-init")
    assert path.relative_to(FOLDER).as_posix() in path.read_text() or path.stem in (
        "shapes",
    )


def test_the_papers_protocols():
    """What PAPER's table of the official scripts says."""
    expected = {
        "waterbirds": (40, 5, 64, None),
        "treeperson": (40, 5, 64, None),
        "iwildcam": (182, 20, 72, 12_000),
    }
    for name, (seed_set, batch, rounds, pool_sample) in expected.items():
        (config,) = expand(settings_of(FOLDER / "paper" / f"{name}.toml", "x"))
        assert (config.seed_set, config.batch) == (seed_set, batch)
        assert config.rounds == rounds
        assert config.pool_sample == pool_sample
        assert config.seeds == PAPER_SEEDS
        assert len(config.seeds) == 16
        assert config.seed_set_atypical is None
        assert config.estimator_params == {
            "backbone": "resnetv2_50x1_bit.goog_in21k",
            "tune": "all",
            "image_size": 480,
            "augment": True,
            "batch_size": 32,
            "max_steps": 500,
            "stop_loss": 0.001,
        }


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 60, (32, 32, 3))
    Image.fromarray((noise + value % 196).astype(np.uint8)).save(path)


def waterbirds(root):
    rows = [(i, i % 2, (i + (i % 9 == 0)) % 2, 0 if i < 40 else 2) for i in range(60)]
    table = pd.DataFrame(rows, columns=["img_id", "y", "place", "split"])
    table["img_filename"] = [f"train/{i}.jpg" for i in table.img_id]
    table["place_filename"] = "x"
    for name, i in zip(table.img_filename, table.img_id, strict=True):
        picture(root / name, i)
    table.to_csv(root / "metadata.csv", index=False)


def treeperson(root):
    waterbirds(root)
    table = pd.read_csv(root / "metadata.csv").drop(columns="place_filename")
    table["split"] = table.split.replace(2, 1)
    table.to_csv(root / "metadata.csv", index=False)


def rare_subclasses(root):
    kinds = ["cat", "dog", "car", "truck"]
    rows = []
    for i in range(80):
        kind = kinds[i % 4] if i % 10 else "bird"
        split = "train" if i < 56 else "test"
        target = "vehicle" if kind in ("car", "truck") else "animal"
        rows.append((f"{split}/{i}.jpg", target, kind, split))
        picture(root / rows[-1][0], i)
    columns = ["filename", "target", "subclass", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "metadata.csv", index=False)


def iwildcam(root):
    splits = ["train"] * 5 + ["val", "test", "id_val", "id_test"]
    rows = []
    for i in range(90):
        location = i % 7 if i % 30 else 9
        rows.append((splits[i % 9], location, i % 3, i % 3, f"{i}.jpg", f"seq{i}"))
        picture(root / "train" / f"{i}.jpg", i)
    columns = ["split", "location_remapped", "y", "category_id", "filename", "seq_id"]
    table = pd.DataFrame(rows, columns=columns)
    table["sequence_remapped"] = range(90)
    table["datetime"] = "2013-06-05 05:44:19"
    table.to_csv(root / "metadata.csv", index=False)
    names = pd.DataFrame({"y": [0, 1, 2], "name": ["empty", "boar", "puma"]})
    names.assign(category_id=names.y).to_csv(root / "categories.csv", index=False)


MAKERS = {
    "waterbirds": waterbirds,
    "treeperson": treeperson,
    "rare-subclasses": rare_subclasses,
    "iwildcam": iwildcam,
    "shapes": lambda root: None,
}
IMAGES = [path for path in FILES if read_settings(path)["dataset"] in MAKERS]


def test_no_picture_config_is_left_out():
    left = {read_settings(path)["dataset"] for path in FILES} - MAKERS.keys()
    assert {modality_of(name, {}) for name in left} == {"text"}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_it_runs_on_a_tiny_look_alike(path, tmp_path):
    settings = settings_of(path, tmp_path)
    MAKERS[read_settings(path)["dataset"]](tmp_path)
    for key in ("budget", "rounds"):
        settings.pop(key, None)
    settings.update(seeds=1, rounds=1, seed_set=6, batch=4)
    if "pool_sample" in settings:
        settings["pool_sample"] = 20
    settings["estimator"] |= {
        "backbone": "tf_efficientnet_lite0",  # whose weights are at hand
        "image_size": 32,
        "max_steps": 1,
        "device": "cpu",
    }
    out = tmp_path / "out"
    records = run(settings, out, verbose=0, examples=2)
    n = len(settings["strategies"]) * 2
    assert (records["round"] == 1).sum() >= n
    assert records.accuracy.between(0, 1).all()
