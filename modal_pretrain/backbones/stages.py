"""The stages of a backbone, the last of which may be trained."""

from __future__ import annotations

import timm
from torch import nn


def stages(backbone: nn.Module) -> list[list[str]]:
    """Name the parameters of each stage, from the input to the output.

    Parameters
    ----------
    backbone : torch.nn.Module
        timm models are grouped as timm groups them (stem, then blocks); other
        modules by their direct children.

    Returns
    -------
    list of list of str
        Names as in ``named_parameters``; stages without parameters are left out. A norm
        behind the last stage belongs to it.
    """
    try:
        matcher = backbone.group_matcher(coarse=True)  # type: ignore[operator]
    except (AttributeError, AssertionError):  # a few models of timm have none either
        by_child: dict[str, list[str]] = {}
        for name, _ in backbone.named_parameters():
            by_child.setdefault(name.split(".")[0], []).append(name)
        found = list(by_child.values())
    else:
        groups = timm.models.group_parameters(backbone, matcher)
        found = [groups[key] for key in sorted(groups) if groups[key]]
    # timm counts it to the last block of a ViT, but apart in ConvNeXt, Swin and BEiT,
    # where to train one stage would train nothing else.
    weights = dict(backbone.named_parameters())
    while len(found) > 1 and all(weights[name].ndim < 2 for name in found[-1]):
        norm = found.pop()
        found[-1] = [*found[-1], *norm]
    return found
