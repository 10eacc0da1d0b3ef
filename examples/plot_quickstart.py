"""
Quickstart: does the model ask about the pictures that matter?
==============================================================

A model is to tell squares from circles. In the ten labelled pictures that it starts
with, every square is red and every circle is blue. So the labels fit two rules, "go by
shape" and "go by colour", and nobody could say which one is meant. Only a red circle or
a blue square can settle it. One picture in twenty of the pool is of that kind.

*Active learning* lets the model choose which pictures a person labels next. Here a
pretrained model asks about those that it is least sure of.
"""

# %%
# The loop
# --------
# The classifier is a network that learnt to see on ImageNet, with a fresh last layer
# that learns from our labels. modAL's ``ActiveLearner`` drives it: ``query`` picks ten
# pictures, somebody says what they show, ``teach`` learns it. The data set has all the
# answers, so it plays that somebody. ``pool`` holds the row numbers of the pictures
# that have no label yet.
import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.query import random_sampling

data = make_shapes(random_state=0)
train, test = data.subset("train"), data.subset("test")
first = train.seed_set(10, random_state=0)
pool = np.delete(np.arange(len(train)), first)
classifier = PretrainedClassifier(image_size=64)
learner = ActiveLearner(
    classifier, uncertainty_sampling, train.X[first], train.y[first]
)
for _ in range(5):
    asked, pictures = learner.query(train.X[pool], n_instances=10)
    learner.teach(pictures, train.y[pool[asked]])
    pool = np.delete(pool, asked)

print(data.summary())
print(f"Correct on all test pictures: {learner.score(test.X, test.y):.0%}")

# %%
# The first pass over the pictures takes a few seconds. After that the network's view of
# every picture is remembered, and a round takes a fraction of a second.
#
# Was the choice any good?
# ------------------------
# We compare with labelling pictures drawn at random, over three different starts. The
# test pictures to look at are those where the colour misleads: on them, "go by colour"
# is always wrong.
odd = test.subset(test.disambiguating)


def accuracy_by_round(strategy, seed, n_rounds=10):
    first = train.seed_set(10, random_state=seed)
    pool = np.delete(np.arange(len(train)), first)
    classifier = PretrainedClassifier(image_size=64)
    learner = ActiveLearner(classifier, strategy, train.X[first], train.y[first])
    scores = [learner.score(odd.X, odd.y)]
    for _ in range(n_rounds):
        asked, pictures = learner.query(train.X[pool], n_instances=10)
        learner.teach(pictures, train.y[pool[asked]])
        pool = np.delete(pool, asked)
        scores.append(learner.score(odd.X, odd.y))
    return scores


strategies = {"least sure first": uncertainty_sampling, "at random": random_sampling}
curves = {
    name: np.array([accuracy_by_round(strategy, seed) for seed in range(3)])
    for name, strategy in strategies.items()
}

# %%
# On the left, one picture of each kind and its share of the pool. On the right, both
# curves begin near zero: with the first ten labels the model goes by colour. A picture
# whose shape says one thing and whose colour says another pulls it two ways, so it is
# unsure, asks, and learns that shape counts. Random labels bring one such picture in
# twenty and take far longer. (Dotted: guessing. Bands: the three starts.)
figure, axes = plt.subplot_mosaic(
    [["0", "1", "curve"], ["2", "3", "curve"]], width_ratios=[1, 1, 3], figsize=(9, 3.8)
)
for group, name in enumerate(data.group_names):
    axes[str(group)].imshow(train.X[train.groups == group][0])
    axes[str(group)].set_title(f"{name}: {np.mean(train.groups == group):.1%}", size=9)
    axes[str(group)].axis("off")
labels = 10 + 10 * np.arange(11)
curve = axes["curve"]
for name, scores in curves.items():
    curve.plot(labels, scores.mean(axis=0), marker="o", label=name)
    curve.fill_between(labels, scores.min(axis=0), scores.max(axis=0), alpha=0.2)
curve.axhline(0.5, color="grey", linestyle=":")
curve.set(xlabel="labelled pictures", ylim=(0, 1))
curve.set_title("Correct where the colour misleads", size=10)
curve.legend(title="pictures to label chosen", loc="lower right")
figure.tight_layout()
plt.show()

ahead = curves["least sure first"].mean(axis=0) - curves["at random"].mean(axis=0)
print(f"At {labels[-1]} labels, choosing is ahead by {100 * ahead[-1]:.0f} points")
