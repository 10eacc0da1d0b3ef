"""
A folder of pictures: how do I label my own files, and stop and go on?
======================================================================

Your pictures are files in a folder and have no labels. This example asks for labels of
the pictures that help most, writes every answer to a CSV file at once, and picks up
from that file after a break. The pool is nothing but an array of file names: pictures
are read when they are needed, so a large folder need not fit into memory.
"""

# %%
# The folder
# ----------
# As a stand-in for your own pictures we write some into a temporary folder. With yours,
# start at ``paths``.
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
data = make_shapes(n_train=400, n_test=4, random_state=0).subset("train")
for number, picture in enumerate(data.X):
    Image.fromarray(picture).save(folder / f"{number:04}.png")

paths = np.array(sorted(str(path) for path in folder.glob("*.png")))

# %%
# The person who answers
# ----------------------
# With your own pictures, ``ask`` shows the file and reads what you type, again until it
# is one of the classes: ``Image.open(path).show()`` and
# ``while (label := input("circle or square? ")) not in CLASSES: ...``. Here it looks
# the answer up.
CLASSES = ["circle", "square"]
answers = dict(zip(paths, data.y, strict=True))


def ask(path):
    return answers[path]


# %%
# Labels in a file
# ----------------
# Every answer becomes a line of the CSV file before the next question. If the program
# stops, at worst one answer is lost. The file is all that is needed to go on: a fit
# starts from the pretrained weights, so the same labels always give the same model.
label_file = folder / "labels.csv"
label_file.touch()


def load_labels():
    with label_file.open(newline="") as file:
        return dict(csv.reader(file))


def save_label(path, label):
    with label_file.open("a", newline="") as file:
        csv.writer(file).writerow([path, label])


def label_pictures(n_rounds, n_instances=8):
    labels = load_labels()
    if not labels:  # the first pictures are drawn at random
        for path in np.random.default_rng(0).choice(paths, 10, replace=False):
            labels[path] = ask(path)
            save_label(path, labels[path])
    learner = ActiveLearner(
        PretrainedClassifier(image_size=64, classes=CLASSES),
        query_strategy=uncertainty_sampling,
        X_training=np.array(list(labels)),
        y_training=np.array(list(labels.values())),
    )
    for _ in range(n_rounds):
        pool = np.setdiff1d(paths, learner.X_training)
        _, asked = learner.query(pool, n_instances=n_instances)
        for path in asked:
            labels[path] = ask(path)
            save_label(path, labels[path])
        learner.teach(asked, np.array([labels[path] for path in asked]))
    return learner


# %%
# A first sitting of two rounds, a break, and a second sitting. The second one knows
# nothing but the folder and the file.
label_pictures(n_rounds=2)
print(f"{len(load_labels())} labels in the file; a break")
learner = label_pictures(n_rounds=3)
print(f"{len(load_labels())} labels in the file")

# %%
# Finally the model labels the rest by itself. The contact sheet shows what it asked
# first: what it finds hard. Do look at yours, since wrong labels and pictures that do
# not belong tend to turn up here. (A file that cannot be read stops the loop with an
# error that names it.)
rest = np.setdiff1d(paths, learner.X_training)
correct = np.mean(learner.predict(rest) == [answers[path] for path in rest])

figure, axes = plt.subplots(3, 8, figsize=(9, 4))
for ax, (path, label) in zip(axes.flat, list(load_labels().items())[10:], strict=False):
    ax.imshow(Image.open(path))
    ax.set_title(label, size=8)
    ax.axis("off")
figure.suptitle("Asked first, with the answers")
figure.tight_layout()
plt.show()
temporary.cleanup()

print(f"Correct on the {len(rest)} pictures that nobody labelled: {correct:.0%}")
