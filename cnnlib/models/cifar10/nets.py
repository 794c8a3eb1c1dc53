"""The twelve nets of the benchmark. Each function adds a net's layers to images (`parts.net`)."""

from __future__ import annotations

from typing import Any

from keras import KerasTensor, layers, ops

from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register

WIDTHS = (64, 128, 256, 512)  # maps of ResNet's stages
Sizes = tuple[int, ...]  # one for each stage


@parts.net
def VGG16(x: KerasTensor) -> KerasTensor:
    """Build VGG16 with batch norm and one dense layer; 14,728,266 trainable parameters.

    The 13 convolutions are those of configuration D. Paper: Simonyan & Zisserman 2015, "Very Deep
    Convolutional Networks for Large-Scale Image Recognition".
    """
    for stage, (maps, depth) in enumerate(zip((*WIDTHS, 512), (2, 2, 3, 3, 3), strict=True), 1):
        for part in range(1, depth + 1):
            x = parts.convolution_norm(x, maps, 3, f"stage{stage}", part, bias=True)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return x


# He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition"
@parts.net
def ResNet18(x: KerasTensor) -> KerasTensor:
    """Build ResNet18: basic blocks 2-2-2-2; 11,173,962 trainable parameters."""
    return _resnet(x, _basic_block, (2, 2, 2, 2))


@parts.net
def ResNet50(x: KerasTensor) -> KerasTensor:
    """Build ResNet50: bottlenecks 3-4-6-3; 23,520,842 trainable parameters."""
    return _resnet(x, _bottleneck, (3, 4, 6, 3))


@parts.net
def ResNet101(x: KerasTensor) -> KerasTensor:
    """Build ResNet101: bottlenecks 3-4-23-3; 42,512,970 trainable parameters."""
    return _resnet(x, _bottleneck, (3, 4, 23, 3))


def _resnet(x: KerasTensor, block: parts.Block, depths: Sizes) -> KerasTensor:
    x = parts.convolution_norm(x, 64, 3, "", 1)
    return parts.stages(x, block, depths, WIDTHS)


def _basic_block(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    y = parts.convolution_norm(x, width, 3, block, 1, stride=stride)
    y = parts.convolution_norm(y, width, 3, block, 2, relu=False)
    return parts.add_shortcut(x, y, stride, block)


def _bottleneck(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    return _inner_block(x, width, 4 * width, stride, block)


def _inner_block(
    x: KerasTensor,
    inner: int,
    width: int,
    stride: int,
    block: str,
    groups: int = 1,
    excited: bool = False,
) -> KerasTensor:
    """Add a block whose 3x3 convolution has `inner` maps in `groups`, between two of 1x1."""
    y = parts.convolution_norm(x, inner, 1, block, 1)
    y = parts.convolution_norm(y, inner, 3, block, 2, stride=stride, groups=groups)
    if excited:
        y = _squeeze_and_excitation(y, round(0.25 * x.shape[-1]), block)
    y = parts.convolution_norm(y, width, 1, block, 3, relu=False)
    return parts.add_shortcut(x, y, stride, block)


@parts.net
def PreActResNet18(x: KerasTensor) -> KerasTensor:
    """Build ResNet18 with batch norm and ReLU before each convolution; 11,171,146 parameters.

    As in the published table, the stem has no batch norm, and there is neither batch norm nor ReLU
    before the last pooling, where the paper has both. Paper: He, Zhang, Ren & Sun 2016, "Identity
    Mappings in Deep Residual Networks".
    """
    x = parts.convolution(x, 64, 3, "conv1")
    return parts.stages(x, _preactivation_block, (2, 2, 2, 2), WIDTHS)


def _preactivation_block(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    y = parts.norm_relu(x, f"{block}_bn1", f"{block}_relu1")
    if stride > 1 or x.shape[-1] != width:
        # Computed first, so listed first: see parts.wait.
        x = parts.convolution(y, width, 1, f"{block}_shortcut_conv", stride=stride)
        for step in range(4):
            x = parts.wait(x, f"{block}_shortcut_wait{step + 1}")
    y = parts.convolution(y, width, 3, f"{block}_conv1", stride=stride)
    y = parts.norm_relu(y, f"{block}_bn2", f"{block}_relu2")
    y = parts.convolution(y, width, 3, f"{block}_conv2")
    return layers.Add(name=f"{block}_add")([x, y])


# Xie, Girshick, Dollár, Tu & He 2017, "Aggregated Residual Transformations for Deep Neural
# Networks". The groups' width doubles with each stage.
@parts.net
def ResNeXt29_32x4d(x: KerasTensor) -> KerasTensor:
    """Build ResNeXt29 with 32 groups of 4 maps in the first stage; 4,774,218 parameters."""
    return _resnext(x, 32, 4)


@parts.net
def ResNeXt29_2x64d(x: KerasTensor) -> KerasTensor:
    """Build ResNeXt29 with 2 groups of 64 maps in the first stage; 9,128,778 parameters."""
    return _resnext(x, 2, 64)


def _resnext(x: KerasTensor, groups: int, group_width: int) -> KerasTensor:
    def block(x: KerasTensor, width: int, stride: int, name: str) -> KerasTensor:
        return _inner_block(x, width, 2 * width, stride, name, groups)

    x = parts.convolution_norm(x, 64, 1, "", 1)
    width = groups * group_width
    return parts.stages(x, block, (3, 3, 3), (width, 2 * width, 4 * width))


# Radosavovic, Kosaraju, Girshick, He & Dollár 2020, "Designing Network Design Spaces"
@parts.net
def RegNetX_200MF(x: KerasTensor) -> KerasTensor:
    """Build RegNetX for 200 million multiply-adds (on ImageNet); 2,321,946 parameters."""
    return _regnet(x, (1, 1, 4, 7), (24, 56, 152, 368), 8, excited=False)


@parts.net
def RegNetY_400MF(x: KerasTensor) -> KerasTensor:
    """Build RegNetY for 400 million, with squeeze-and-excitation; 5,714,362 parameters."""
    return _regnet(x, (1, 2, 7, 12), (32, 64, 160, 384), 16, excited=True)


def _regnet(
    x: KerasTensor, depths: Sizes, widths: Sizes, group_width: int, excited: bool
) -> KerasTensor:
    def block(x: KerasTensor, width: int, stride: int, name: str) -> KerasTensor:
        return _inner_block(x, width, width, stride, name, width // group_width, excited)

    x = parts.convolution_norm(x, 64, 3, "", 1)
    return parts.stages(x, block, depths, widths, strides=(1, 1, 2, 2))


def _squeeze_and_excitation(x: KerasTensor, squeezed: int, block: str) -> KerasTensor:
    """Weigh each map by what is computed from the means of all maps.

    Paper: Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks".
    """
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{block}_squeeze")(x)
    y = parts.convolution(y, squeezed, 1, f"{block}_se_conv1", bias=True)
    y = layers.ReLU(name=f"{block}_se_relu")(y)
    y = parts.convolution(y, x.shape[-1], 1, f"{block}_se_conv2", bias=True)
    y = layers.Activation("sigmoid", name=f"{block}_se_sigmoid")(y)
    return layers.Multiply(name=f"{block}_excite")([x, y])


@parts.net
def MobileNetV2(x: KerasTensor) -> KerasTensor:
    """Build MobileNetV2; 2,296,922 trainable parameters.

    As in the published table, it has ReLU in place of ReLU6, no stride in the stem and the second
    stage, and a shortcut with a 1x1 convolution in blocks of stride 1 that change the width, where
    the paper has none. Paper: Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: Inverted
    Residuals and Linear Bottlenecks".
    """
    x = parts.convolution_norm(x, 32, 3, "", 1)
    depths, strides = (1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1)
    sizes = ((1, 16), (6, 24), (6, 32), (6, 64), (6, 96), (6, 160), (6, 320))
    x = parts.stages(x, _inverted_residual, depths, sizes, strides)
    return parts.convolution_norm(x, 1280, 1, "", 2)


def _inverted_residual(
    x: KerasTensor, sizes: tuple[int, int], stride: int, block: str
) -> KerasTensor:
    """Expand, filter each map by itself, and project back without an activation."""
    expansion, width = sizes
    expanded = expansion * x.shape[-1]
    y = parts.convolution_norm(x, expanded, 1, block, 1)
    y = parts.convolution_norm(y, expanded, 3, block, 2, stride=stride, groups=expanded)
    y = parts.convolution_norm(y, width, 1, block, 3, relu=False)
    return y if stride > 1 else parts.add_shortcut(x, y, stride, block, relu=False)


@parts.net
def DenseNet121(x: KerasTensor) -> KerasTensor:
    """Build DenseNet121: each layer adds 32 maps, a transition halves them; 6,956,298 parameters.

    Paper: Huang, Liu, van der Maaten & Weinberger 2017, "Densely Connected Convolutional Networks".
    """
    x = parts.convolution(x, 64, 3, "conv1")
    for stage, depth in enumerate((6, 12, 24, 16), 1):
        for number in range(1, depth + 1):
            x = _dense_layer(x, f"stage{stage}_block{number}")
        if stage < 4:
            name = f"transition{stage}"
            x = parts.norm_relu(x, f"{name}_bn", f"{name}_relu")
            x = parts.convolution(x, x.shape[-1] // 2, 1, f"{name}_conv")
            x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    return parts.norm_relu(x, "bn", "relu")


def _dense_layer(x: KerasTensor, block: str) -> KerasTensor:
    """Put 32 new maps in front of those that are there."""
    y = parts.norm_relu(x, f"{block}_bn1", f"{block}_relu1")
    y = parts.convolution(y, 4 * 32, 1, f"{block}_conv1")
    y = parts.norm_relu(y, f"{block}_bn2", f"{block}_relu2")
    y = parts.convolution(y, 32, 3, f"{block}_conv2")
    return layers.Concatenate(name=f"{block}_concatenate")([y, x])


@register
class DualPath(layers.Layer):
    """Join new and earlier maps: the first `residual` are added, the others stand side by side."""

    def __init__(self, residual: int, **options: Any):
        super().__init__(**options)
        self.residual = residual

    def call(self, inputs: Any) -> Any:
        (new, new_maps), (old, old_maps) = (
            (x[..., : self.residual], x[..., self.residual :]) for x in inputs
        )
        return ops.concatenate([old + new, old_maps, new_maps], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "residual": self.residual}


@parts.net
def DPN92(x: KerasTensor) -> KerasTensor:
    """Build DPN92: 32 groups, a residual and a dense path in one; 34,236,634 parameters.

    Paper: Chen, Li, Xiao, Jin, Yan & Feng 2017, "Dual Path Networks".
    """
    x = parts.convolution_norm(x, 64, 3, "", 1)
    # By stage: blocks, inner maps, residual maps, dense maps
    settings = ((3, 96, 256, 16), (4, 192, 512, 32), (20, 384, 1024, 24), (3, 768, 2048, 128))
    for stage, (depth, inner, residual, dense) in enumerate(settings, 1):
        for number in range(1, depth + 1):
            block, first = f"stage{stage}_block{number}", number == 1
            stride = 2 if first and stage > 1 else 1
            y = parts.convolution_norm(x, inner, 1, block, 1)
            y = parts.convolution_norm(y, inner, 3, block, 2, stride=stride, groups=32)
            y = parts.convolution_norm(y, residual + dense, 1, block, 3, relu=False)
            if first:
                x, y = parts.projection(x, y, stride, block)
            x = DualPath(residual, name=f"{block}_join")([y, x])
            x = layers.ReLU(name=f"{block}_relu")(x)
    return x
