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
    others = {name for name in models.names() if name.startswith("cifar10/")} | {
        "vgg16"
    }  # test_cifar10.py, test_vgg.py
    assert set(models.names()) - set(PARAMETERS) == others
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


@pytest.mark.parametrize("count", [models.layer_table, models.multiply_adds])
def test_a_layer_of_another_kind_is_refused(count):
    images = keras.Input((8, 8, 1))
    model = keras.Model(images, keras.layers.DepthwiseConv2D(3, name="depth")(images))
    with pytest.raises(InputError, match=r"depth \(DepthwiseConv2D\)"):
        count(model)
