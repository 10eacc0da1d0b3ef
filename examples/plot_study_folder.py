"""
A folder of folders: does my model learn the class or where it was photographed?
================================================================================

Your pictures lie in a folder for each class, and in it in a folder for each place, day
or camera. If most of a class was taken in one place, a few labels do not say which of
the two is meant. This example reads such a folder and asks whether an uncertain
pretrained model finds the pictures that tell them apart.
"""

# %%
# The folder
# ----------
# As a stand-in for your own pictures we write some into a temporary folder, as
# ``square/red/0000.png``. With yours, start at ``load_folder``. Folders called train,
# val and test above the classes would be the splits; here they are drawn.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import load_folder, make_shapes
from modal_pretrain.metrics import enrichment
from modal_pretrain.query import random_sampling

temporary = tempfile.TemporaryDirectory()
root = Path(temporary.name, "shapes")
shapes = make_shapes(n_train=1000, n_test=4, random_state=0)
shapes = shapes.subset("train")
for i, picture in enumerate(shapes.X):
    folder = root / shapes.y[i] / shapes.attribute[i]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(folder / f"{i:04}.png")

# %%
# ``summary`` is worth a look: it counts classes and places, and says how many pictures
# have a place that is not the usual one of their class.
data = load_folder(root, attribute="folder", attribute_name="colour", test_size=0.4)
print(data.summary())
train, test = data.subset("train"), data.subset("test")

# %%
# Two learners
# ------------
# Both start with the same ten typical pictures and get ten more labels a round. Paths
# are all that a learner sees; the embeddings of the pool are made once, in the first
# query, and shared.
LABELS = np.arange(10, 101, 10)


def study(strategy, seed):
    known = train.seed_set(10, random_state=seed)
    learner = ActiveLearner(
        PretrainedClassifier(image_size=64, random_state=0),
        query_strategy=strategy,
        X_training=train.X[known],
        y_training=train.y[known],
    )
    right = [learner.predict(test.X) == test.y]
    for _ in LABELS[1:]:
        pool = np.setdiff1d(np.arange(len(train)), known)
        asked, _ = learner.query(train.X[pool], n_instances=10)
        learner.teach(train.X[pool[asked]], train.y[pool[asked]])
        known = np.concatenate([known, pool[asked]])
        right.append(learner.predict(test.X) == test.y)
    odd = np.array(right)[:, test.disambiguating].mean(axis=1)
    return odd, enrichment(train.disambiguating[known[10:]], train.disambiguating)


# %%
# What to look at is the accuracy on the pictures in an unusual place: on the others,
# the place alone gives the right answer.
figure, ax = plt.subplots(figsize=(6, 4))
found = {}
for name, strategy in (("random", random_sampling), ("unsure", uncertainty_sampling)):
    curves, shares = zip(*(study(strategy, seed) for seed in range(2)), strict=True)
    found[name] = np.mean(shares)
    ax.plot(LABELS, np.mean(curves, axis=0), marker="o", label=name)
    print(f"{name}: {np.mean(curves, axis=0)[-1]:.0%} of unusual pictures right")
ax.set_xlabel("labels")
ax.set_ylabel("accuracy where colour misleads")
ax.set_ylim(0, 1)
ax.legend()
figure.tight_layout()
plt.show()
temporary.cleanup()

ratio = found["unsure"]
print(
    f"The unsure model asked for unusual pictures {ratio:.1f} times as often as chance"
)
