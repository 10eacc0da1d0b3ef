"""The same network's tensors under timm's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names of packages can be had without PyTorch
    import torch

State = dict[str, "torch.Tensor"]


def in_order(stored: State, expected: State) -> State:
    """Pair the tensors of two namings of one network in order.

    Raises ValueError if a pair disagrees in shape or one is left over.
    """
    shapes = [tuple(tensor.shape) for tensor in expected.values()]
    if shapes != [tuple(tensor.shape) for tensor in stored.values()]:
        raise ValueError(
            f"it holds {len(stored)} tensors, expected {len(shapes)} of the same "
            "shapes in order"
        )
    return dict(zip(expected, stored.values(), strict=True))


def dinov2_to_timm(stored: State, expected: State) -> State:
    """Rename Hugging Face's ``Dinov2Model``, exported to ONNX, to timm's names.

    Linear layers are stored transposed, queries, keys and values apart, and the
    position of the class token apart from the others'.
    """
    import torch

    root, graph = "backbone.", "/backbone/"
    try:
        found = {
            "cls_token": stored[f"{root}embeddings.cls_token"],
            "pos_embed": torch.cat(
                [
                    stored[f"{graph}embeddings/Concat_6"],
                    stored[f"{graph}embeddings/Reshape_1"],
                ],
                dim=1,
            ),
        }
        for end in ("weight", "bias"):
            patches = f"{root}embeddings.patch_embeddings.projection.{end}"
            found[f"patch_embed.proj.{end}"] = stored[patches]
            found[f"norm.{end}"] = stored[f"{root}layernorm.{end}"]
        depth = sum(name.endswith("norm1.weight") for name in expected)
        for number in range(depth):
            layer = f"{root}encoder.layer.{number}."
            node = f"{graph}encoder/layer.{number}/"
            block = f"blocks.{number}."
            for name in ("norm1", "norm2"):
                for end in ("weight", "bias"):
                    found[f"{block}{name}.{end}"] = stored[f"{layer}{name}.{end}"]
            for name in ("1", "2"):
                scale = stored[f"{layer}layer_scale{name}.lambda1"]
                found[f"{block}ls{name}.gamma"] = scale
            parts = [
                f"attention.attention.{part}" for part in ("query", "key", "value")
            ]
            linear = {"attn.proj": ["attention.output.dense"], "attn.qkv": parts}
            linear |= {f"mlp.fc{name}": [f"mlp.fc{name}"] for name in ("1", "2")}
            for name, sources in linear.items():
                weights = [
                    stored[f"{node}{source.replace('.', '/')}/MatMul"].T
                    for source in sources
                ]
                biases = [stored[f"{layer}{source}.bias"] for source in sources]
                found[f"{block}{name}.weight"] = torch.cat(weights)
                found[f"{block}{name}.bias"] = torch.cat(biases)
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error
    return in_order({name: found[name] for name in expected}, expected)
