"""What the figures show, read back from them; how they look is for the eye, in the notebooks."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

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


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def words(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts if text.get_text()]


def assert_apart(figure, texts):
    """No text lies over another."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0, texts[i].get_text()


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


@pytest.mark.parametrize(
    "name", ["mlp-28x28-300-100", "lenet-5-paper", "cifar10/fast", "cifar10/resnet18", "vgg16"]
)
def test_every_net_of_the_course_can_be_drawn(name):
    small = {"include_top": False, "input_shape": (32, 32, 3)} if name == "vgg16" else {}
    model = models.build(name, **small)
    figure = plots.architecture(model)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert f"{trainable:,} parameters" in " ".join(words(figure))
    steps = steps_of(model)
    assert 2 <= len(steps) <= 13
    assert steps[-1].units == model.output_shape[-1] or "vgg" in name
    alt = plots.alt_text(figure)
    for step in steps[1:]:
        assert f"{step.units:,} units" in alt if step.units else f"{step.name}: " in alt
    assert_apart(figure, [text for text in figure.axes[0].texts if text.get_fontsize() == 10])


# The look, and alt texts


def test_a_figure_is_written_with_its_text(tmp_path):
    figure = plots.architecture(models.build("lenet-1"))
    for name in ("lenet.svg", "again.svg"):
        plots.save(figure, tmp_path / name)
    svg = (tmp_path / "lenet.svg").read_text(encoding="utf-8")
    assert 'aria-label="LeNet-1 of the lecture, drawn as boxes' in svg and ">C3</text>" in svg
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg
