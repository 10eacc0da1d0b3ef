"""scikit-learn's own checks, on tables; those for pictures are in the other files."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from modal_pretrain import PretrainedClassifier, TimmEncoder

CLASSIFIER = PretrainedClassifier(nn.Identity, pretrained=False, device="cpu")
ENCODER = TimmEncoder(nn.Identity, pretrained=False, device="cpu")


def expected_failures(estimator):
    if isinstance(estimator, PretrainedClassifier):
        return {
            "check_no_attributes_set_in_init": "skorch sets history_, initialized_ "
            "and virtual_params_ in __init__"
        }
    return {}


@parametrize_with_checks(
    [CLASSIFIER, ENCODER], expected_failed_checks=expected_failures
)
def test_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [CLASSIFIER, ENCODER])
def test_tags(estimator):
    tags = get_tags(estimator)
    assert tags.estimator_type == ("classifier" if estimator is CLASSIFIER else None)
    assert tags.target_tags.required == (estimator is CLASSIFIER)
