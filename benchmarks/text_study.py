"""The paper's claims on text with rare categories, through modAL's own loop.

    python benchmarks/text_study.py --data FOLDER [--seeds N] [--out FILE]

FOLDER holds metadata.csv with the columns text, target, domain and split (sentences
with a sentiment; two domains rare in train). Each run starts from a seed set balanced
by class and labels a batch a round, with a frozen backbone and a logistic head, once
with pretrained weights and once with the same network initialised at random. Prints
accuracy, label-efficiency multiples (C2, C3), enrichment (C4) and linear probes (C5),
with 95 % bootstrap intervals over the seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from arguments import count, existing_folder
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain import PretrainedTextClassifier, query
from modal_pretrain.datasets import GroupedDataset, load_csv
from modal_pretrain.metrics import (
    atypical_accuracy,
    enrichment,
    label_efficiency,
    paired_bootstrap,
    probe_separability,
    worst_group_accuracy,
)

STRATEGIES = {
    "random": query.random_sampling,
    "least confidence": uncertainty_sampling,
    "disambiguation": query.disambiguation_sampling,
    "oracle": query.group_balanced_sampling,
}
MEASURES = ("accuracy", "rare", "worst group")


def run(data: GroupedDataset, classifier, strategy, seed: int, args) -> dict:
    """Label from `args.seed_set` to `args.labels` examples; measure every round."""
    labelled = data.seed_set(args.seed_set, balanced=True, random_state=seed)
    pool = np.setdiff1d(np.flatnonzero(data.split == "train"), labelled)
    flags = data.disambiguating[pool]
    test = data.subset("test")
    learner = ActiveLearner(
        classifier, strategy, X_training=data.X[labelled], y_training=data.y[labelled]
    )
    rounds, acquired = [], []
    while True:
        predicted = learner.predict(test.X)
        rounds.append(
            [
                float(np.mean(predicted == test.y)),
                atypical_accuracy(test.y, predicted, test.disambiguating),
                worst_group_accuracy(test.y, predicted, test.groups),
            ]
        )
        if len(labelled) + args.batch > args.labels:
            break
        params = {"n_instances": args.batch}
        if strategy is not uncertainty_sampling:
            params["random_state"] = 1000 * seed + len(rounds)
        if strategy is query.group_balanced_sampling:
            params["groups"] = data.groups[pool]
            params["groups_labelled"] = data.groups[labelled]
        chosen, queried = learner.query(data.X[pool], **params)
        learner.teach(queried, data.y[pool[chosen]])
        acquired += data.disambiguating[pool[chosen]].tolist()
        labelled = np.concatenate([labelled, pool[chosen]])
        pool = np.delete(pool, chosen)
    return {"rounds": rounds, "enrichment": enrichment(acquired, flags)}


def probes(data: GroupedDataset, classifier, seed: int) -> dict[str, float]:
    """How well linear probes read class, domain and rarity off the test embeddings."""
    test = data.subset("test")
    embeddings = classifier.embed(test.X)
    targets = {
        "class": test.y,
        "domain": test.attribute,
        "rare or not": test.disambiguating,
    }
    return {
        name: probe_separability(
            embeddings, target, groups=test.groups, random_state=seed
        )
        for name, target in targets.items()
    }


def interval(values, other=None, statistic=None) -> str:
    values = np.asarray(values)
    if other is None:
        other, statistic = np.zeros(len(values)), lambda a, b: float(a.mean())
    found = paired_bootstrap(values, other, statistic, random_state=0)
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def report(results: list[dict], args) -> None:
    labels = np.arange(args.seed_set, args.labels + 1, args.batch)

    def curves(model: str, strategy: str, measure: int) -> np.ndarray:
        return np.array(
            [
                np.array(r["rounds"])[:, measure]
                for r in results
                if (r["model"], r.get("strategy")) == (model, strategy)
            ]
        )

    models = list(dict.fromkeys(r["model"] for r in results))
    names = list(dict.fromkeys(r["strategy"] for r in results if "strategy" in r))
    print(f"\nAt {labels[-1]} labels, {args.seeds} seeds")
    print("| model | strategy | accuracy | rare domains | worst group | enrichment |")
    print("|---|---|---|---|---|---|")
    for model in models:
        for name in names:
            ends = [interval(curves(model, name, m)[:, -1]) for m in range(3)]
            gains = [
                r["enrichment"]
                for r in results
                if (r["model"], r.get("strategy")) == (model, name)
            ]
            print(f"| {model} | {name} | {' | '.join(ends)} | {interval(gains)} |")
    print("\nLabels that random sampling needs / labels needed, for the same accuracy")
    print("| model | strategy | " + " | ".join(MEASURES) + " |\n|---|---|---|---|---|")
    for model in models:
        for name in names[1:]:
            cells = [
                interval(
                    curves(model, name, m),
                    curves(model, "random", m),
                    lambda a, b: label_efficiency(labels, a, b),
                )
                for m in range(3)
            ]
            print(f"| {model} | {name} | {' | '.join(cells)} |")
    print("\nBalanced accuracy of linear probes")
    print("| model | class | domain | rare or not |\n|---|---|---|---|")
    for model in models:
        found = [r["probes"] for r in results if r["model"] == model and "probes" in r]
        cells = [interval([f[key] for f in found]) for key in found[0]]
        print(f"| {model} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=existing_folder, required=True)
    parser.add_argument("--seeds", type=count, default=10)
    parser.add_argument("--seed-set", type=count, default=20)
    parser.add_argument("--batch", type=count, default=10)
    parser.add_argument("--labels", type=count, default=320)
    parser.add_argument(
        "--networks", type=count, default=3, help="drawn at random, used in turn"
    )
    parser.add_argument("--C", type=float, default=0.005)
    parser.add_argument("--backbone", default="all-MiniLM-L6-v2")
    parser.add_argument(
        "--strategies",
        nargs="*",
        choices=STRATEGIES,
        default=["random", "least confidence"],
    )
    parser.add_argument("--cache", default="memory", help="folder for the embeddings")
    parser.add_argument("--out", type=Path, help="file for the results, JSON lines")
    args = parser.parse_args()

    data = load_csv(
        args.data / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        disambiguating="rare",
        name="snippets",
    )
    print(data.summary())
    results = []
    for model in ("pretrained", "random initialisation"):
        for seed in range(args.seeds):
            classifier = PretrainedTextClassifier(
                args.backbone,
                pretrained=model == "pretrained",
                random_state=seed % args.networks,
                C=args.C,
                cache=args.cache,
            )
            base = {"model": model, "seed": seed}
            results.append({**base, "probes": probes(data, classifier, seed)})
            for name in args.strategies:
                found = run(data, classifier, STRATEGIES[name], seed, args)
                results.append({**base, "strategy": name, **found})
            print(f"{model}, seed {seed}: done", flush=True)
            if args.out is not None:
                args.out.write_text("".join(json.dumps(r) + "\n" for r in results))
    report(results, args)


if __name__ == "__main__":
    main()
