"""The batch names, and which net each stands for (cnnlib.models builds them).

Importing this module is light, so that a batch file is checked without waiting for Keras.
"""

from cnnlib.errors import check_name

_PAPER = {
    "connections": "paper",
    "subsampling": "trainable",
    "activation": "scaled_tanh",
    "initializer": "lecun_1998",
}

# batch name: function of cnnlib.models, its options, input form of cnnlib.preprocessing
NETS = {
    "linear-20x20": ("Linear", {"input_shape": (20, 20, 1)}, "20x20"),
    "linear-28x28": ("Linear", {}, "28x28"),
    "mlp-20x20-300": ("MLP", {"hidden": (300,), "input_shape": (20, 20, 1)}, "20x20"),
    "mlp-20x20-1000": ("MLP", {"hidden": (1000,), "input_shape": (20, 20, 1)}, "20x20"),
    "mlp-28x28-300": ("MLP", {"hidden": (300,)}, "28x28"),
    "mlp-28x28-1000": ("MLP", {"hidden": (1000,)}, "28x28"),
    "mlp-28x28-300-100": ("MLP", {"hidden": (300, 100)}, "28x28"),
    "mlp-28x28-1000-150": ("MLP", {"hidden": (1000, 150)}, "28x28"),
    "mlp-28x28-500-150": ("MLP", {"hidden": (500, 150)}, "28x28"),
    "lenet-1": ("LeNet1", {}, "16-in-28"),
    "lenet-1-paper": ("LeNet1", _PAPER, "16-in-28"),
    "lenet-4": ("LeNet4", {}, "32x32"),
    "lenet-4-paper": ("LeNet4", _PAPER, "32x32"),
    "lenet-5": ("LeNet5", {}, "32x32"),
    "lenet-5-paper": ("LeNet5", _PAPER | {"output": "rbf"}, "32x32"),
    "vgg16": ("VGG16", {}, "rgb"),
    "cifar10/vgg16": ("cifar10.VGG16", {}, "cifar10"),
    "cifar10/resnet18": ("cifar10.ResNet18", {}, "cifar10"),
    "cifar10/resnet50": ("cifar10.ResNet50", {}, "cifar10"),
    "cifar10/resnet101": ("cifar10.ResNet101", {}, "cifar10"),
    "cifar10/regnetx-200mf": ("cifar10.RegNetX_200MF", {}, "cifar10"),
    "cifar10/regnety-400mf": ("cifar10.RegNetY_400MF", {}, "cifar10"),
    "cifar10/mobilenetv2": ("cifar10.MobileNetV2", {}, "cifar10"),
    "cifar10/resnext29-32x4d": ("cifar10.ResNeXt29_32x4d", {}, "cifar10"),
    "cifar10/resnext29-2x64d": ("cifar10.ResNeXt29_2x64d", {}, "cifar10"),
    "cifar10/densenet121": ("cifar10.DenseNet121", {}, "cifar10"),
    "cifar10/preactresnet18": ("cifar10.PreActResNet18", {}, "cifar10"),
    "cifar10/dpn92": ("cifar10.DPN92", {}, "cifar10"),
    "cifar10/fast": ("cifar10.FastNet", {}, "cifar10"),
}


def names():
    """The batch names, as a list."""
    return list(NETS)


def input_form(name):
    """The form of `cnnlib.preprocessing` in which a net of this batch name takes its images, such as "32x32"."""
    return NETS[check_name("model", name, NETS)][2]
