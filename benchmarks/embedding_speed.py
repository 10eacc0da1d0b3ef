"""Embedding and whole loops against plain skorch + timm + modAL, side by side.

    python benchmarks/embedding_speed.py first-pass
    python benchmarks/embedding_speed.py fit
    python benchmarks/embedding_speed.py loop

Both sides run in one process, in turn, so that ratios hold on a machine whose speed
drifts. `first-pass` compares pictures per second: a raw timm loop (channels last,
bfloat16 where the hardware has it), this package on arrays and on JPEG files, and
skorch's predict_proba as people write it. `loop` compares 20 rounds of 10 labels on
3,000 pictures: the naive loop embeds the pool again in every round.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from PIL import Image
from skorch import NeuralNetClassifier
from torch import nn

from modal_pretrain import PretrainedClassifier, TimmEncoder, memory_cache
from modal_pretrain.backbones import create_backbone
from modal_pretrain.datasets import make_shapes
from modal_pretrain.embedding import resolve_device, resolve_precision


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
        paths = []
        for i, picture in enumerate(X):
            paths.append(str(Path(folder, f"{i}.jpg")))
            Image.fromarray(picture).save(paths[-1], quality=90)
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
    data = make_shapes(args.n, 4, image_size=args.size)
    memory_cache().clear()
    ours = PretrainedClassifier(image_size=args.size, random_state=0)
    precise = PretrainedClassifier(
        image_size=args.size, random_state=0, precision="float32", cache=None
    )
    naive = naive_net(max_epochs=20, lr=0.01)
    print(f"{args.rounds} rounds of 10 labels, {args.n} pictures of {args.size} px")
    seconds, asked = timed(run_loop, ours, np.asarray, data, args.rounds, 10)
    print(f"| modal_pretrain | {seconds:.1f} s |")
    again, _ = timed(run_loop, ours, np.asarray, data, args.rounds, 10)
    print(f"| the same pictures again | {again:.1f} s |")
    rounds = args.naive_rounds or args.rounds
    slow, _ = timed(run_loop, naive, as_float, data, rounds, 10)
    slow *= args.rounds / rounds
    print(f"| skorch + timm + modAL | {slow:.1f} s |\n| ratio | {slow / seconds:.1f} |")
    if args.same_queries:
        uncached, exact = timed(run_loop, precise, np.asarray, data, args.rounds, 10)
        same = np.mean(
            [len(np.intersect1d(a, b)) / 10 for a, b in zip(asked, exact, strict=True)]
        )
        print(f"| float32, no cache | {uncached:.1f} s, {same:.0%} the same queries |")


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["first-pass", "fit", "loop"])
    parser.add_argument("--n", type=int, default=None, help="pictures")
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--naive-rounds", type=int, default=None, help="run fewer and extrapolate"
    )
    parser.add_argument("--same-queries", action="store_true")
    args = parser.parse_args()
    args.n = args.n or {"first-pass": 1000, "fit": 2000, "loop": 3000}[args.what]
    print(
        f"torch {torch.__version__}, timm {timm.__version__}, "
        f"{torch.get_num_threads()} threads, {platform.processor() or 'CPU'}"
    )
    {"first-pass": first_pass, "fit": fit, "loop": loop}[args.what](args)


if __name__ == "__main__":
    main()
