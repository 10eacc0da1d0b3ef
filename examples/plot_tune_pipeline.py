"""
Pipelines and grid search: what can cross-validation tell, and what not?
========================================================================

Both estimators of this package are ordinary scikit-learn estimators. So a pipeline can
hold the pretrained network as its first step, modAL can drive that pipeline, and
``GridSearchCV`` and ``cross_val_score`` work as everywhere. This example does all of
it, shows what many fits cost, and ends with a warning.
"""

# %%
# A pipeline under modAL
# ----------------------
# ``TimmEncoder`` turns each picture into 1,280 numbers; what follows is scikit-learn.
# ``uncertainty_batch_sampling`` wants pictures that the model is unsure of *and* that
# differ from those it knows. With ``on_transformed=True`` it measures "differ" by the
# 1,280 numbers. Without, it would compare raw pixels, which say little.
import time

import matplotlib.pyplot as plt
import numpy as np
from modAL.batch import uncertainty_batch_sampling
from modAL.models import ActiveLearner
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain import PretrainedClassifier, TimmEncoder
from modal_pretrain.datasets import make_shapes

data = make_shapes(n_train=800, n_test=400, random_state=0)
train, test = data.subset("train"), data.subset("test")
first = train.seed_set(20, random_state=0)
pool = np.delete(np.arange(len(train)), first)
learner = ActiveLearner(
    make_pipeline(
        TimmEncoder(image_size=64), StandardScaler(), LogisticRegression(C=0.01)
    ),
    query_strategy=uncertainty_batch_sampling,
    X_training=train.X[first],
    y_training=train.y[first],
    on_transformed=True,
)
for _ in range(4):
    asked, pictures = learner.query(train.X[pool], n_instances=20)
    learner.teach(pictures, train.y[pool[asked]])
    pool = np.delete(pool, asked)
X, y = learner.X_training, learner.y_training
print(f"Pipeline, {len(y)} labels: {learner.score(test.X, test.y):.0%} on the test")

# %%
# Many fits, one look
# -------------------
# ``PretrainedClassifier`` is the same in one piece. ``C`` is the inverse strength of
# its last layer's penalty, with a default for few labels. Is another value better?
# 5 values and 3 folds make 16 fits. The network is frozen, so what it says about a
# picture never changes: it is computed once and from then on found by the content of
# the picture, also by the copies that a grid search makes. With ``cache=None`` every
# fit looks again. At 224 pixels, the network's own size, a look costs twelve times as
# much as here, and a fit no more.
grid = {"C": np.logspace(-4, 0, 5)}
seconds = {}
for cache in (None, "memory"):
    search = GridSearchCV(PretrainedClassifier(image_size=64, cache=cache), grid, cv=3)
    start = time.perf_counter()
    search.fit(X, y)
    seconds[f"cache={cache!r}"] = time.perf_counter() - start

# %%
# The warning
# -----------
# ``cross_val_score`` on the first 20 labels, where all squares are red and all circles
# blue, is near perfect. It must be: colour alone explains them, and the held-out folds
# have the same flaw. No score computed from such labels can show that they are
# ambiguous. The test pictures, where colour means nothing, can.
classifier = PretrainedClassifier(image_size=64)
believed = cross_val_score(classifier, train.X[first], train.y[first], cv=5).mean()
actual = classifier.fit(train.X[first], train.y[first]).score(test.X, test.y)

# %%
# The labels that the loop has gathered are better, as they include odd colours. But
# they were chosen, not drawn: a score on them (orange) is neither that of the pool nor
# that of the test. Use it to choose between values of ``C``, which it does well enough.
# For a number to report, label some pictures drawn at random and keep them apart.
mean = search.cv_results_["mean_test_score"]
tested = [
    PretrainedClassifier(image_size=64, **params).fit(X, y).score(test.X, test.y)
    for params in search.cv_results_["params"]
]
figure, (left, right) = plt.subplots(1, 2, width_ratios=[2, 1], figsize=(9, 3.6))
C = search.cv_results_["param_C"].astype(float)
left.semilogx(C, tested, "o-", label="test pictures")
left.semilogx(C, mean, "o-", label="cross-validation on the labels")
left.axvline(search.best_params_["C"], color="grey", linestyle=":")
left.set(xlabel="C", ylabel="accuracy", title="Choosing C")
left.legend()
right.bar(list(seconds), list(seconds.values()), color=["grey", "C0"])
right.set(ylabel="seconds", title="What the grid of 16 fits costs")
figure.tight_layout()
plt.show()

print(f"First 20 labels: {believed:.0%} in cross-validation, {actual:.0%} on the test")
