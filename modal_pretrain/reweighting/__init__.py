"""What labelled rows should weigh, so that a head learns from the exceptions too."""

from modal_pretrain.reweighting.choice import tag_weights
from modal_pretrain.reweighting.errors import error_weights

__all__ = ["error_weights", "tag_weights"]
