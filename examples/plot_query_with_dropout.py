"""
Dropout: is the model unsure, or is the picture unclear?
========================================================

A model may answer "50 : 50" for two reasons. The picture is unclear, and another label
would not help. Or the model has not learnt enough, and a label would. *Monte Carlo
dropout* tells the two apart: it asks the same model many times, each time with a random
half of its inputs switched off. If the answers differ from each other, the model has
not made up its mind. modAL's ``mc_dropout_bald`` asks about these pictures; the score
is called *BALD*.
"""

# %%
# A learner with dropout
# ----------------------
# ``module__dropout=0.5`` puts dropout before the last layer. modAL's dropout strategies
# need a ``DeepActiveLearner`` and a pool that is a PyTorch tensor. This learner stores
# no labels: by itself, ``teach`` goes on from the present weights with the new pictures
# only. We keep all labelled pictures and train afresh on them (``warm_start=False``).
import matplotlib.pyplot as plt
import numpy as np
import torch
from modAL import dropout
from modAL.models import DeepActiveLearner
from scipy.special import entr

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes

data = make_shapes(n_train=600, n_test=200, random_state=0)
train, test = data.subset("train"), data.subset("test")
pictures = torch.from_numpy(train.X)
labelled = train.seed_set(10, random_state=0)
pool = np.delete(np.arange(len(train)), labelled)
learner = DeepActiveLearner(
    PretrainedClassifier(image_size=64, module__dropout=0.5, random_state=0),
    query_strategy=dropout.mc_dropout_bald,
)
learner.fit(pictures[labelled], train.y[labelled])

# %%
# Two kinds of doubt
# ------------------
# We ask 30 times about every picture. The entropy of the mean answer is all the doubt
# there is; the mean of the single answers' entropies is the doubt within each. What is
# left is that the answers differ: BALD.
torch.manual_seed(0)
answers = np.stack(dropout.get_predictions(learner, pictures[pool], num_predictions=30))
total = entr(answers.mean(axis=0)).sum(axis=1)
within = entr(answers).sum(axis=2).mean(axis=0)
bald = total - within
odd = train.disambiguating[pool]
for name, score in (("BALD", bald), ("all doubt", total)):
    top = odd[np.argsort(-score)[:20]]
    print(
        f"Odd: {odd.mean():.0%} of the pool, {top.mean():.0%} of the top 20 by {name}"
    )

# %%
# The loop
# --------
# ``num_cycles`` is how many times each picture is asked about.
misleading = test.subset(test.disambiguating)
scores = [learner.score(misleading.X, misleading.y)]
for _ in range(5):
    asked, _ = learner.query(pictures[pool], n_instances=10, num_cycles=30)
    labelled = np.append(labelled, pool[asked])
    pool = np.delete(pool, asked)
    learner.teach(pictures[labelled], train.y[labelled], warm_start=False)
    scores.append(learner.score(misleading.X, misleading.y))

# %%
# Left: each dot is a picture of the pool, before the first round. Oddly coloured ones
# (orange) cause doubt of both kinds. Expect no wonders of BALD here: the dropout is in
# the last layer only, the two scores go together, and plain uncertainty does as well.
# It pays where some pictures are unclear to everybody, such as blurred ones, since it
# does not spend labels on them.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
left.scatter(within[~odd], bald[~odd], s=12, label="usual colour")
left.scatter(within[odd], bald[odd], s=12, label="odd colour")
left.set(xlabel="doubt within each answer", ylabel="answers differ (BALD)")
left.legend()
right.plot(10 + 10 * np.arange(6), scores, "o-")
right.axhline(0.5, color="grey", linestyle=":", label="guessing")
right.set(xlabel="labelled pictures", ylim=(0, 1))
right.set_title("Correct where the colour misleads", size=10)
right.legend()
figure.tight_layout()
plt.show()

print(f"Correct where the colour misleads: {scores[0]:.0%}, then {scores[-1]:.0%}")
