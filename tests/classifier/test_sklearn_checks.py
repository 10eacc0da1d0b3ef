"""scikit-learn's own checks, on tables; those for pictures are in the other files."""

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from modal_pretrain import PretrainedClassifier, TimmEncoder

CLASSIFIER = PretrainedClassifier(nn.Identity, pretrained=False, device="cpu")
ENCODER = TimmEncoder(nn.Identity, pretrained=False, device="cpu")
FAILURES = {
    "check_no_attributes_set_in_init": "skorch sets history_, initialized_ and "
    "virtual_params_ in __init__",
}


def checks(estimator, failures):
    # A list: scikit-learn 1.6's parametrize_with_checks passes pytest an iterator.
    return list(
        estimator_checks_generator(
            estimator, expected_failed_checks=failures, mark="xfail"
        )
    )


def name(value):
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    words = getattr(value, "keywords", {}).items()
    arguments = ",".join(f"{key}={value}" for key, value in words)
    return f"{getattr(value, 'func', value).__name__}({arguments})"


@pytest.mark.parametrize(
    "estimator, check", checks(CLASSIFIER, FAILURES) + checks(ENCODER, {}), ids=name
)
def test_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [CLASSIFIER, ENCODER], ids=name)
def test_tags(estimator):
    tags = get_tags(estimator)
    assert tags.estimator_type == ("classifier" if estimator is CLASSIFIER else None)
    assert tags.target_tags.required == (estimator is CLASSIFIER)
