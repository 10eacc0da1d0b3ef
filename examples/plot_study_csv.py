"""
A CSV file with an attribute: are rare cameras served as well as the others?
============================================================================

Your pictures are listed in a CSV file, with the class, the camera (or hospital, or
user) and the split. Two of the cameras are new, have few pictures, and stand where
things look otherwise. This example reads the file, spends 100 labels at random and on
the least certain pictures, and compares the two models camera by camera.
"""

# %%
# The file
# --------
# As a stand-in for your own we write pictures and a file into a temporary folder. The
# cameras A, B and C have seen red squares and blue circles only; all others are from
# the new cameras D and E. With yours, start at ``load_csv``.
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import load_csv, make_shapes
from modal_pretrain.query import random_sampling

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
shapes = make_shapes(n_train=900, n_test=400, random_state=0)
rng = np.random.default_rng(0)
with (folder / "pictures.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["file", "shape", "camera", "part"])
    for i, picture in enumerate(shapes.X):
        camera = rng.choice(list("DE" if shapes.disambiguating[i] else "ABC"))
        Image.fromarray(picture).save(folder / f"{i:04}.png")
        writer.writerow([f"{i:04}.png", shapes.y[i], camera, shapes.split[i]])

# %%
# Columns are named once. ``disambiguating="rare"`` marks the rarest values of the
# attribute, here up to a tenth of the train split; the default marks the pairs of class
# and attribute that are unusual for the class. Missing files, empty cells and repeated
# rows would be errors that count them.
data = load_csv(
    folder / "pictures.csv",
    image="file",
    target="shape",
    attribute="camera",
    split="part",
    disambiguating="rare",
)
print(data.summary())
train, test = data.subset("train"), data.subset("test")

# %%
# Which cameras does a seed set lack? That is a question to the data set, too.
seeds = train.seed_set(10, random_state=0)
print("not in the first labels:", *np.unique(train.attribute[train.unseen(seeds)]))


# %%
# Two models
# ----------
def study(strategy, seed):
    known = train.seed_set(10, random_state=seed)
    learner = ActiveLearner(
        PretrainedClassifier(image_size=64, random_state=0),
        query_strategy=strategy,
        X_training=train.X[known],
        y_training=train.y[known],
    )
    for _ in range(9):
        pool = np.setdiff1d(np.arange(len(train)), known)
        asked, _ = learner.query(train.X[pool], n_instances=10)
        learner.teach(train.X[pool[asked]], train.y[pool[asked]])
        known = np.concatenate([known, pool[asked]])
    right = learner.predict(test.X) == test.y
    return [right[test.attribute == camera].mean() for camera in test.attributes]


figure, ax = plt.subplots(figsize=(6, 4))
means = {}
for i, strategy in enumerate((random_sampling, uncertainty_sampling)):
    means[i] = np.mean([study(strategy, seed) for seed in range(2)], axis=0)
    x = np.arange(len(test.attributes)) + 0.4 * i
    ax.bar(x, means[i], width=0.38, label=("random", "unsure")[i])
ax.set_xticks(np.arange(5) + 0.2, [f"camera {name}" for name in test.attributes])
ax.set_ylim(0, 1)
ax.set_ylabel("accuracy with 100 labels")
ax.legend(loc="lower left")
figure.tight_layout()
plt.show()
temporary.cleanup()

gain = (means[1] - means[0])[3:].mean()
print(f"Accuracy gained on the new cameras by asking: {100 * gain:.0f} points")
