"""
How good is it, and when may I stop?
====================================

The labels that a model asked for are the hard ones and say nothing about how good it
is. Here 40 further labels only measure: an *audit*, drawn where the model is unsure.
They judge the model of every round, with an interval, and a rule stops when accuracy is
surely what we want. As we know the truth here, we can see whether it was right.
"""

# %%
# A pool, a learner
# -----------------
# Pictures of four shapes in four colours. The embeddings are computed once.
import matplotlib.pyplot as plt
import numpy as np
from modAL.models import ActiveLearner
from sklearn.linear_model import LogisticRegression

from modal_pretrain import TimmEncoder, stopping
from modal_pretrain.datasets import make_shapes
from modal_pretrain.query import least_confidence_sampling

data = make_shapes(n_classes=4, n_train=800, n_test=16, match_rate=0.7, random_state=0)
pool = data.subset("train")
X = TimmEncoder(image_size=64).fit_transform(pool.X)
X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)

taught = np.random.default_rng(0).choice(len(X), 10, replace=False)
learner = ActiveLearner(
    LogisticRegression(C=0.01, max_iter=500),
    least_confidence_sampling,
    X[taught],
    pool.y[taught],
)

# %%
# The audit
# ---------
# All row numbers count in the same ``X``. The audited rows are labelled, here looked
# up, and left out of what is asked.
audit = stopping.draw_audit(
    stopping.predict_pool(learner, X), budget=40, taught=taught, random_state=0
)
audit_labels = pool.y[audit.rows]

# %%
# The loop
# --------
# After each round the same 40 labels judge the new model. The rule asks whether the
# lower end of the interval has reached the target.
TARGET = 0.9
n_labels, seen, truth, stopped_at = [], [], [], None
for _ in range(12):
    left = np.setdiff1d(np.arange(len(X)), [*taught, *audit.rows])
    asked, _ = learner.query(X[left], n_instances=8)
    taught = np.append(taught, left[asked])
    learner.teach(X[left[asked]], pool.y[left[asked]])
    now = stopping.predict_pool(learner, X)
    result = audit.estimate(audit_labels, now, taught=taught)
    decision = stopping.good_enough(result, TARGET)
    print(f"{len(taught)} labels, {decision}")
    if decision.stop and stopped_at is None:
        stopped_at = len(taught)
    n_labels.append(len(taught))
    seen.append(result.accuracy)
    rest = np.setdiff1d(np.arange(len(X)), taught)
    truth.append(np.mean(learner.predict(X[rest]) == pool.y[rest]))

# %%
# What a user could not see
# -------------------------
# The band is what the audit said, the line is the truth. The rule speaks of the pool as
# a whole: how a small group fares, here shapes in another shape's colour, it does not
# say.
low, high = ([e.low for e in seen], [e.high for e in seen])
figure, ax = plt.subplots(figsize=(6, 3.5))
ax.fill_between(n_labels, low, high, alpha=0.25, label="audit of 40, 95 % interval")
ax.plot(n_labels, truth, color="black", label="truth")
ax.axhline(TARGET, linestyle=":", color="grey", label="target")
if stopped_at is not None:
    ax.axvline(stopped_at, linestyle="--", color="tab:red", label="rule stops")
ax.set(xlabel="labels taught", ylabel="accuracy on the rest")
ax.legend(loc="lower right")
figure.tight_layout()
plt.show()

inside = np.mean([e.low <= t <= e.high for e, t in zip(seen, truth, strict=True)])
print(f"The interval held the truth in {inside:.0%} of the rounds")
