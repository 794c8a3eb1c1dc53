"""The nets. One function each, named as the literature names it, and batch names for the forms that are trained and compared.

    batch name           net                                            input form
    linear-20x20         20x20 -> 10                                    20x20
    linear-28x28         28x28 -> 10                                    28x28
    mlp-20x20-300        20x20 -> 300 -> 10                             20x20
    mlp-20x20-1000       20x20 -> 1000 -> 10                            20x20
    mlp-28x28-300        28x28 -> 300 -> 10                             28x28
    mlp-28x28-1000       28x28 -> 1000 -> 10                            28x28
    mlp-28x28-300-100    28x28 -> 300 -> 100 -> 10                      28x28
    mlp-28x28-1000-150   28x28 -> 1000 -> 150 -> 10 (the paper's text)  28x28
    mlp-28x28-500-150    28x28 -> 500 -> 150 -> 10 (its figures)        28x28
    lenet-1              LeNet-1 in the lecture's form                  16-in-28
    lenet-1-paper        LeNet-1 with the paper's choices               16-in-28
    lenet-4              LeNet-4 in the lecture's form                  32x32
    lenet-4-paper        LeNet-4 with the paper's choices               32x32
    lenet-5              LeNet-5 in the lecture's form                  32x32
    lenet-5-paper        LeNet-5 with the paper's choices, RBF output   32x32
    vgg16                VGG16 of 2014, for transfer learning            rgb

The lecture's benchmark on CIFAR-10, functions of `cnnlib.models.cifar10`:

    cifar10/vgg16             VGG16                                     cifar10
    cifar10/resnet18          ResNet18                                  cifar10
    cifar10/resnet50          ResNet50                                  cifar10
    cifar10/resnet101         ResNet101                                 cifar10
    cifar10/regnetx-200mf     RegNetX_200MF                             cifar10
    cifar10/regnety-400mf     RegNetY_400MF                             cifar10
    cifar10/mobilenetv2       MobileNetV2                               cifar10
    cifar10/resnext29-32x4d   ResNeXt29_32x4d                           cifar10
    cifar10/resnext29-2x64d   ResNeXt29_2x64d                           cifar10
    cifar10/densenet121       DenseNet121                               cifar10
    cifar10/preactresnet18    PreActResNet18                            cifar10
    cifar10/dpn92             DPN92                                     cifar10
    cifar10/fast              FastNet: our own, none of the twelve      cifar10

Every net gives logits (n, classes), except lenet-5-paper, whose RBF units give distances, where smaller is better: `scores` turns either
into numbers where larger is better. Saved nets load with keras.saving.load_model once `cnnlib.models` is imported.
"""

import inspect
import operator
import sys

from cnnlib.errors import check_name
from cnnlib.models import cifar10
from cnnlib.models.layers import RBFLoss, RBFOutput, digit_codes
from cnnlib.models.lenet import LeNet1, LeNet4, LeNet5
from cnnlib.models.linear import MLP, Linear
from cnnlib.models.registry import NETS, input_form, names
from cnnlib.models.tables import layer_table, multiply_adds
from cnnlib.models.vgg import VGG16, VGGPreprocessing, vgg16_weights

__all__ = [
    "MLP",
    "VGG16",
    "LeNet1",
    "LeNet4",
    "LeNet5",
    "Linear",
    "RBFLoss",
    "RBFOutput",
    "VGGPreprocessing",
    "build",
    "cifar10",
    "digit_codes",
    "input_form",
    "layer_table",
    "multiply_adds",
    "names",
    "scores",
    "vgg16_weights",
]


def build(name, **options):
    """Build the net of a batch name as a new keras.Model of that name ("/" becomes "-", which Keras asks for); `options` go before those
    of the table above.

    Raises InputError for an unknown name, an option that the net does not have, or a value that cannot be.
    """
    function, chosen, _ = NETS[check_name("model", name, NETS)]
    function = operator.attrgetter(function)(sys.modules[__name__])
    known = [option for option in inspect.signature(function).parameters if option != "name"]
    for option in options:
        check_name(f"option of {name}", option, known)
    return function(**chosen | options, name=name.replace("/", "-"))


def scores(model, outputs):
    """Outputs of `model`, an array or tensor (n, classes), turned so that larger is better: distances of RBF units change their sign."""
    return -outputs if isinstance(model.layers[-1], RBFOutput) else outputs
