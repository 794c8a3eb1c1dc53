"""Published counts of all nets, and the lecture's table of LeNet-5."""

import csv
import math

import pytest

from cnnlib import models, storage

# name: parameters that are trained, multiply-adds of one image. The lecture and the papers print
# the parameters of the digits' nets; multiply-adds are worked out by hand. Those of the CIFAR-10
# nets were counted on the published definitions; SmallNet's and FastNet's are worked out below.
COUNTS = {
    "linear-20x20": (4_010, 4_000),  # figure 11 prints 4 thousand
    "linear-28x28": (7_850, 7_840),
    "mlp-20x20-300": (123_310, 123_000),  # figure 11: 123
    "mlp-20x20-1000": (411_010, 410_000),
    "mlp-28x28-300": (238_510, 238_200),
    "mlp-28x28-1000": (795_010, 794_000),
    "mlp-28x28-300-100": (266_610, 266_200),
    "mlp-28x28-1000-150": (936_660, 784_000 + 150_000 + 1_500),
    "mlp-28x28-500-150": (469_160, 392_000 + 75_000 + 1_500),
    "lenet-1": (3_246, 57_600 + 76_800 + 1_920),
    "lenet-1-paper": (2_578, 57_600 + 576 + 20 * 25 * 64 + 192 + 1_920),
    "lenet-4": (51_050, 287_600),
    "lenet-4-paper": (50_698, 78_400 + 8 * 196 + 48 * 25 * 100 + 400 + 48_000 + 1_200),
    "lenet-5": (61_706, 416_520),
    "lenet-5-paper": (60_000, 117_600 + 1_176 + 150_000 + 400 + 48_000 + 10_080 + 840),
    "cifar10/vgg16": (14_728_266, 313_201_664),
    "cifar10/resnet18": (11_173_962, 555_422_720),
    "cifar10/resnet50": (23_520_842, 1_297_829_888),
    "cifar10/resnet101": (42_512_970, 2_509_983_744),
    "cifar10/regnetx-200mf": (2_321_946, 223_317_600),
    "cifar10/regnety-400mf": (5_714_362, 467_089_152),
    "cifar10/mobilenetv2": (2_296_922, 91_154_944),
    "cifar10/resnext29-32x4d": (4_774_218, 772_483_072),
    "cifar10/resnext29-2x64d": (9_128_778, 1_409_492_992),
    "cifar10/densenet121": (6_956_298, 888_350_720),
    "cifar10/preactresnet18": (11_171_146, 555_422_720),
    "cifar10/dpn92": (34_236_634, 2_042_422_272),
    # 3x3 convolutions with biases, two numbers of batch norm for each map, a dense layer
    "cifar10/small": (
        sum(9 * a * b + 3 * b for a, b in ((3, 32), (32, 64), (64, 128))) + 2048 * 10 + 10,
        9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * 128 * 8**2) + 2048 * 10,
    ),
    "cifar10/small-no-norm": (
        sum(9 * a * b + b for a, b in ((3, 32), (32, 64), (64, 128))) + 2048 * 10 + 10,
        9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * 128 * 8**2) + 2048 * 10,
    ),
    # LeNet-5 with two more input maps of 5x5 for each map of C1
    **dict.fromkeys(
        ("cifar10/lenet-5", "cifar10/lenet-5-relu", "cifar10/lenet-5-maximum"),
        (61_706 + 2 * 6 * 25, 416_520 + 2 * 6 * 25 * 28**2),
    ),
    # A convolution, six, six and four in the stages, one before each stage but the first; two
    # numbers of batch norm for each map before each convolution of a stage and before the mean
    **dict.fromkeys(
        ("cifar10/plain-20", "cifar10/residual-20"),
        (
            9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 6 * 32**2 + 32 * 64 + 4 * 64**2)
            + (7 * 16 + 7 * 32 + 5 * 64)
            + 2 * (6 * 16 + 6 * 32 + 5 * 64)
            + 640
            + 10,
            9 * (3 * 16 * 32**2 + 6 * 16**2 * 16**2 + (16 * 32 + 6 * 32**2) * 8**2)
            + 9 * (32 * 64 + 4 * 64**2) * 4**2
            + 640,
        ),
    ),
    # 24 biases of the whitening, 3x3 convolutions, one trained number of batch norm for each map
    "cifar10/fast": (
        24 + 9 * (24 * 64 + 64**2 + 64 * 256 + 3 * 256**2) + 2 * (64 + 256 + 256) + 2560,
        12 * 24 * 31**2
        + 9 * (24 * 64 * 31**2 + 64**2 * 15**2 + 64 * 256 * 15**2)
        + 9 * 256**2 * (7**2 + 7**2 + 3**2)
        + 2560,
    ),
}


def trained(net):
    return sum(math.prod(weight.shape) for weight in net.trainable_weights)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name, net):
    assert (trained(net(name)), models.multiply_adds(net(name))) == COUNTS[name]
    assert models.layer_table(net(name)).loc["Total", "Parameters"] == COUNTS[name][0]


def test_each_net_has_its_counts():
    others = {n for n in models.names() if models.net(n).training != "gradient"}
    assert set(COUNTS) == set(models.names()) - others  # vgg16 and boosted nets: see their tests


def test_the_ledger_has_the_same_counts():
    with open(storage.DATA / "published" / "cifar10.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        assert (int(row["parameters"]), int(row["multiply_adds"])) == COUNTS[row["row_id"]]


def test_layer_table_is_the_lectures_table_of_lenet5(net):
    table = models.layer_table(net("lenet-5"))
    words = table.drop(columns=["Parameters", "Connections"]).drop(index="Total")
    assert words.to_numpy().tolist() == [
        ["Input", "Image", "1", "32x32", "-", "-", "-"],
        ["1", "Convolution", "6", "28x28", "5x5", "1", "tanh"],
        ["2", "Average Pooling", "6", "14x14", "2x2", "2", "tanh"],
        ["3", "Convolution", "16", "10x10", "5x5", "1", "tanh"],
        ["4", "Average Pooling", "16", "5x5", "2x2", "2", "tanh"],
        ["5", "Convolution", "120", "1x1", "5x5", "1", "tanh"],
        ["6", "FC", "-", "84", "-", "-", "tanh"],
        ["Output", "FC", "-", "10", "-", "-", "softmax"],
    ]
    columns = ["Layer", "Type", "Feature maps", "Size", "Kernel", "Stride", "Activation"]
    assert list(table.columns) == [*columns, "Parameters", "Connections"]
    assert list(table.index) == ["Input", "C1", "S2", "C3", "S4", "C5", "F6", "output", "Total"]
    assert table["Parameters"].tolist() == [0, 156, 0, 2416, 0, 48120, 10164, 850, 61706]
    connections = [0, 122304, 4704, 241600, 1600, 48120, 10164, 850, 429342]
    assert table["Connections"].tolist() == connections
    assert table["Parameters"].dtype == table["Connections"].dtype == "int64"


FULLY_CONNECTED = {"linear-20x20": 4_010, "mlp-20x20-300": 123_310, "mlp-28x28-1000": 795_010}
FULLY_CONNECTED |= {"mlp-28x28-300-100": 266_610, "mlp-28x28-500-150": 469_160}

# layer: (parameters, connections), as the papers print them
PAPER = {
    "lenet-5-paper": {
        **{"C1": (156, 122304), "S2": (12, 5880), "C3": (1516, 151600), "S4": (32, 2000)},
        **{"C5": (48120, 48120), "F6": (10164, 10164), "output": (0, 840)},
        "Total": (60000, 340908),
    },
    "lenet-1-paper": {
        **{"C1": (104, 59904), "S2": (8, 2880), "C3": (512, 32768), "S4": (24, 960)},
        **{"output": (1930, 1930), "Total": (2578, 98442)},
    },
    "lenet-4-paper": {"S2": (16, 7840), "C5": (48120, 48120), "Total": (50698, 262306)},
    # Figure 11's "multiply-adds" of these nets, in thousands, are connections.
    **{name: {"Total": (n, n)} for name, n in FULLY_CONNECTED.items()},
}


@pytest.mark.parametrize("name", PAPER)
def test_paper_forms_have_the_papers_counts(name, net):
    table = models.layer_table(net(name))
    for layer, counts in PAPER[name].items():
        assert tuple(table.loc[layer, ["Parameters", "Connections"]]) == counts, layer


def test_layer_table_names_what_the_papers_have(net):
    table = models.layer_table(net("lenet-5-paper"))
    types = ["Convolution", "Subsampling", "Convolution (table)", "Subsampling"]
    assert table["Type"].tolist()[1:5] == types
    assert set(table["Activation"].iloc[1:7]) == {"scaled_tanh"}
    assert table.loc["output", ["Layer", "Activation"]].tolist() == ["Output", "RBF"]
    assert models.layer_table(net("linear-20x20")).loc["output", "Activation"] == "-"
    for name, layer in (("mlp-28x28-300", "F1"), ("lenet-1", "C3"), ("lenet-4", "C5")):
        assert models.layer_table(net(name)).loc[layer, "Activation"] == "tanh", name
    row = models.layer_table(net("lenet-1")).loc["output"]
    assert row[1:7].tolist() == ["Convolution", "10", "1x1", "4x4", "1", "sigmoid"]


def test_layer_table_of_a_cifar10_net(net):
    """Connections counted by hand for the first layers."""
    table = models.layer_table(net("cifar10/resnet18"))
    assert table.loc["conv1"].tolist()[1:5] == ["Convolution", "64", "32x32", "3x3"]
    assert table.loc["conv1", "Connections"] == 3 * 3 * 3 * 64 * 32 * 32
    assert table.loc["bn1", ["Type", "Activation"]].tolist() == ["Batch Norm", "relu"]
    assert table.loc["bn1", "Connections"] == 2 * 64 * 32 * 32
    assert table.loc["stage2_block1_conv1", "Stride"] == "2"
    fast = models.layer_table(net("cifar10/fast"))
    assert fast.loc["whitening", "Parameters"] == 24  # its biases: the kernel is not trained
    assert fast.loc["whitening", "Connections"] == (2 * 2 * 3 + 1) * 24 * 31 * 31
