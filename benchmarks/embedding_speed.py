"""Embedding and whole loops against plain skorch + timm + modAL, side by side.

    python benchmarks/embedding_speed.py first-pass
    python benchmarks/embedding_speed.py fit
    python benchmarks/embedding_speed.py loop
    python benchmarks/embedding_speed.py loop --same-queries
    python benchmarks/embedding_speed.py second-query
    python benchmarks/embedding_speed.py compile
    python benchmarks/embedding_speed.py gpu

Both sides run in one process, in turn, so that ratios hold on a machine whose speed
drifts. `first-pass` compares pictures per second: a raw timm loop (channels last,
bfloat16 where the hardware has it), this package on arrays and on JPEG files, and
skorch's predict_proba as people write it. `loop` compares 20 rounds of 10 labels on
3,000 pictures: the naive loop embeds the pool again in every round. With
`--same-queries` it compares queries instead: those of a loop that embeds again in every
round, in float32, with those that come from cached embeddings. `second-query` times a
query whose pictures are known against the one that embedded them. `compile` tries
`torch.compile`. `gpu` compares ResNet-50 and ViT-B/16 (random weights) with a raw timm
loop on whatever device there is.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from arguments import count
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from PIL import Image
from skorch import NeuralNetClassifier
from torch import nn

from modal_pretrain import PretrainedClassifier, TimmEncoder, memory_cache
from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.device import resolve_device, resolve_precision
from modal_pretrain.datasets import make_shapes


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def raw_timm(backbone, X, dtype, device, batch=64):
    blocks = []
    with torch.inference_mode(), torch.autocast(device.type, dtype):
        for i in range(0, len(X), batch):
            x = torch.from_numpy(X[i : i + batch]).to(device).permute(0, 3, 1, 2)
            blocks.append(backbone(x.float().sub_(127.5).div_(127.5)).float().cpu())
    return torch.cat(blocks).numpy()


class Frozen(nn.Module):
    """What one writes by hand: a timm network with a trained last layer."""

    def __init__(self):
        super().__init__()
        self.backbone = create_backbone()
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(1280, 2)

    def forward(self, x):
        self.backbone.eval()
        return self.head(self.backbone(x))


def naive_net(**params):
    return NeuralNetClassifier(
        Frozen,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        batch_size=64,
        **params,
    )


def as_float(X):
    return ((X.transpose(0, 3, 1, 2) - 127.5) / 127.5).astype(np.float32)


def first_pass(args):
    X = make_shapes(args.n, 4, image_size=args.size).subset("train").X
    device = resolve_device("auto")
    dtype = resolve_precision("auto", device)
    backbone = create_backbone().to(device, memory_format=torch.channels_last)
    net = naive_net(device=device.type).initialize()
    encoder = TimmEncoder(image_size=args.size, cache=None).fit(X[:1])
    exact = TimmEncoder(image_size=args.size, cache=None, precision="float32")
    exact.fit(X[:1])
    with tempfile.TemporaryDirectory() as folder:
        paths = save_jpegs(X, folder)
        ways = {
            "raw timm loop": lambda: raw_timm(backbone, X, dtype, device),
            "modal_pretrain, arrays": lambda: encoder.transform(X),
            "modal_pretrain, JPEG files": lambda: encoder.transform(paths),
            "modal_pretrain, float32": lambda: exact.transform(X),
            "skorch predict_proba": lambda: net.predict_proba(as_float(X)),
        }
        for way in ways.values():
            way()
        rates = {name: [] for name in ways}
        for _ in range(args.repeat):
            for name, way in ways.items():
                rates[name].append(len(X) / timed(way)[0])
    ratios = np.array(rates["raw timm loop"])
    print(f"first pass, {args.n} pictures of {args.size} px, {dtype}, {device}")
    print("| way | pictures/s | of the raw loop |\n| --- | --- | --- |")
    for name, rate in rates.items():
        print(f"| {name} | {np.median(rate):,.0f} | {np.median(rate / ratios):.2f} |")


def run_loop(estimator, prepare, data, rounds, batch):
    pool = data.subset("train")
    X, y = prepare(pool.X), np.unique(pool.y, return_inverse=True)[1]  # skorch: ints
    known = pool.seed_set(10, random_state=0)
    left = np.setdiff1d(np.arange(len(y)), known)
    learner = ActiveLearner(
        estimator, uncertainty_sampling, X_training=X[known], y_training=y[known]
    )
    asked = []
    for _ in range(rounds):
        chosen, _ = learner.query(X[left], n_instances=batch)
        asked.append(left[chosen])
        learner.teach(X[left[chosen]], y[left[chosen]])
        left = np.delete(left, chosen)
    return asked


def loop(args):
    if args.same_queries:
        return same_queries(args)
    data = make_shapes(args.n, 4, image_size=args.size)
    memory_cache().clear()
    ours = PretrainedClassifier(image_size=args.size, random_state=0)
    naive = naive_net(max_epochs=20, lr=0.01)
    print(f"{args.rounds} rounds of 10 labels, {args.n} pictures of {args.size} px")
    seconds, _ = timed(run_loop, ours, np.asarray, data, args.rounds, 10)
    print(f"| modal_pretrain | {seconds:.1f} s |")
    again, _ = timed(run_loop, ours, np.asarray, data, args.rounds, 10)
    print(f"| the same pictures again | {again:.1f} s |")
    rounds = args.naive_rounds or args.rounds
    slow, _ = timed(run_loop, naive, as_float, data, rounds, 10)
    slow *= args.rounds / rounds
    print(f"| skorch + timm + modAL | {slow:.1f} s |\n| ratio | {slow / seconds:.1f} |")


def same_queries(args):
    data = make_shapes(args.n, 4, image_size=args.size)

    def classifier(**params):
        return PretrainedClassifier(image_size=args.size, random_state=0, **params)

    def queries(**params):
        memory_cache().clear()
        loop = classifier(**params), np.asarray, data, args.rounds, 10
        return np.array(run_loop(*loop))

    naive = queries(precision="float32", cache=None)
    exact = queries(precision="float32")
    rough = queries(precision="bfloat16")
    print(f"{args.rounds} rounds of 10 labels, {args.n} pictures of {args.size} px")
    print("| queries of | compared with | same round | any round | first other round |")
    print("| --- | --- | --- | --- | --- |")
    for name, one, other, than in (
        ("float32, cached", exact, naive, "float32, embedded again in every round"),
        ("bfloat16, cached", rough, exact, "float32, cached"),
    ):
        same = [len(np.intersect1d(a, b)) for a, b in zip(one, other, strict=True)]
        any_round = len(np.intersect1d(one, other)) / one.size
        first = next((k + 1 for k, m in enumerate(same) if m < 10), "none")
        shares = f"{np.mean(same) / 10:.0%} | {any_round:.0%}"
        print(f"| {name} | {than} | {shares} | {first} |")


def second_query(args):
    data = make_shapes(args.n, 4, image_size=args.size).subset("train")
    rows = np.arange(len(data.X))
    known = data.seed_set(10, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        paths = save_jpegs(data.X, folder)
        print("| pool | first query | second | ratio |\n| --- | --- | --- | --- |")
        for name, X in (("arrays", data.X), ("JPEG files", np.array(paths))):
            memory_cache().clear()
            learner = ActiveLearner(
                PretrainedClassifier(image_size=args.size, random_state=0),
                uncertainty_sampling,
                X_training=X[known],
                y_training=data.y[known],
            )
            left = np.setdiff1d(rows, known)
            first, (chosen, _) = timed(learner.query, X[left], 10)
            again = []
            for _ in range(args.repeat):
                left = np.delete(left, chosen)  # the pool shrinks
                spent, (chosen, _) = timed(learner.query, X[left], 10)
                again.append(spent)
            second = np.median(again)
            print(
                f"| {args.n} {name} of {args.size} px | {first:.2f} s | "
                f"{1000 * second:.1f} ms | {first / second:.0f} |"
            )


def save_jpegs(X, folder):
    paths = []
    for i, picture in enumerate(X):
        paths.append(str(Path(folder, f"{i}.jpg")))
        Image.fromarray(picture).save(paths[-1], quality=90)
    return paths


def compile_(args):
    X = make_shapes(args.n, 4, image_size=args.size).subset("train").X
    params = {"image_size": args.size, "cache": None}
    plain = TimmEncoder(**params).fit(X[:1])
    plain.transform(X[:64])
    encoder = TimmEncoder(compile=True, **params)
    warm_up, _ = timed(lambda: encoder.fit(X[:1]).transform(X))
    rates = {"plain": [], "compiled": []}
    for _ in range(args.repeat):
        rates["plain"].append(len(X) / timed(plain.transform, X)[0])
        rates["compiled"].append(len(X) / timed(encoder.transform, X)[0])
    for name, rate in rates.items():
        print(f"| {name} | {np.median(rate):,.0f} pictures/s |")
    print(f"| first pass, with compiling | {warm_up:.1f} s |")


def gpu(args):
    device = resolve_device("auto")
    dtype = resolve_precision("auto", device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device
    X = np.random.default_rng(0).integers(0, 256, (args.n, args.size, args.size, 3))
    X = X.astype(np.uint8)
    print(f"{args.n} pictures of {args.size} px, {dtype}, {name}")
    print(
        "| backbone | way | pictures/s | of the raw loop |\n| --- | --- | --- | --- |"
    )
    for backbone in ("resnet50", "vit_base_patch16_224"):
        params = {
            "pretrained": False,
            "image_size": args.size,
            "cache": None,
            "random_state": 0,
        }
        network = timm.create_model(backbone, num_classes=0)
        if "vit" in backbone and args.size != 224:
            network.set_input_size(args.size)
        network = network.eval().to(device, memory_format=torch.channels_last)
        ways = {
            "raw timm loop, batch 256": lambda net=network: raw_timm(
                net, X, dtype, device, min(256, args.n)
            )
        }
        for batch_size in ("auto", 64):
            encoder = TimmEncoder(backbone, batch_size=batch_size, **params).fit(X[:1])
            ways[f"modal_pretrain, batch {batch_size}"] = lambda encoder=encoder: (
                encoder.transform(X)
            )
        for way in ways.values():
            way()
        rates = {way: [] for way in ways}
        for _ in range(args.repeat):
            for way, run in ways.items():
                rates[way].append(len(X) / timed(run)[0])
        raw = np.array(next(iter(rates.values())))
        for way, rate in rates.items():
            share = np.median(np.array(rate) / raw)
            print(f"| {backbone} | {way} | {np.median(rate):,.0f} | {share:.2f} |")


def fit(args):
    data = make_shapes(args.n, 4, image_size=args.size).subset("train")
    classifier = PretrainedClassifier(image_size=args.size, random_state=0)
    classifier.embed(data.X)
    print("| labels | fit | predict_proba, the pool |\n| --- | --- | --- |")
    for n in (10, 100, 200):
        X, y = data.X[:n], data.y[:n]
        fits = [timed(classifier.fit, X, y)[0] for _ in range(args.repeat)]
        asks = [timed(classifier.predict_proba, data.X)[0] for _ in range(args.repeat)]
        row = (n, 1000 * np.median(fits), 1000 * np.median(asks))
        print("| {} | {:.0f} ms | {:.0f} ms |".format(*row))


WAYS = {
    "first-pass": (first_pass, 1000, 96),
    "fit": (fit, 2000, 96),
    "loop": (loop, 3000, 96),
    "second-query": (second_query, 2000, 96),
    "compile": (compile_, 600, 96),
    "gpu": (gpu, 4096, 224),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=WAYS)
    parser.add_argument("--n", type=count, default=None, help="pictures")
    parser.add_argument("--size", type=count, default=None, help="pixels")
    parser.add_argument("--repeat", type=count, default=5)
    parser.add_argument("--rounds", type=count, default=20)
    parser.add_argument(
        "--naive-rounds", type=count, default=None, help="run fewer and extrapolate"
    )
    parser.add_argument(
        "--same-queries", action="store_true", help="compare queries, not times"
    )
    args = parser.parse_args()
    run, n, size = WAYS[args.what]
    args.n, args.size = args.n or n, args.size or size
    print(
        f"torch {torch.__version__}, timm {timm.__version__}, "
        f"{torch.get_num_threads()} threads, {platform.processor() or 'CPU'}"
    )
    run(args)


if __name__ == "__main__":
    main()
