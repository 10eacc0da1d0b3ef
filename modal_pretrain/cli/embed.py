"""``modal-pretrain embed``: fill an embedding cache before anybody waits for it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain._identity import expanded
from modal_pretrain._modalities import lookup
from modal_pretrain.benchmark.registry import make_estimator
from modal_pretrain.benchmark.settings import expand
from modal_pretrain.cli.flags import settings_of
from modal_pretrain.cli.stop import STOP
from modal_pretrain.datasets._folders import ENDINGS, pictures_and_inodes, unread

_BLOCK = 512  # rows that are kept at a time: Ctrl-C loses no more


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "embed",
        help="pre-compute an embedding cache on disk",
        description="Embed a folder of pictures, or a data set, with a frozen backbone "
        "and keep the embeddings in a folder. PretrainedClassifier(cache=DIR) with the "
        "same backbone and image size then finds them there.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("folder", nargs="?", default=None, help="pictures, in subfolders too")
    add("--dataset", nargs=1, metavar="NAME", help="a data set instead of a folder")
    add("--root", metavar="DIR", help="where the data set lies")
    add(
        "--data",
        nargs="+",
        metavar="KEY=VALUE",
        help="see modal-pretrain bench",
    )
    add("--cache", required=True, metavar="DIR", help="folder for the embeddings")
    add("--backbone", nargs=1, metavar="NAME", help="a timm model")
    add("--image-size", type=int, metavar="PX", help="pixels (the backbone's own)")
    parser.set_defaults(do=embed)


def embed(args: argparse.Namespace) -> None:
    """Embed everything and say how much and how fast."""
    given = vars(args)
    if (args.folder is None) == ("dataset" not in given):
        both = "" if args.folder is None else ", not both"
        raise ValueError(
            f"name a folder of pictures, or a data set with --dataset{both}."
        )
    if args.folder is not None and {"root", "data"} & given.keys():
        raise ValueError("--root and --data go with --dataset, not with a folder.")
    with STOP.importing():
        from modal_pretrain.cache.disk import DiskCache
        from modal_pretrain.cache.resolve import resolve_cache
    cache = resolve_cache(args.cache)
    if not isinstance(cache, DiskCache):
        raise ValueError(
            f"--cache must be a folder, got {args.cache!r}, which as the cache of an "
            f"estimator is none. Write ./{args.cache}, there as well."
        )
    _check_writable(cache.folder, args.cache)
    cache.store.block_rows = _BLOCK
    modality = "image"
    if args.folder is not None:
        X, name = _pictures_in(expanded(args.folder)), str(args.folder)
    else:
        with STOP.importing():
            from modal_pretrain.benchmark.call import Call
            from modal_pretrain.benchmark.unit import load_data

        (config,) = expand(settings_of(args))
        data = load_data(config, Call.now())
        X, name, modality = data.X, data.name, data.modality
    params = {**_params(args), "cache": cache, "verbose": 1}
    with STOP.importing():
        lookup(modality).classifier()
    estimator = make_estimator("pretrained", 0, params, modality)
    start = time.perf_counter()
    embeddings = estimator.embed(X)
    spent = time.perf_counter() - start
    if cache.store.problems:
        raise ValueError(
            f"--cache {args.cache} does not keep the embeddings: "
            f"{'; '.join(cache.store.problems)}."
        )
    sys.stdout.write(
        f"{name}: {len(embeddings)} x {embeddings.shape[1]} embeddings in "
        f"{args.cache}, {spent:.1f} s "
        f"({len(embeddings) / max(spent, 1e-9):.0f} a second).\n"
    )


def _check_writable(folder: Path, given: str) -> None:
    """Raise if there is no such folder and none can be made: before hours are spent.

    One that is read-only may hold all embeddings already.
    """
    above = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not above.is_dir():
        raise ValueError(f"--cache {given} can't be a folder: {above} is none.")
    if above != folder and not os.access(above, os.W_OK):
        raise ValueError(f"--cache {given} can't be made: {above} is read-only.")


def _params(args: argparse.Namespace) -> dict[str, Any]:
    given = vars(args)
    params: dict[str, Any] = {}
    if "backbone" in given:
        params["backbone"] = given["backbone"][0]
    if "image_size" in given:
        params["image_size"] = given["image_size"]
    return params


def _pictures_in(folder: Path) -> np.ndarray:
    """Return the paths of all pictures under a folder, sorted."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}.")
    others: list[Path] = []
    paths = [str(path) for path, _ in pictures_and_inodes(folder, others)]
    if not paths:
        raise ValueError(f"there are no pictures in {folder} ({', '.join(ENDINGS)}).")
    if more := unread(others):
        sys.stdout.write(f"left out: {more}\n")
    return np.array(paths)
