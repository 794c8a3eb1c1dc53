"""Published counts, and the lecture's table of LeNet-5."""

import keras
import pytest

from cnnlib import models
from cnnlib.errors import InputError


def test_layer_table_is_the_lectures_table_of_lenet5():
    table = models.layer_table(models.LeNet5())
    assert table.drop(columns=["Parameters", "Connections"]).drop(
        index="Total"
    ).to_numpy().tolist() == [
        ["Input", "Image", "1", "32x32", "-", "-", "-"],
        ["1", "Convolution", "6", "28x28", "5x5", "1", "tanh"],
        ["2", "Average Pooling", "6", "14x14", "2x2", "2", "tanh"],
        ["3", "Convolution", "16", "10x10", "5x5", "1", "tanh"],
        ["4", "Average Pooling", "16", "5x5", "2x2", "2", "tanh"],
        ["5", "Convolution", "120", "1x1", "5x5", "1", "tanh"],
        ["6", "FC", "-", "84", "-", "-", "tanh"],
        ["Output", "FC", "-", "10", "-", "-", "softmax"],
    ]
    assert list(table.columns) == [
        "Layer",
        "Type",
        "Feature maps",
        "Size",
        "Kernel",
        "Stride",
        "Activation",
        "Parameters",
        "Connections",
    ]
    assert list(table.index) == ["Input", "C1", "S2", "C3", "S4", "C5", "F6", "output", "Total"]
    assert table["Parameters"].tolist() == [0, 156, 0, 2416, 0, 48120, 10164, 850, 61706]
    assert table["Connections"].tolist() == [
        0,
        122304,
        4704,
        241600,
        1600,
        48120,
        10164,
        850,
        429342,
    ]
    assert table["Parameters"].dtype == table["Connections"].dtype == "int64"


# layer: (parameters, connections), as the papers print them
PAPER = {
    "lenet-5-paper": {
        "C1": (156, 122304),
        "S2": (12, 5880),
        "C3": (1516, 151600),
        "S4": (32, 2000),
        "C5": (48120, 48120),
        "F6": (10164, 10164),
        "output": (0, 840),
        "Total": (60000, 340908),
    },
    "lenet-1-paper": {
        "C1": (104, 59904),
        "S2": (8, 2880),
        "C3": (512, 32768),
        "S4": (24, 960),
        "output": (1930, 1930),
        "Total": (2578, 98442),
    },
    "lenet-4-paper": {"S2": (16, 7840), "C5": (48120, 48120), "Total": (50698, 262306)},
}


@pytest.mark.parametrize("name", PAPER)
def test_paper_forms_have_the_papers_counts(name):
    model = models.build(name)
    table = models.layer_table(model)
    for layer, counts in PAPER[name].items():
        assert tuple(table.loc[layer, ["Parameters", "Connections"]]) == counts, layer
    assert model.count_params() == PAPER[name]["Total"][0]


PARAMETERS = {
    "linear-20x20": 4010,
    "linear-28x28": 7850,
    "mlp-20x20-300": 123310,
    "mlp-20x20-1000": 411010,
    "mlp-28x28-300": 238510,
    "mlp-28x28-1000": 795010,
    "mlp-28x28-300-100": 266610,
    "mlp-28x28-1000-150": 936660,
    "mlp-28x28-500-150": 469160,
    "lenet-1": 3246,
    "lenet-1-paper": 2578,
    "lenet-4": 51050,
    "lenet-4-paper": 50698,
    "lenet-5": 61706,
    "lenet-5-paper": 60000,
}


def test_parameter_counts_of_all_nets():
    digits = {
        name
        for name in models.names()
        if models.net(name).training == "gradient" and models.input_format(name) != "cifar10"
    }  # the others are in test_cifar10.py, test_vgg.py and test_registry.py
    assert set(PARAMETERS) == digits
    assert {name: models.build(name).count_params() for name in PARAMETERS} == PARAMETERS


# figure 11 in thousands, where it agrees with the products
@pytest.mark.parametrize(
    "name, products, printed", [("linear-20x20", 4000, 4), ("mlp-20x20-300", 123000, 123)]
)
def test_multiply_adds_are_figure_11(name, products, printed):
    assert models.multiply_adds(models.build(name)) == products
    assert round(products / 1000) == printed


@pytest.mark.parametrize(
    "name, products",
    [
        ("lenet-5", 416520),
        ("lenet-5-paper", 117600 + 1176 + 150000 + 400 + 48000 + 10080 + 840),
        ("mlp-28x28-1000", 794000),
        ("mlp-28x28-300-100", 266200),
    ],
)
def test_multiply_adds_count_products_only(name, products):
    assert models.multiply_adds(models.build(name)) == products


# figure 11 in thousands: its "multiply-adds" of these nets are connections
@pytest.mark.parametrize(
    "name, printed",
    [
        ("linear-20x20", 4),
        ("mlp-20x20-300", 123),
        ("mlp-28x28-1000", 795),
        ("mlp-28x28-300-100", 267),
        ("mlp-28x28-500-150", 469),
    ],
)
def test_connections_of_the_fully_connected_nets_are_figure_11(name, printed):
    assert (
        round(models.layer_table(models.build(name)).loc["Total", "Connections"] / 1000) == printed
    )


@pytest.mark.parametrize(
    "name, activation",
    [
        ("linear-28x28", "softmax"),
        ("lenet-1", "sigmoid"),
        ("lenet-4", "softmax"),
        ("lenet-5-paper", "RBF"),
    ],
)
def test_layer_table_prints_the_published_output(name, activation):
    row = models.layer_table(models.build(name)).loc["output"]
    assert row["Activation"] == activation and row["Layer"] == "Output"


def test_layer_table_shows_lenet1s_output_as_the_convolution_that_it_is():
    row = models.layer_table(models.LeNet1()).loc["output"]
    assert (row["Type"], row["Feature maps"], row["Size"], row["Kernel"]) == (
        "Convolution",
        "10",
        "1x1",
        "4x4",
    )


def test_layer_table_names_the_papers_layers_and_squashing():
    table = models.layer_table(models.build("lenet-5-paper"))
    assert table["Type"].tolist()[1:5] == [
        "Convolution",
        "Subsampling",
        "Convolution (table)",
        "Subsampling",
    ]
    assert set(table["Activation"].iloc[1:7]) == {"scaled_tanh"}


def test_layer_table_of_a_cifar10_net_has_all_its_parameters():
    """ResNet18's published 11,173,962, and each connection counted by hand for its first layers."""
    table = models.layer_table(models.build("cifar10/resnet18"))
    assert table.loc["Total", "Parameters"] == 11_173_962
    assert tuple(table.loc["conv1", ["Type", "Feature maps", "Size", "Stride"]]) == (
        "Convolution",
        "64",
        "32x32",
        "1",
    )
    assert table.loc["conv1", "Connections"] == 3 * 3 * 3 * 64 * 32 * 32
    assert table.loc["bn1", ["Type", "Activation"]].tolist() == ["Batch Norm", "relu"]
    assert table.loc["bn1", "Connections"] == 2 * 64 * 32 * 32
    assert table.loc["stage2_block1_conv1", "Stride"] == "2"
    fast = models.layer_table(models.build("cifar10/fast"))
    assert fast.loc["whitening", "Parameters"] == 24  # its biases: the kernel is not trained
    assert fast.loc["whitening", "Connections"] == (2 * 2 * 3 + 1) * 24 * 31 * 31


WORDS = {
    "mlp-28x28-300": "mlp-28x28-300: an image of 28x28 pixels, one channel; F1, fully connected, "
    "300 units, tanh; output, fully connected, 10 units, softmax. 238,510 parameters.",
    "lenet-5": "lenet-5: an image of 32x32 pixels, one channel; C1, 5x5 convolution to 6 maps of "
    "28x28, tanh; S2, 2x2 average pooling to 6 maps of 14x14, tanh; C3, 5x5 convolution to 16 maps "
    "of 10x10, tanh; S4, 2x2 average pooling to 16 maps of 5x5, tanh; C5, 5x5 convolution to 120 "
    "maps of 1x1, tanh; F6, fully connected, 84 units, tanh; output, fully connected, 10 units, "
    "softmax. 61,706 parameters.",
    "cifar10/resnet18": "cifar10-resnet18: an image of 32x32 pixels, 3 channels; 5 convolutions to "
    "64 maps of 32x32, with shortcuts; 5 convolutions to 128 maps of 16x16, with shortcuts; 5 "
    "convolutions to 256 maps of 8x8, with shortcuts; 5 convolutions to 512 maps of 4x4, with "
    "shortcuts; global average pooling to 512 numbers; output, fully connected, 10 units, softmax. "
    "11,173,962 parameters.",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_net_in_words(name):
    assert models.describe(models.build(name)) == WORDS[name]


def test_words_of_other_nets():
    paper = models.describe(models.build("lenet-5-paper"))
    assert paper.endswith(
        "F6, fully connected, 84 units, scaled_tanh; output, 10 RBF units. 60,000 parameters."
    )
    boosted = models.describe(models.build("boosted-lenet-4"))
    assert boosted.startswith("boosted-lenet-4: 3 nets that take the same image and vote")
    assert boosted.endswith("51,050 parameters.")
    base = models.describe(models.VGG16(include_top=False, input_shape=(64, 64, 3)))
    assert (
        "3 convolutions to 512 maps of 4x4; " in base
        and "S30, 2x2 max pooling to 512 maps of 2x2" in base
    )
    # squeeze and excitation is no layer of its own size
    regnet = models.describe(models.build("cifar10/regnety-400mf"))
    assert "1x1" not in regnet and "maps of 16x16, with shortcuts" in regnet


@pytest.mark.parametrize("call", [models.layer_table, models.multiply_adds, models.describe])
@pytest.mark.parametrize("value", [None, "lenet-5", models.LeNet5, keras.layers.Dense(3)])
def test_only_a_net_has_layers(call, value):
    with pytest.raises(InputError, match=r"model is .* expected an instance of"):
        call(value)


@pytest.mark.parametrize("call", [models.layer_table, models.multiply_adds, models.describe])
def test_a_net_for_images_of_any_size_has_no_counts(call):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, keras.layers.Conv2D(4, 3)(images), name="any-size")
    with pytest.raises(InputError, match="any-size has no single input of known size"):
        call(model)


def test_the_table_of_a_committee_is_that_of_a_member():
    with pytest.raises(InputError, match=r"net-1 is a net inside the net: give one member"):
        models.layer_table(models.build("boosted-linear-20x20"))


@pytest.mark.parametrize("count", [models.layer_table, models.multiply_adds])
def test_a_layer_of_another_kind_is_refused(count):
    images = keras.Input((8, 8, 1))
    model = keras.Model(images, keras.layers.DepthwiseConv2D(3, name="depth")(images))
    with pytest.raises(InputError, match=r"depth \(DepthwiseConv2D\)"):
        count(model)
