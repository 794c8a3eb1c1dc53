"""What the figures show, read back from them; how they look is for the eye, in the notebooks."""

import os
import subprocess
import sys

import matplotlib.pyplot as plt
import nbclient
import nbconvert
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Circle, Rectangle

from cnnlib import models, plots, results
from cnnlib.plots.nets import steps_of

RECAP = pd.DataFrame(
    {
        "title": ["net A", "net A", "net B", "net C"],
        "published": [3.0, 3.0, 2.0, 1.0],
        "measured_mean": [2.5, 1.5, 1.8, np.nan],
        "measured_std": [0.1, 0.2, np.nan, np.nan],
        "n": [5, 5, 1, 0],
        "protocol": ["plain", "distorted", "plain", ""],
        "origin": ["ledger", "ledger", "this machine", ""],
    }
)
COSTS = pd.DataFrame(
    {"weights": [1e3, 1e4, 1e5], "multiply-adds": [1e4, 1e5, 1e6]},
    index=["net A", "net B", "net C"],
)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def words(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts if text.get_text()]


# Results


def test_published_beside_measured_has_a_line_for_each_net_and_readable_ticks():
    figure = plots.published_beside_measured(results.recap("mnist", local=False))
    titles = results.published("mnist")["title"].tolist()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == titles
    axis = plots.published_beside_measured(RECAP).axes[0]
    low, high = axis.get_xlim()
    assert sum(low <= tick <= high for tick in axis.get_xticks()) >= 4
    bars = {each.get_label(): each.lines[0] for each in axis.containers}
    for protocol in ("plain", "distorted"):
        line = bars[f"measured, {protocol}"]
        look = {"color": line.get_color(), "marker": line.get_marker()}
        assert look == plots.PROTOCOLS[protocol]
    np.testing.assert_array_equal(bars["measured, distorted"].get_xydata()[:, 0], [1.5])
    own = bars["this machine, plain"]  # never drawn like a published one
    np.testing.assert_array_equal(own.get_xydata()[:, 0], [1.8])
    assert own.get_markerfacecolor() == "none" != bars["measured, plain"].get_markerfacecolor()


def test_accuracy_against_costs_draws_every_net_and_the_front_that_none_beats():
    accuracy = pd.Series([90.0, 89, 92, 91, 92, 95], list("abcdef"))
    costs = pd.DataFrame(
        {"weights": [1.0, 1, 2, 3, 4, 5], "ms": [1.0, 1, 2, 3, 4, np.nan]}, accuracy.index
    )
    figure = plots.accuracy_against_costs(accuracy, costs, "Cost", (accuracy - 1, accuracy + 1))
    for axis, nets, front in zip(figure.axes, ("abcdef", "abcde"), ("acf", "ac"), strict=True):
        line, every, best = axis.lines
        assert [text.get_text() for text in axis.texts] == list(nets)
        np.testing.assert_array_equal(every.get_ydata(), accuracy[list(nets)])
        np.testing.assert_array_equal(best.get_ydata(), accuracy[list(front)])
        assert line.get_xydata()[1].tolist() == [2, 90] and line.get_xydata()[2].tolist() == [2, 92]
    assert "by weights: a, c, f; by ms: a, c" in plots.alt_text(figure)


def test_labels_of_marks_that_lie_close_do_not_collide():
    names = [f"a long name {i}" for i in range(5)]
    accuracy = pd.Series([90.0, 90.1, 90.2, 90.25, 95], names)
    costs = pd.DataFrame({"weights": [1e6, 1.1e6, 1.2e6, 1.1e6, 3e6]}, names)
    figure = plots.accuracy_against_costs(accuracy, costs, "Close")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0, names[i]


def test_learning_curves_go_from_the_lowest_to_the_highest_seed():
    runs = pd.DataFrame(
        [("a", 1, 2.0, 8.0), ("a", 2, 1.0, 4.0), ("b", 1, 4.0, 6.0), ("b", 2, 2.0, 2.0)],
        columns=["run_id", "epoch", "loss", "train_error"],
    )
    loss, error = plots.learning_curves({"a net": runs}).axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [3.0, 1.5])
    np.testing.assert_array_equal(error.lines[0].get_ydata(), [7.0, 3.0])
    band = loss.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 4.0)
    names = [axis.lines[0].get_label() for axis in (loss, error)]
    assert names == ["a net (2 seeds)", "a net: ends at 2–4"]
    one = runs[:2].drop(columns="run_id").assign(validation_error=[9.0, 5.0])
    figure = plots.learning_curves({"a net": one})
    names = [line.get_label() for line in figure.axes[1].lines]
    assert names == ["a net, training", "a net, validation"]
    assert "training error 4.00 %, validation error 5.00 % after 2 epochs" in plots.alt_text(figure)


def test_a_heat_map_shows_each_number_and_leaves_the_missing_ones_empty():
    table = pd.DataFrame({"32": [1.0, 2.0], "64": [np.nan, 4.0]}, index=["low", "high"])
    figure = plots.heat_map(table, "Grid", "pixels")
    assert words(figure) == ["1.0", "2.0", "4.0"]
    assert "from 1.0 to 4.0, the largest for high at 64 pixels" in plots.alt_text(figure)


# Images


def test_each_feature_map_has_a_scale_of_its_own_and_ink_is_dark():
    maps = np.random.RandomState(0).rand(8, 8, 3) * [1, 100, 0]
    units = np.array([[[0.0, 1.0, 4.0]]])
    figure = plots.feature_maps([maps, units], ["C1", "C5"])
    drawn = [axis.images[0] for axis in figure.axes]
    for column in (0, 1):
        shown = maps[..., column]
        assert drawn[column].get_clim() == (shown.min(), shown.max())
        assert drawn[column].get_cmap().name == "gray_r"
    assert words(figure) == ["0"] and not drawn[2].get_visible()
    assert {each.get_clim() for each in drawn[3:]} == {(0, 4)}  # maps of one pixel share theirs


def test_mistakes_are_shown_surest_first():
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.05, 0.95], [0.6, 0.4]])
    images = np.zeros((4, 28, 28, 1), np.uint8)
    figure = plots.mistakes(images, np.array([0, 0, 0, 1]), answers, ["cat", "dog"], count=2)
    titles = [axis.get_title(loc="center") for axis in figure.axes]
    assert titles[:2] == ["dog (95 %)\nlabel cat", "dog (80 %)\nlabel cat"]


def test_every_figure_of_images_has_a_frame_and_an_alt_text():
    digits = np.zeros((3, 28, 28, 1), np.uint8)
    matrix = plots.confusion_matrix([0, 1, 2, 2], [0, 1, 1, 1], ["cat", "dog", "frog"])
    assert plots.alt_text(matrix).endswith("the label frog got the answer dog, 2 times.")
    for figure in (
        plots.image_grid(digits, ["one", "two", "three"], title="Digits"),
        plots.image_rows({"as it is": digits, "deslanted": digits}),
        plots.weights_as_images(np.ones((2, 5, 5)), ["unit 1", "unit 2"]),
        plots.connection_table([[0], [0, 1]], 2, "A table"),
    ):
        assert len(figure.get_label()) > 30 and "\n" not in figure.get_label()
        assert figure.axes[0].spines["left"].get_visible()  # also of an empty page
    expected = "A table: 3 of 4 connections between 2 input maps and 2 output maps."
    assert plots.alt_text(figure) == expected


# Nets


def test_lenet_5_is_drawn_with_the_sizes_and_counts_of_the_paper():
    steps = steps_of(models.build("lenet-5-paper"))
    assert [(step.name, step.size, step.parameters, step.kernel) for step in steps] == [
        ("input", "1@32x32", 0, 0),
        ("C1", "6@28x28", 156, 5),
        ("S2", "6@14x14", 12, 2),
        ("C3", "16@10x10", 1516, 5),
        ("S4", "16@5x5", 32, 2),
        ("C5", "120@1x1", 48120, 5),
        ("F6", "84", 10164, 0),
        ("output", "10", 0, 0),
    ]


def test_boxes_have_the_proportions_of_the_maps_and_units_are_circles():
    image = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32, 1)
    figure = plots.architecture(models.build("lenet-5"), image=image)
    axis = figure.axes[0]
    boxes = [box for box in axis.patches if isinstance(box, Rectangle) and box.get_fill()]
    assert all(box.get_width() == box.get_height() for box in boxes)
    shares = [round(32 * box.get_width() / boxes[0].get_width()) for box in boxes]
    assert shares == [32] + 6 * [28] + 6 * [14] + 8 * [10] + 8 * [5]
    circles = [each.center[0] for each in axis.patches if isinstance(each, Circle)]
    assert [circles.count(x) for x in dict.fromkeys(circles)] == [12, 12, 10]  # of 120, 84, 10
    np.testing.assert_array_equal(axis.images[0].get_array(), image[..., 0])


@pytest.mark.parametrize(
    "name", ["mlp-28x28-300-100", "lenet-5-paper", "cifar10/fast", "cifar10/densenet121", "vgg16"]
)
def test_every_net_of_the_course_can_be_drawn(name):
    model = models.build(name)
    figure = plots.architecture(model)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert f"{trainable:,} parameters" in " ".join(words(figure))
    steps = steps_of(model)
    assert 2 <= len(steps) <= 13
    assert steps[-1].units == model.output_shape[-1] or "vgg" in name
    alt = plots.alt_text(figure)
    for step in steps[1:]:
        assert f"{step.units:,} units" in alt if step.units else f"{step.name}: " in alt
    figure.canvas.draw()
    heads = [text for text in figure.axes[0].texts if text.get_fontsize() == 10]
    boxes = [text.get_window_extent() for text in heads]
    for i, box in enumerate(boxes):  # no label lies over another
        assert box.count_overlaps(boxes[:i]) == 0, heads[i].get_text()


def test_batch_norm_shortcuts_and_fixed_weights_are_named_where_they_count():
    conv1 = steps_of(models.build("cifar10/small"))[1]
    assert conv1.lines == ["3x3", "convolution", "batch norm", "ReLU"]
    assert conv1.parameters == (3 * 3 * 3 + 1) * 32 + 2 * 32
    whitening, stage = steps_of(models.build("cifar10/fast"))[1:3]
    assert whitening.lines[-1] == "288 fixed" and whitening.parameters == 24
    assert (stage.name, stage.size) == ("stage 1", "64@15x15")
    assert stage.lines == ["2 times 3x3", "convolution", "1 shortcut", "2x2 maximum"]


BLOCKS = {
    "resnet18": [
        "(1) 3x3, 128 maps, stride 2, batch norm, ReLU",
        "(3) sum, ReLU with the block's input by 1x1, 128 maps, stride 2, batch norm",
    ],
    "preactresnet18": ["(1) batch norm, ReLU", "sum with box 1 by 1x1, 128 maps, stride 2"],
    "regnety-400mf": ["average of each map", "sigmoid", "product with box 2"],
    "mobilenetv2": ["96 maps, one for each map", "sum with the block's input by 1x1, 24 maps"],
    "densenet121": ["concatenation with the block's input."],
}


def test_blocks_show_their_layers_and_shortcuts():
    figure = plots.blocks([models.build(f"cifar10/{name}") for name in BLOCKS])
    for name in BLOCKS:
        for each in BLOCKS[name]:
            assert each in plots.alt_text(figure)


# The look, and alt texts


def test_the_look_replaces_the_users_matplotlibrc(tmp_path):
    """A dark style, LaTeX and pictures with row 0 at the bottom are left behind."""
    (tmp_path / "matplotlibrc").write_text(
        "image.origin: lower\ntext.usetex: True\naxes.facecolor: black\nlines.linewidth: 9\n"
    )
    code = "import matplotlib, sys; from cnnlib import plots; print(dict(matplotlib.rcParams))"
    environment = os.environ | {"MPLBACKEND": "agg"}
    with_it, without = (
        subprocess.check_output([sys.executable, "-c", code], cwd=folder, env=environment)
        for folder in (tmp_path, tmp_path.parent)
    )
    assert with_it == without


def test_a_figure_without_an_alt_text_has_its_titles():
    figure, axis = plt.subplots()
    axis.set(title="Loss", xlabel="step")
    assert plots.alt_text(figure) == "Loss"
    assert plots.alt_text(plots.set_alt(figure, "The loss\n  falls.")) == "The loss falls."


def test_a_notebook_shows_figures_as_images_with_their_alt_text(monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(
            "import matplotlib.pyplot as plt\nfrom cnnlib import plots\n"
            "figure, axis = plt.subplots()\nplots.set_alt(figure, \"A line & 'its' end\");"
        )
    ]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    (output,) = [each for each in notebook.cells[0].outputs if "data" in each]
    assert 'alt="A line &amp; &#x27;its&#x27; end"' in output["data"]["text/html"]
    assert "image/png" not in output["data"]  # one picture, not two
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert page.count('alt="A line &amp;') == 1 and "data:image/png;base64," in page


def test_a_figure_is_written_with_its_text(tmp_path):
    figure = plots.architecture(models.build("lenet-1"))
    for name in ("lenet.svg", "again.svg"):
        plots.save(figure, tmp_path / name)
    svg = (tmp_path / "lenet.svg").read_text(encoding="utf-8")
    assert 'aria-label="LeNet-1 of the lecture, drawn as boxes' in svg and ">C3</text>" in svg
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg
