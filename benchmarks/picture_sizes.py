"""Which backbone and size: accuracy, worst group and time, with few labels.

    python benchmarks/picture_sizes.py run LIST [--data FOLDER] [--seeds 8]
    python benchmarks/picture_sizes.py table

LIST is of backbone:pixels, such as ``tf_efficientnet_lite0:96 mobilenetv2_100:own``;
"own" is what `image_size=None` gives. `run` embeds each data set by each of them, lets
least confidence ask for ten labels a round from a seed set of ten (scikit-learn's
logistic regression with C=0.01 on standardised embeddings), and writes what it has with
60 and with 200 labels to ``benchmarks/results/picture-sizes.csv``, a line a seed; what
is there is not done again. FOLDER holds roadwater and rare_subclasses; shapes need
nothing. Seconds are the processor's, reading and decoding the pictures included.
`table` prints the guide's table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from arguments import count, existing_folder
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from study_records import Layout

from modal_pretrain import TimmEncoder
from modal_pretrain.datasets.registry import loader
from modal_pretrain.metrics import worst_group_accuracy

RECORDS = Path(__file__).parent / "results" / "picture-sizes.csv"
SETS = {
    "roadwater": ("waterbirds", "roadwater"),
    "rare subclasses": ("rare-subclasses", "rare_subclasses"),
    "shapes": ("shapes", None),
}
# Pixels of the files.
NATIVE = {"roadwater": 128, "rare subclasses": 32, "shapes": 64}
LABELS = (60, 200)
LAYOUT = Layout(
    {"data": str, "backbone": str, "size": str, "seed": int, "labels": int},
    {"accuracy": ".4f", "worst": ".4f", "seconds": ".2f"},
    run=("data", "backbone", "size"),
)


def embedded(data, backbone, size):
    """Return standardised embeddings of train and test, and seconds for 1,000 rows."""
    parts = data.subset("train"), data.subset("test")
    size = None if size == "own" else int(size)
    encoder = TimmEncoder(backbone, image_size=size, cache=None).fit(parts[0].X[:1])
    start = time.process_time()
    E, T = (encoder.transform(part.X) for part in parts)
    seconds = 1000 * (time.process_time() - start) / (len(E) + len(T))
    scale = StandardScaler().fit(E)
    return scale.transform(E), scale.transform(T), seconds


def loop(E, T, pool, test, seed):
    """Yield number of labels, accuracy and worst group of one loop."""
    known = list(pool.seed_set(10, random_state=seed))
    while True:
        model = LogisticRegression(C=0.01, max_iter=300).fit(E[known], pool.y[known])
        if len(known) in LABELS:
            predicted = model.predict(T)
            worst = worst_group_accuracy(test.y, predicted, test.groups)
            yield len(known), np.mean(predicted == test.y), worst
        if len(known) == LABELS[-1]:
            return
        unsure = 1 - model.predict_proba(E).max(axis=1)
        unsure[known] = -1
        known += list(np.argsort(-unsure)[:10])


def run(candidates, folder, n_seeds):
    known = {
        (row["data"], row["backbone"], row["size"]) for row in LAYOUT.read(RECORDS)
    }
    for name, (registered, place) in SETS.items():
        given = {"random_state": 0} if place is None else {"root": folder / place}
        data = loader(registered)(**given)
        for backbone, size in (candidate.split(":") for candidate in candidates):
            if (name, backbone, size) in known:
                continue
            E, T, seconds = embedded(data, backbone, size)
            pool, test = data.subset("train"), data.subset("test")
            LAYOUT.append(
                RECORDS,
                [
                    dict(zip(LAYOUT.columns, values, strict=True))
                    for seed in range(n_seeds)
                    for n, *scores in loop(E, T, pool, test, seed)
                    for values in [(name, backbone, size, seed, n, *scores, seconds)]
                ],
            )
            print(name, backbone, size, flush=True)


def table():
    """Return the records' means as a table in Markdown."""
    found = LAYOUT.read(RECORDS)
    names = [
        f"{name}, {NATIVE[name]} px: {' / '.join(map(str, LABELS))} labels"
        for name in SETS
    ]
    lines = [
        f"| backbone | px | seconds for 1,000 | {' | '.join(names)} |",
        "| --- | ---: | ---: |" + " --- |" * len(SETS),
    ]
    candidates = {(row["backbone"], row["size"]) for row in found}
    for backbone, size in sorted(candidates, key=_order):
        cells, seconds = [], []
        for name in SETS:
            of = [
                row
                for row in found
                if (row["data"], row["backbone"], row["size"]) == (name, backbone, size)
            ]
            seconds += [row["seconds"] for row in of]
            values = [
                np.mean([r[key] for r in of if r["labels"] == n])
                for n in LABELS
                for key in ("accuracy", "worst")
            ]
            cells.append("{:.3f} ({:.2f}) / {:.3f} ({:.2f})".format(*values))
        shown = f"{backbone} | {size} | {np.mean(seconds):.1f}"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _order(candidate):
    backbone, size = candidate
    return backbone, size.rjust(4) if size.isdigit() else size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("do", choices=["run", "table"])
    parser.add_argument("candidates", nargs="*", metavar="BACKBONE:PX")
    parser.add_argument("--data", type=existing_folder, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=count, default=8)
    args = parser.parse_args()
    if args.do == "run":
        run(args.candidates, args.data, args.seeds)
    else:
        print(table(), end="")


if __name__ == "__main__":
    main()
