"""Drawings of nets: what they show is read back from the layers, and from the figure's texts."""

import re

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from cnnlib import models, plots
from cnnlib.errors import InputError
from cnnlib.plots.net_steps import layers_of


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_lenet_5_is_drawn_with_the_sizes_and_counts_of_the_paper():
    steps = layers_of(models.build("lenet-5-paper"))
    assert [(step.name, step.size, step.parameters) for step in steps] == [
        ("input", "1@32x32", 0),
        ("C1", "6@28x28", 156),
        ("S2", "6@14x14", 12),
        ("C3", "16@10x10", 1516),
        ("S4", "16@5x5", 32),
        ("C5", "120@1x1", 48120),
        ("F6", "84", 10164),
        ("output", "10", 0),
    ]
    assert [step.kernel for step in steps] == [0, 5, 2, 5, 2, 5, 0, 0]


def test_the_boxes_have_the_proportions_of_the_maps():
    figure = plots.architecture(models.build("lenet-5"))
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    boxes = [box for box in boxes if box.get_facecolor()[:3] != (1, 1, 1) or box.get_width() > 1]
    sides = [round(box.get_width(), 6) for box in boxes]
    assert all(box.get_width() == box.get_height() for box in boxes)
    largest = max(sides)
    shares = [round(32 * side / largest) for side in dict.fromkeys(sides)]
    assert shares == [32, 28, 14, 10, 5]
    assert [sides.count(side) for side in dict.fromkeys(sides)] == [1, 6, 6, 8, 8]


def test_units_are_circles_and_a_large_layer_is_shortened():
    figure = plots.architecture(models.build("mlp-20x20-300"))
    drawn = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert sum(circle.radius > 0.02 for circle in drawn) == 8 + 10
    assert sum(circle.radius < 0.02 for circle in drawn) == 3  # the dots between


SMALL = ("linear-20x20", "mlp-28x28-300-100", "lenet-1", "lenet-4", "lenet-5", "lenet-5-paper")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SMALL else pytest.mark.slow)
        for name in models.names()
        if not name.startswith("boosted-")
    ],
)
def test_every_net_of_the_course_can_be_drawn(name, tmp_path):
    model = models.build(name)
    figure = plots.architecture(model)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert f"{trainable:,} parameters" in " ".join(texts(figure))
    steps = layers_of(model)
    assert 2 <= len(steps) <= 13
    alt = plots.alt_text(figure)
    for step in steps[1:]:
        shape = step.shape
        words = f"{shape[-1]:,} units" if step.units else f"{shape[2]:,} maps of {shape[0]}x"
        assert words in alt
    figure.canvas.draw()
    inside = figure.bbox.padded(1)
    for text in figure.axes[0].texts:  # nothing is cut off
        box = text.get_window_extent()
        assert not text.get_text() or (
            inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        ), (text.get_text(), box)
    heads = [t for t in figure.axes[0].texts if t.get_fontsize() == 10 and t.get_text()]
    boxes = [text.get_window_extent() for text in heads]
    for i, box in enumerate(boxes):  # no label lies over another
        assert box.count_overlaps(boxes[:i]) == 0, heads[i].get_text()


@pytest.mark.slow
def test_vgg16_is_drawn_by_stages_as_the_lecture_prints_it():
    steps = layers_of(models.build("vgg16"))
    assert [(step.name, step.size) for step in steps[1:7]] == [
        ("C0–C2", "64@224x224"),
        ("C5–C7", "128@112x112"),
        ("C10–C14", "256@56x56"),
        ("C17–C21", "512@28x28"),
        ("C24–C28", "512@14x14"),
        ("S30", "512@7x7"),
    ]
    assert "3 times 3x3" in steps[3].operation and "2x2 maximum" in steps[3].operation
    assert sum(step.parameters for step in steps) == 138_357_544


def test_resnet18_is_drawn_by_its_stages():
    steps = layers_of(models.build("cifar10/resnet18"))
    assert [(step.name, step.size) for step in steps[2:6]] == [
        ("stage 1", "64@32x32"),
        ("stage 2", "128@16x16"),
        ("stage 3", "256@8x8"),
        ("stage 4", "512@4x4"),
    ]
    assert steps[3].operation == "2 blocks of\n3x3 3x3"


def test_batch_norm_and_fixed_weights_are_named_where_they_count():
    conv1 = layers_of(models.build("cifar10/small"))[1]
    assert conv1.operation.split("\n") == ["3x3", "convolution", "batch norm", "ReLU"]
    assert conv1.parameters == (3 * 3 * 3 + 1) * 32 + 2 * 32
    whitening = layers_of(models.build("cifar10/fast"))[1]
    assert whitening.operation.endswith("288 fixed") and whitening.parameters == 24


def test_a_committee_is_drawn_as_one_of_its_members():
    steps = layers_of(models.build("boosted-lenet-4"))
    assert [step.name for step in steps] == ["input", "C1", "S2", "C3", "S4", "C5", "output"]
    assert steps[-1].operation.endswith("one of 3 nets")


def residual(layers=9):
    images = x = keras.Input((32, 32, 3))
    for width in (16, 32):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
        for _ in range(layers // 2):
            y = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
            x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10)(x))


def test_a_learners_own_nets_are_drawn_too():
    net = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    steps = layers_of(net)
    assert [step.size for step in steps] == ["1@28x28", "8@26x26", "8@13x13", "10"]
    assert steps[1].operation == "3x3\nconvolution\nReLU" and steps[1].name == ""
    steps = layers_of(residual())
    assert [step.size for step in steps] == ["3@32x32", "16@16x16", "32@8x8", "32", "10"]
    assert "4 shortcuts" in steps[1].operation
    plots.architecture(residual())


def test_a_net_without_a_size_is_refused():
    for net in (keras.Sequential([keras.layers.Dense(3)]), models.build("lenet-5", classes=5)):
        net = keras.Sequential([keras.layers.Input((None, None, 1)), keras.layers.Conv2D(2, 3)])
        with pytest.raises(InputError, match=r"build it with keras\.layers\.Input"):
            plots.architecture(net)


def test_an_image_can_be_shown_as_the_input():
    image = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32, 1)
    figure = plots.architecture(models.build("lenet-5"), image=image)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), image[..., 0])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", ["3x3, 128 maps, stride 2", "1x1, 128 maps, stride 2", "sum, ReLU"]),
        pytest.param(
            "resnet50",
            ["1x1, 128 maps", "1x1, 512 maps", "sum, ReLU, from box 3 and box 4"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "densenet121",
            ["batch norm, ReLU, from the block's input", "concatenate, from box 3"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "regnety-400mf",
            ["average of each map", "sigmoid", "product, from box 2 and box 5"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dpn92", ["in 32 groups", "sum and concatenate, ReLU"], marks=pytest.mark.slow
        ),
        pytest.param(
            "mobilenetv2",
            ["96 maps, one for each map", "sum, from box 3 and box 4"],
            marks=pytest.mark.slow,
        ),
        ("preactresnet18", ["(1) batch norm, ReLU", "sum, from box 2 and box 4"]),
    ],
)
def test_a_block_shows_its_layers_and_its_shortcut(name, words):
    model = models.build(f"cifar10/{name}")
    figure = plots.block(model)
    alt = plots.alt_text(figure)
    for each in words:
        assert each in alt
    drawn = " ".join(texts(figure)).replace("\n", ", ")
    assert re.search(r"\d+ maps of \d+x\d+", drawn)


def test_the_second_block_of_a_stage_has_an_empty_shortcut():
    figure = plots.block(models.build("cifar10/resnet18"), "stage2_block2")
    assert "sum, ReLU, from box 2 and the block's input" in plots.alt_text(figure)


def test_blocks_of_several_nets_stand_side_by_side():
    nets = [models.build(f"cifar10/{name}") for name in ("resnet18", "preactresnet18")]
    figure = plots.blocks({"ResNet": nets[0], "PreAct": nets[1]})
    assert [axis.get_title() for axis in figure.axes[:2]] == ["ResNet", "PreAct"]
    assert "ResNet18" in plots.alt_text(figure) and "PreActResNet18" in plots.alt_text(figure)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 4])
def test_the_words_of_a_box_lie_inside_it(columns):
    names = [name for name in models.names() if name.startswith("cifar10/")]
    nets = [models.build(name) for name in names if name not in ("cifar10/fast", "cifar10/small")]
    for start in range(0, len(nets), columns):
        figure = plots.blocks(nets[start : start + columns])
        figure.canvas.draw()
        for axis in figure.axes:
            boxes = [p.get_window_extent() for p in axis.patches if isinstance(p, FancyBboxPatch)]
            words = {t: t.get_window_extent() for t in axis.texts if t.get_text()}
            for box in boxes:
                for text, place in words.items():
                    if box.contains((place.x0 + place.x1) / 2, (place.y0 + place.y1) / 2):
                        assert box.padded(1).contains(place.x0, place.y0), text
                        assert box.padded(1).contains(place.x1, place.y1), text
        plt.close(figure)


def test_a_block_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no layers that are named after stage and block"):
        plots.block(models.build("lenet-5"))
    with pytest.raises(InputError, match=r"has no block .stage9_block1.\. It has stage1_block1"):
        plots.block(models.build("cifar10/resnet18"), "stage9_block1")


def test_a_drawing_is_written_with_its_text(tmp_path):
    figure = plots.architecture(models.build("lenet-1"))
    svg = plots.save(figure, tmp_path / "lenet.svg").read_text(encoding="utf-8")
    assert 'aria-label="LeNet-1 of the lecture, drawn as boxes' in svg and ">C3</text>" in svg
    again = plots.save(figure, tmp_path / "again.svg").read_text(encoding="utf-8")
    assert again == svg
    assert plots.save(figure, tmp_path / "lenet.png").stat().st_size > 1000
    with pytest.raises(InputError, match=r"ends in \.svg or \.png"):
        plots.save(figure, tmp_path / "lenet.jpg")
