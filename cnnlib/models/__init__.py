"""The nets: one function each, named as in the literature, and one name each for commands.

`build(name)` builds any of `names()`, which `cnnlib.registry` declares. Every net returns logits
(n, classes), except lenet-5-paper, whose RBF units return distances: smaller is better. `scores`
turns either into numbers of which the largest is the answer. Importing this package registers the
layers of the course with Keras: after it, `keras.saving.load_model` reads every net of the course.
"""

from cnnlib.models import cifar10, layers, lenet
from cnnlib.models.building import build, committee, members
from cnnlib.models.layers import RBFLoss, RBFOutput, digit_codes, scores
from cnnlib.models.lenet import LeNet1, LeNet4, LeNet5
from cnnlib.models.mlp import MLP, Linear
from cnnlib.models.table import layer_table, multiply_adds, trainable_parameters
from cnnlib.models.trained import load, load_trained, trained_nets, trained_path
from cnnlib.models.vgg import VGG16, VGGPreprocessing, vgg16_weights
from cnnlib.registry import Net, input_format, names, net
