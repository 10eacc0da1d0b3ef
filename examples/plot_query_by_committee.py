"""
A committee: which pictures do several models disagree about?
=============================================================

One model can be sure and wrong. Several models that saw different labels give
themselves away: where they vote differently, the labels do not settle the matter.
*Query by committee* asks about these pictures. Labels may be strings; here are three
shapes in three colours.
"""

# %%
# Members that differ
# -------------------
# A committee is worth nothing if its members are alike, and five copies of
# ``PretrainedClassifier`` that differ in ``random_state`` alone are: the network is
# frozen, and its last layer has exactly one best solution. What makes them differ is
# the labels that they see. ``bootstrap_init=True`` gives each member its own draw,
# with replacement, from the labelled pictures.
#
# Such a draw may miss a class altogether. ``classes`` names all of them beforehand, so
# that every member votes on the same list.
import matplotlib.pyplot as plt
import numpy as np
from modAL.disagreement import vote_entropy, vote_entropy_sampling
from modAL.models import ActiveLearner, Committee

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.metrics import enrichment

np.random.seed(0)  # noqa: NPY002, modAL's bootstraps come from the global generator
data = make_shapes(n_train=900, n_test=450, n_classes=3, random_state=0)
train, test = data.subset("train"), data.subset("test")
first = train.seed_set(30, random_state=0)
committee = Committee(
    learner_list=[
        ActiveLearner(
            PretrainedClassifier(image_size=64, classes=data.classes),
            X_training=train.X[first],
            y_training=train.y[first],
            bootstrap_init=True,
        )
        for _ in range(7)
    ],
    query_strategy=vote_entropy_sampling,
)

# %%
# What they disagree about
# ------------------------
# ``vote`` has one row a picture and one column a member. The entropy of a row is zero
# where all agree. We keep the ten most divided votes for the figure.
pool = np.delete(np.arange(len(train)), first)
disagreement = vote_entropy(committee, train.X[pool])
divided = np.argsort(-disagreement, kind="stable")[:10]
examples = train.subset(pool[divided])
votes = committee.vote(examples.X)
print(f"All seven agree about {np.mean(disagreement == 0):.0%} of the pool")

# %%
# A few rounds
# ------------
# ``teach`` with ``bootstrap=True`` draws anew for each member. Without it all would see
# the same labels from the second round on, and become the same model. Seven votes can
# be divided in only so many ways, so that many pictures tie: ``random_tie_break`` draws
# among them, where otherwise the order of the pool decides.
chosen = []
for _ in range(6):
    asked, pictures = committee.query(
        train.X[pool], n_instances=10, random_tie_break=True
    )
    committee.teach(pictures, train.y[pool[asked]], bootstrap=True)
    chosen.extend(pool[asked])
    pool = np.delete(pool, asked)
print(f"Committee on the test pictures: {committee.score(test.X, test.y):.0%}")

# %%
# The most divided votes, before the first round. The usual pictures are red squares,
# blue circles and green triangles. Most of these are odd (red titles): members that
# happened to learn more of the shape and members that learnt the colour part ways.
figure, axes = plt.subplots(2, 5, figsize=(9, 4.8))
for ax, picture, row, odd in zip(
    axes.flat, examples.X, votes, examples.disambiguating, strict=True
):
    lines = [f"{sum(row == name)} x {name}" for name in data.classes if name in row]
    ax.imshow(picture)
    ax.set_title("\n".join(lines), size=9, color="C3" if odd else "black")
    ax.axis("off")
figure.suptitle("Votes of seven models that saw different labels")
figure.tight_layout()
plt.show()

times = enrichment(train.disambiguating[chosen], train.disambiguating)
print(f"Oddly coloured pictures were asked {times:.1f} times as often as they occur")
