"""DPN92. Paper: Chen, Li, Xiao, Jin, Yan & Feng 2017, "Dual Path Networks"."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, layers, ops

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register
from cnnlib.validation import validated

# By stage: blocks, inner maps, residual maps, dense maps
STAGES = ((3, 96, 256, 16), (4, 192, 512, 32), (20, 384, 1024, 24), (3, 768, 2048, 128))


@register
class DualPath(layers.Layer):
    """Join two inputs, the new maps and the earlier ones.

    The first `residual` maps are added; the others stand side by side.
    """

    def __init__(self, residual: int, **options: Any):
        super().__init__(**options)
        self.residual = residual

    def call(self, inputs: Any) -> Any:
        new, old = inputs
        added = old[..., : self.residual] + new[..., : self.residual]
        return ops.concatenate(
            [added, old[..., self.residual :], new[..., self.residual :]], axis=-1
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "residual": self.residual}


@validated
def DPN92(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "dpn92"
) -> keras.Model:
    """Build DPN92 for CIFAR-10: 32 groups, a residual and a densely connected path in one.

    It has 34,236,634 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    images = image_input("DPN92", input_shape, parts.SMALLEST)
    x = parts.convolution_norm_relu(images, 64, 3, None, 1)
    for stage, (blocks, inner, residual, dense) in enumerate(STAGES, 1):
        for number in range(1, blocks + 1):
            first = number == 1
            stride = 2 if stage > 1 and first else 1
            block = f"stage{stage}_block{number}"
            x = _block(x, inner, residual, dense, stride, first, block)
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _block(
    x: KerasTensor, inner: int, residual: int, dense: int, stride: int, first: bool, block: str
) -> KerasTensor:
    y = parts.convolution_norm_relu(x, inner, 1, block, 1)
    y = parts.convolution_norm_relu(y, inner, 3, block, 2, stride=stride, groups=32)
    y = parts.convolution_norm(y, residual + dense, 1, block, 3)
    if first:
        x, y = parts.projection(x, residual + dense, block, stride), parts.wait(y, f"{block}_wait")
    return parts.relu(DualPath(residual, name=f"{block}_join")([y, x]), f"{block}_relu")
