"""DPN92. Paper: Chen, Li, Xiao, Jin, Yan & Feng 2017, "Dual Path Networks"."""

import keras
from keras import layers, ops

from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register

STAGES = (
    (3, 96, 256, 16),
    (4, 192, 512, 32),
    (20, 384, 1024, 24),
    (3, 768, 2048, 128),
)  # blocks, inner, residual, dense maps


@register
class DualPath(layers.Layer):
    """Join two inputs, what is new and what was there: the first `residual` maps are added, the others stand side by side."""

    def __init__(self, residual, **options):
        super().__init__(**options)
        self.residual = residual

    def call(self, inputs):
        new, old = inputs
        added = old[..., : self.residual] + new[..., : self.residual]
        return ops.concatenate(
            [added, old[..., self.residual :], new[..., self.residual :]], axis=-1
        )

    def get_config(self):
        return {**super().get_config(), "residual": self.residual}


def DPN92(input_shape=(32, 32, 3), classes=10, name="dpn92"):
    """DPN92 for CIFAR-10: 32 groups, a residual and a densely connected path in one; 34,236,634 trainable parameters."""
    images = parts.image_input("DPN92", input_shape)
    x = parts.convolution_norm_relu(images, 64, 3, None, 1)
    for stage, (blocks, inner, residual, dense) in enumerate(STAGES, 1):
        for number in range(1, blocks + 1):
            x = _block(
                x,
                inner,
                residual,
                dense,
                2 if stage > 1 and number == 1 else 1,
                number == 1,
                f"stage{stage}_block{number}",
            )
    return keras.Model(images, parts.classifier(x, "DPN92", classes), name=name)


def _block(x, inner, residual, dense, stride, first, block):
    y = parts.convolution_norm_relu(x, inner, 1, block, 1)
    y = parts.convolution_norm_relu(y, inner, 3, block, 2, stride=stride, groups=32)
    y = parts.convolution_norm(y, residual + dense, 1, block, 3)
    if first:
        x, y = parts.projection(x, residual + dense, block, stride), parts.wait(y, f"{block}_wait")
    return parts.relu(DualPath(residual, name=f"{block}_join")([y, x]), f"{block}_relu")
