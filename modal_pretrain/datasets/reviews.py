"""Short reviews with rare product categories, put together from words.

The class is whether a review is good or bad, the attribute is the category of the
product. In the training split all novels are panned and all films praised, so that the
task could be to tell books from films. Reviews of the two rare categories show that it
is sentiment. Some of their words are meant the other way round, too: a predictable
novel is bad, a predictable kettle is good.
"""

from __future__ import annotations

import numpy as np

from modal_pretrain._checks import is_number
from modal_pretrain.datasets._draws import check_random, check_whole, even
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._review_words import (
    BAD,
    BLAME,
    DOMAINS,
    GOOD,
    PRAISE,
    RARE,
    Pairs,
)
from modal_pretrain.datasets.grouped import GroupedDataset

SENTIMENTS = ("negative", "positive")
_COMMON = tuple(name for name in DOMAINS if name not in RARE)
_PLAIN = (
    "This {noun} is {word}.",
    "I find this {noun} {word}.",
    "I like to look at the {aspect} first. The {noun} is {word}.",
    "Whatever you think of the {aspect}, this {noun} is {word}.",
)
_HARD = (
    "There is nothing {other} about this {noun}.",
    "People say this {noun} is {other}; I found it {word}.",
    "The {aspect} is {other}, but all in all this {noun} is {word}.",
    "I expected the {noun} to be {other}. It is anything but that.",
)


@holds("text")
def make_reviews(
    n_train: int = 1500,
    n_test: int = 600,
    *,
    rare_share: float = 0.1,
    matched: bool = True,
    difficulty: float = 0.0,
    specific: float = 0.25,
    verdicts: float = 0.5,
    random_state: int | np.random.RandomState | None = 0,
) -> GroupedDataset:
    """Write short product reviews, of which the rare categories show the task.

    Input: one or two English sentences. Class: "negative" or "positive". Attribute: the
    category, "books", "films", "kitchen" or "camping". Disambiguating: the category is
    rare in training ("kitchen" and "camping"). Splits: "train" and "test"; they share
    the forms of sentences, and the test split has synonyms in place of the words of
    category and sentiment. Made for this package; no download, no licence but the
    package's own.

    Parameters
    ----------
    n_train : int, default=1500
        Training reviews, at least 4; one class may have two more than the other.
    n_test : int, default=600
        Test reviews, as evenly as possible over class x category; at least 8.
    rare_share : float, default=0.1
        Share of the training reviews that are of the two rare categories, in [0, 1]:
        exactly ``round(rare_share * n_train)``, evenly over class x category.
    matched : bool, default=True
        In training all reviews of books are negative and all of films positive, so that
        only the rare categories tell sentiment and topic apart. False: every category
        has both, evenly.
    difficulty : float, default=0.0
        Share of the reviews with a negation or a concession, in [0, 1].
    specific : float, default=0.25
        Share of the reviews, in [0, 1], that judge in words of their category ("a
        predictable novel"); the others do it in words that suit all ("a terrible
        novel").
    verdicts : float, default=0.5
        Share of the reviews with a second sentence that judges the product, in [0, 1].
    random_state : int, RandomState or None, default=0
        The same number gives the same reviews.

    Returns
    -------
    GroupedDataset
        `X` is an array of n_train + n_test str objects, training reviews first.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from modal_pretrain.datasets import make_reviews
    >>> data = make_reviews(n_train=200, n_test=40)
    >>> print(data)
    <GroupedDataset reviews: 2 classes x 4 category; train 200 (10.0 % disambiguating),
    test 40 (50.0 %)>
    """
    check_whole("n_train", n_train, 4)
    check_whole("n_test", n_test, 8)
    for key, value in (
        ("rare_share", rare_share),
        ("difficulty", difficulty),
        ("specific", specific),
        ("verdicts", verdicts),
    ):
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{key} must be in [0, 1], got {value!r}")
    # A RandomState, not a Generator: its stream is frozen for good.
    rng = check_random(random_state)
    names = [*_COMMON, *RARE]
    n_rare = round(rare_share * n_train)
    # Class changes fastest, so that a remainder does not go to one class.
    cells = [(domain, label) for domain in names for label in (0, 1)]
    half = len(cells) // 2
    common = even(n_train - n_rare, 2 if matched else half)
    if matched:  # negative books and positive films
        common = np.array([common[0], 0, 0, common[1]])
    counts = [*common, *even(n_rare, half)]
    train = rng.permutation(np.repeat(np.arange(len(cells)), counts))
    test = rng.permutation(np.repeat(np.arange(len(cells)), even(n_test, len(cells))))
    drawn = [cells[cell] for cell in np.concatenate([train, test])]
    sides = np.repeat([0, 1], [n_train, n_test])
    texts = [
        _write(rng, domain, label, side, difficulty, specific, verdicts)
        for (domain, label), side in zip(drawn, sides, strict=True)
    ]
    domains = np.array([domain for domain, _ in drawn])
    return GroupedDataset(
        np.array(texts, dtype=object),
        np.array(SENTIMENTS)[[label for _, label in drawn]],
        domains,
        np.repeat(["train", "test"], [n_train, n_test]),
        disambiguating=np.isin(domains, RARE),
        name="reviews",
        attribute_name="category",
        classes=SENTIMENTS,
        attributes=names,
        modality="text",
    )


def _write(
    rng: np.random.RandomState,
    name: str,
    label: int,
    side: int,
    difficulty: float,
    specific: float,
    verdicts: float,
) -> str:
    """Write one review with the words of one side of the pairs."""

    def draw(pairs: Pairs) -> str:
        return pairs[rng.randint(len(pairs))][side]

    domain = DOMAINS[name]
    hard, own, judged, placed = rng.uniform(size=4)
    # All words are drawn, used or not: a review keeps them if a share changes.
    forms = [_PLAIN[rng.randint(len(_PLAIN))], _HARD[rng.randint(len(_HARD))]]
    praise = [draw(GOOD), draw(domain.good)][int(own < specific)]
    blame = [draw(BAD), draw(domain.bad)][int(own < specific)]
    words = {
        "noun": draw(domain.nouns),
        "aspect": draw(domain.aspects),
        "word": praise if label else blame,
        "other": blame if label else praise,
    }
    occasion = draw(domain.occasions)
    verdict = draw(PRAISE if label else BLAME).format(noun=words["noun"])
    text = forms[int(hard < difficulty)].format(**words)
    if placed < 0.3:
        text = f"{occasion}: {text[0].lower() if text[:2] != 'I ' else 'I'}{text[1:]}"
    if judged < verdicts:
        text = f"{text} {verdict[0].upper()}{verdict[1:]}."
    return text
