"""What studies of loops on the sets of disambiguation_sets.py share.

Their options; which of their runs are not in OUT yet, with the embeddings to run on;
and the records that the options name.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
from arguments import count, existing_folder
from disambiguation_sets import (
    BLIND,
    FIRST,
    NAMED,
    PICTURES,
    SECOND,
    TEXTS,
    samples,
)
from study_records import whole_or_none

from modal_pretrain import TimmEncoder, create_backbone
from modal_pretrain.backbones.create import data_config

ENCODER = {"backbone": str, "image size": whole_or_none}
DEFAULTS = {"n_seed": 10, "batch": 10, "labels": 200}
SETTING = dict.fromkeys(DEFAULTS, int)
SETS = {
    "named": NAMED,
    "first": FIRST,
    "second": SECOND,
    "blind": BLIND,
    "pictures": PICTURES,
}


def options(about, *, sets=("named",), seeds=10):
    """Return a parser of the options that all have; `sets` and `seeds` are defaults."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=existing_folder, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=count, default=seeds)
    parser.add_argument("--sets", nargs="+", default=list(sets),
                        choices=[*SETS, *FIRST, *SECOND, *BLIND])  # fmt: skip
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument(
        "--image-size", type=count, help="the backbone's own by default"
    )
    parser.add_argument("--cache", help="folder that keeps the embeddings")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser


def add_setting(parser):
    """Let the setting of the loop be chosen."""
    for name, value in DEFAULTS.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=count, default=value)


def wanted_by(args, setting=None):
    """Return what records of each data set that the options name have in common.

    The setting is that of the options where it is not given.
    """
    if setting is None:
        setting = {key: getattr(args, key) for key in SETTING}
    names = [name for key in args.sets for name in SETS.get(key, [key])]
    return of_sets(names, args.backbone, args.image_size, setting)


def of_sets(names, backbone, image_size, setting):
    """Return what records of each data set have in common, by its name."""
    return {
        name: {"data": name, **encoder_of(name, backbone, image_size), **setting}
        for name in names
    }


def encoder_of(data, backbone, image_size):
    """Name what embeds a data set, and the pixels it gets, as the records do."""
    if data in TEXTS:
        from modal_pretrain import TextEncoder

        return {"backbone": TextEncoder().backbone, "image size": None}
    return {"backbone": backbone, "image size": image_size or own_size(backbone)}


@cache
def own_size(backbone):
    """Return how many pixels a side the backbone was made for."""
    network = create_backbone(backbone, pretrained=False)
    return data_config(network)["input_size"][-1]


def embed(sample, backbone, image_size, cache):
    if sample.text:
        from modal_pretrain import TextEncoder

        encoder = TextEncoder(cache=cache)
    else:
        # A size that is named leaves out timm's margin. In the records the backbone's
        # own is the same whether named or not, so it has to be so here.
        size = None if image_size == own_size(backbone) else image_size
        encoder = TimmEncoder(backbone, image_size=size, cache=cache)
    return np.asarray(encoder.fit_transform(sample.X), dtype=np.float32)


def standardise(E, train):
    return (E - E[train].mean(axis=0)) / (E[train].std(axis=0) + 1e-6)


def unfinished(args, layout, wanted, kinds):
    """Give each data set of which runs are not in the file, and these.

    Parameters
    ----------
    args : argparse.Namespace
        Of `options`.
    layout : Layout
    wanted : dict
        As `of_sets` gives it.
    kinds : list of dict
        The other key columns of the runs of each data set, in their order.

    Yields
    ------
    sample : Sample
    Z : numpy.ndarray
        Standardised embeddings of its rows.
    runs : list of dict
        The key columns of each run that is missing.
    """
    columns = layout.run or tuple(layout.keys)

    def key(record):
        return tuple(record[name] for name in columns)

    done = set(map(key, layout.read(args.out)))
    folder = args.data if args.data.exists() else None
    for data, make in samples(folder, list(wanted)):
        runs = [{**wanted[data], **kind} for kind in kinds]
        left = [run for run in runs if key(run) not in done]
        if left:
            sample = make()
            E = embed(sample, args.backbone, args.image_size, args.cache)
            yield sample, standardise(E, sample.train), left
        print(data, "done", flush=True)


def recorded(layout, path, wanted):
    """Read the records of data sets as `of_sets` gives them."""
    records = layout.read(path)
    found = [
        r
        for r in records
        if r["data"] in wanted and wanted[r["data"]].items() <= r.items()
    ]
    if not found:
        kinds = dict.fromkeys((r["backbone"], r["image size"]) for r in records)
        names = (f"{name} at {size}" if size else name for name, size in kinds)
        there = "; ".join(names) or "nothing"
        asked = ", ".join(
            name for name in next(iter(wanted.values())) if name != "data"
        )
        raise SystemExit(
            f"{path} has no records of these data sets with this {asked}. It has: "
            f"{there}."
        )
    return found
