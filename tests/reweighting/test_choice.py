"""What to do about tags is decided by evidence, and nothing where they do not help."""

import pickle
import time

import numpy as np
import pytest
from modAL.models import ActiveLearner, Committee
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from modal_pretrain.reweighting import tag_weights
from modal_pretrain.reweighting.choice import CHOICES
from tests.classifier.cases import KINDS
from tests.reweighting.test_errors import spurious, table

PLACES = np.array(["land", "water"])


def place_of(y, exception):
    return PLACES[np.where(exception, 1 - y, y)]


def test_the_better_weights_are_chosen():
    X, y, exception = spurious(400, share=0.05)
    weight, choice = tag_weights(X, y, place_of(y, exception), C=0.05)
    assert choice in CHOICES[1:]
    assert 400 * np.exp(-2) < weight.sum() < 200  # most rows are known without them
    assert weight[exception].mean() > 3 * weight[~exception].mean()
    again = tag_weights(X, np.array(["a", "b"])[y], place_of(y, exception), C=0.05)
    np.testing.assert_array_equal(again.weight, weight)


@pytest.mark.parametrize("otherwise", ["nothing", "errors"])
@pytest.mark.parametrize(
    "useless",
    [
        "unknown",
        "constant",
        "class",
        "nested",
        "unrelated",
        "rows",
        "none",
        "some, class",
        "some, nested",
        "some, unrelated",
    ],
)
def test_useless_tags_change_nothing(useless, otherwise):
    X, y, _ = spurious()
    tags = {
        "unknown": [None] * 200,
        "constant": ["land"] * 200,
        "class": y,
        "nested": 2 * y + np.arange(200) % 2,
        "unrelated": np.random.default_rng(3).permutation(200) % 2,
        "rows": np.arange(200),
        "some, class": y,
        "some, nested": 2 * y + np.arange(200) % 2,
        "some, unrelated": np.random.default_rng(3).permutation(200) % 2,
        "none": np.empty((200, 0)),
    }[useless]
    if "some" in useless:
        tags = np.where(np.arange(200) % 3, None, tags)
    weighing = {"error_weighting": 4.0 if otherwise == "errors" else 0.0}
    one = table(**weighing).fit(X, y, ignore=tags)
    other = table(**weighing).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert one.weighting_ == otherwise


@pytest.mark.parametrize("otherwise", ["nothing", "errors"])
def test_balance_mixes_weights_with_and_without_tags(otherwise):
    X, y, exception = spurious(400, share=0.05)
    judging = {"C": 0.05, "otherwise": otherwise, "strength": 3.0}

    def weigh(**params):
        return tag_weights(X, y, place_of(y, exception), **judging, **params)

    without = tag_weights(X, y, [None] * 400, **judging)
    none, some, whole = (weigh(balance=b) for b in (0, 0.25, 1))
    np.testing.assert_array_equal(none.weight, without.weight)
    assert none.choice == without.choice == otherwise
    assert some.choice == whole.choice == weigh().choice != otherwise
    np.testing.assert_array_equal(whole.weight, weigh().weight)
    parts = (one.weight / one.weight.sum() for one in (without, whole))
    mixed = np.array([0.75, 0.25]) @ np.stack(list(parts))
    np.testing.assert_allclose(some.weight / some.weight.sum(), mixed)
    assert whole.weight.sum() < some.weight.sum() < without.weight.sum()


def test_group_balance_of_the_classifier():
    def hard(n, seed):  # where what is intended says little, the two disagree
        X, y, exception = spurious(n, seed, share=0.05)
        X[:, 1] += np.random.default_rng(seed).normal(0, 1, n)
        return X, y, exception

    X, y, exception = hard(400, 0)
    tags = place_of(y, exception)
    test = hard(2000, 1)
    found = []
    for balance in (0.0, 0.5, 1.0):
        one = table(group_balance=balance).fit(X, y, ignore=tags)
        right = one.predict(test[0]) == test[1]
        found.append((right[test[2]].mean(), right.mean()))
    worst, every = np.transpose(found)
    assert worst[0] + 0.05 < worst[1] < worst[2] - 0.05
    assert min(every[:2]) > every[2]
    plain = table().fit(X, y).predict_proba(X)
    none = table(group_balance=0.0).fit(X, y, ignore=tags)
    np.testing.assert_array_equal(none.predict_proba(X), plain)
    assert none.weighting_ == "nothing"
    search = GridSearchCV(table(), {"group_balance": [0.0, 1.0]}, cv=2)
    search.fit(X, y, ignore=tags)
    assert search.best_params_ == {"group_balance": 0.0}  # accuracy on all rows


@pytest.mark.parametrize("value", [-0.1, 1.1, "1", None, float("nan")])
def test_bad_balance(value):
    X, y, exception = spurious(20)
    with pytest.raises(ValueError, match="group_balance must be a finite number"):
        table(group_balance=value).fit(X, y)
    with pytest.raises(ValueError, match="balance must be a finite number"):
        tag_weights(X, y, place_of(y, exception), balance=value)


def test_the_classifier_learns_from_tags():
    X, y, exception = spurious(400, share=0.05)
    test = spurious(2000, seed=1, share=0.5)

    def worst(classifier):
        return (classifier.predict(test[0]) == test[1])[test[2]].mean()

    tags = place_of(y, exception).astype(object)
    plain, tagged = table().fit(X, y), table().fit(X, y, ignore=tags)
    tags[np.arange(400) % 2 > 0] = None
    some = table().fit(X, y, ignore=tags)
    assert worst(tagged) > worst(plain) + 0.1
    assert worst(some) > worst(plain) + 0.05
    assert tagged.weighting_ in CHOICES[1:]
    both = np.stack([tags, PLACES[np.arange(400) % 2]], axis=1)
    two = table().fit(X, y, ignore=both)  # a useless one beside it
    np.testing.assert_array_equal(two.predict_proba(X), some.predict_proba(X))


def test_tags_stay_with_the_content_of_rows():
    X, y, exception = spurious(300, share=0.05)
    tags = place_of(y, exception)
    expected = table().fit(X, y, ignore=tags).predict_proba(X)
    order = np.random.default_rng(0).permutation(300)
    tagged = table().tag(X[order[:100]], tags[order[:100]])
    tagged.tag(X[order[100:]], tags[order[100:]])
    np.testing.assert_array_equal(tagged.fit(X, y).predict_proba(X), expected)
    copy = pickle.loads(pickle.dumps(tagged))
    np.testing.assert_array_equal(copy.fit(X, y).predict_proba(X), expected)
    fresh = clone(tagged).fit(X, y)
    plain = table().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(fresh.predict_proba(X), plain)
    # What fit gets goes first; it is for that fit.
    tagged.fit(X, y, ignore=["land"] * 300)
    np.testing.assert_array_equal(tagged.predict_proba(X), plain)
    np.testing.assert_array_equal(tagged.fit(X, y).predict_proba(X), expected)
    # None forgets.
    tagged.tag(X, [None] * 300).fit(X, y)
    np.testing.assert_array_equal(tagged.predict_proba(X), plain)


@pytest.mark.parametrize("strength", [0.0, 2.0])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_model_does_not_depend_on_the_order_of_its_labels(strength, tagged):
    X, y, exception = spurious(200, share=0.1)
    X = X + np.float32(0.1)  # a mean that rounds otherwise in another order
    tags = place_of(y, exception) if tagged else None
    expected = table(error_weighting=strength).fit(X, y, ignore=tags).predict_proba(X)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(200)
        other = table(error_weighting=strength)
        other.fit(X[order], y[order], ignore=None if tags is None else tags[order])
        np.testing.assert_array_equal(other.predict_proba(X), expected)


def test_one_tag_may_come_in_several_types():
    X, y, exception = spurious(200, share=0.1)
    X, y, exception = np.tile(X, (2, 1)), np.tile(y, 2), np.tile(exception, 2)
    tags = np.where(exception, 1 - y, y).tolist()
    mixed = tags[:200] + [float(tag) for tag in tags[200:]]
    one, other = (table(error_weighting=2.0).fit(X, y, ignore=t) for t in (tags, mixed))
    np.testing.assert_array_equal(other.predict_proba(X), one.predict_proba(X))


def test_one_line_under_modal():
    X, y, exception = spurious(300, share=0.05)
    tags = place_of(y, exception)
    learner = ActiveLearner(
        table(classes=[0, 1]), X_training=X[:100], y_training=y[:100]
    )
    for start in (100, 200):
        rows = slice(start, start + 100)
        learner.estimator.tag(X[rows], tags[rows])
        learner.teach(X[rows], y[rows])
    some = tags.astype(object)
    some[:100] = None
    expected = table().fit(X, y, ignore=some)
    assert learner.estimator.weighting_ == expected.weighting_ != "nothing"
    np.testing.assert_array_equal(learner.predict_proba(X), expected.predict_proba(X))
    # A keyword of full length does it too.
    whole = ActiveLearner(table(), X_training=X[:100], y_training=y[:100])
    whole.teach(X[100:], y[100:], ignore=some)
    np.testing.assert_array_equal(whole.predict_proba(X), expected.predict_proba(X))


def test_bootstraps_keep_their_tags():
    # modAL draws by it; of some bootstraps the labels ask for no weights.
    np.random.seed(0)  # noqa: NPY002
    X, y, exception = spurious(300, share=0.05)
    tags = place_of(y, exception)
    learner = ActiveLearner(
        table(classes=[0, 1]).tag(X, tags),
        X_training=X,
        y_training=y,
        bootstrap_init=True,
    )
    assert learner.estimator.weighting_ != "nothing"
    committee = Committee(learner_list=[learner])
    committee.teach(X[:2], y[:2], bootstrap=True)
    assert learner.estimator.weighting_ != "nothing"


@pytest.mark.parametrize("kind", ["all", "last", "dropout"])
def test_other_ways_to_train(make, pictures, labels, kind):
    places = np.where(np.arange(24) % 8 == 0, 1 - labels, labels)
    one = make(**KINDS[kind]).fit(pictures, labels, ignore=PLACES[places])
    assert one.weighting_ in CHOICES
    one.partial_fit(pictures, labels, ignore=PLACES[places])
    assert np.isfinite(one.predict_proba(pictures)).all()


def test_pictures_and_paths_are_tagged_by_content(make, pictures, paths, labels):
    for X in (pictures, paths):
        one = make().tag(X[:5], ["a"] * 5)
        assert len(one.remembered_tags_) == 5
        assert (one._tags_of(one._source(X), None)[:5] == "a").all()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_tags(make, pictures, labels, method):
    call = getattr(make(), method)
    with pytest.raises(ValueError, match="ignore has 3 rows of tags for 24 rows"):
        call(pictures, labels, ignore=["a"] * 3)
    with pytest.raises(ValueError, match="ignore mixes kinds"):
        call(pictures, labels, ignore=["a", 1] * 12)
    tagged = make().tag(pictures[:3], [["a", 1]] * 3)
    with pytest.raises(ValueError, match="tags of 1 and of 2 attributes"):
        tagged.tag(pictures[3:6], ["a"] * 3)
    with pytest.raises(ValueError, match="ignore mixes kinds of tags in column 1"):
        tagged.tag(pictures[3:6], [["a", "1"]] * 3)  # not the 1 of the others
    with pytest.raises(ValueError, match="tags of 1 and of 2 attributes"):
        getattr(tagged, method)(pictures, labels, ignore=["a"] * 24)


def test_tags_that_no_fit_would_take_are_not_remembered(make, pictures, labels):
    tagged = make().tag(pictures[:3], [1, 2, 1])
    with pytest.raises(ValueError, match=r"ignore\[3\]=1180591620717411303424"):
        tagged.tag(pictures[3:4], [2**70])
    assert tagged.fit(pictures, labels).known_tags(pictures[3:]).shape == (21, 0)


def test_more_attributes_than_labels():
    X, y, exception = spurious(40)
    many = np.random.default_rng(0).integers(0, 2, (40, 100))
    many[:, 0] = place_of(y, exception) == "water"
    assert np.isfinite(table().fit(X, y, ignore=many).predict_proba(X)).all()


def test_weights_and_tags_together():
    X, y, exception = spurious(200)
    tags, times = place_of(y, exception), np.arange(200) % 3
    one = table().fit(X, y, sample_weight=times, ignore=tags)
    copies = X.repeat(times, axis=0), y.repeat(times)
    other = table().fit(*copies, ignore=tags.repeat(times))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_a_round_stays_below_a_second():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    tags = np.where(rng.random(200) < 0.1, 1 - y, y)
    X = rng.standard_normal((200, 1280)).astype(np.float32)
    X[:, 0] += 4 * tags
    times = []
    for _ in range(3):
        start = time.process_time()
        table().fit(X, y, ignore=tags)
        times.append(time.process_time() - start)
    assert min(times) < 1.0


def test_rows_of_weight_0_say_nothing():
    X, y, exception = spurious(200)
    tags, given = place_of(y, exception), np.arange(200) % 3 / 2
    kept, before = given > 0, given.copy()
    whole = tag_weights(X, y, tags, sample_weight=given)
    some = tag_weights(X[kept], y[kept], tags[kept], sample_weight=given[kept])
    assert whole.choice == some.choice == "tags and errors"
    np.testing.assert_array_equal(whole.weight[kept], some.weight)
    assert not whole.weight[~kept].any()
    np.testing.assert_array_equal(given, before)


def test_the_penalty_does_not_depend_on_the_strength():
    X, y, exception = spurious(200)
    sums = [
        tag_weights(X, y, place_of(y, exception), strength=strength).weight.sum()
        for strength in (0, 2, 50)
    ]
    np.testing.assert_allclose(sums, sums[0])
    assert sums[0] < 150


def test_many_attributes_share_the_chance_of_an_error():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.standard_normal((200, 3)) + y[:, None]
    misled = sum(
        tag_weights(X, y, rng.integers(0, 2, (200, 40))).choice != "nothing"
        for _ in range(10)
    )
    assert misled <= 2  # without the sharing nearly all
