"""What the figures show, read back from them; how they look is for the eye, in the notebooks."""

import io

import matplotlib.pyplot as plt
import nbclient
import nbconvert
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cnnlib import plots, results
from cnnlib.errors import InputError

RECAP = pd.DataFrame(
    {
        "title": ["net A", "net A", "net B", "net C"],
        "published": [3.0, 3.0, 2.0, 1.0],
        "measured_mean": [2.5, 1.5, 1.8, np.nan],
        "measured_std": [0.1, 0.2, np.nan, np.nan],
        "n": [5, 5, 1, 0],
        "protocol": ["plain", "distorted", "plain", ""],
    }
)
COSTS = pd.DataFrame(
    {"weights": [1e3, 1e4, 1e5], "multiply-adds": [1e4, 1e5, 1e6]},
    index=["net A", "net B", "net C"],
)


def test_error_against_cost_shows_published_figures_and_means_over_seeds_only():
    left, right = plots.error_against_cost(RECAP, COSTS, {"net B": (-8, 0)}).axes
    for axis, cost in ((left, "weights"), (right, "multiply-adds")):
        published = next(line for line in axis.lines if line.get_label() == "published")
        np.testing.assert_array_equal(
            published.get_xydata(), np.column_stack([COSTS[cost], [3.0, 2.0, 1.0]])
        )
        measured = {c.get_label(): c for c in axis.containers}
        assert set(measured) == {"measured, plain", "measured, distorted"}
        np.testing.assert_array_equal(
            measured["measured, plain"].lines[0].get_xydata(), [[COSTS.loc["net A", cost], 2.5]]
        )  # B is one run
        assert cost in axis.get_xlabel() and axis.get_xscale() == axis.get_yscale() == "log"
        assert [text.get_text() for text in axis.texts] == list(COSTS.index)


def test_seeds_spread_goes_from_the_lowest_to_the_highest_seed():
    runs = pd.DataFrame(
        {
            "run_id": ["a", "a", "b", "b"],
            "epoch": [1, 2, 1, 2],
            "loss": [2.0, 1.0, 4.0, 2.0],
            "train_error": [8.0, 4, 6, 2],
        }
    )
    loss, error = plots.seeds_spread({"a net": runs}).axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [3.0, 1.5])
    np.testing.assert_array_equal(error.lines[0].get_ydata(), [7.0, 3.0])
    band = loss.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 4.0)
    assert loss.lines[0].get_label() == "a net (2 seeds)"
    one = runs[runs["run_id"] == runs["run_id"].iloc[0]]
    assert plots.seeds_spread({"a net": one}).axes[0].lines[0].get_label() == "a net (1 seed)"
    with pytest.raises(InputError, match="no history of 'a net'"):
        plots.seeds_spread({"a net": runs[:0]})


def test_image_rows_have_a_label_each():
    figure = plots.image_rows({"one": np.zeros((3, 5, 5, 1)), "two": np.ones((3, 4, 4, 3))})
    assert len(figure.axes) == 6 and [figure.axes[i].get_ylabel() for i in (0, 3)] == ["one", "two"]


def test_published_beside_measured_has_a_line_for_each_net():
    axis = plots.published_beside_measured(results.recap("mnist", local=False)).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == results.published("mnist")[
        "title"
    ].tolist()


def test_the_pareto_front_holds_the_nets_that_no_other_beats():
    cost = pd.Series(
        {
            "small": 1.0,
            "same but worse": 1.0,
            "middle": 2.0,
            "worse and dearer": 3.0,
            "equal but dearer": 4.0,
            "best": 5.0,
        }
    )
    accuracy = pd.Series([90.0, 89.0, 92.0, 91.0, 92.0, 95.0], cost.index)
    assert plots.pareto_front(cost, accuracy) == ["small", "middle", "best"]
    assert plots.pareto_front(cost.replace(5.0, np.nan), accuracy) == ["small", "middle"]


def test_accuracy_against_costs_draws_every_net_and_its_front():
    accuracy = pd.Series({"a": 90.0, "b": 95.0, "c": 93.0})
    costs = pd.DataFrame(
        {"weights": [1.0, 2.0, 3.0], "milliseconds": [np.nan, 4.0, 1.0]}, accuracy.index
    )
    spread = accuracy - 1, accuracy + 1
    left, right = plots.accuracy_against_costs(accuracy, costs, {"b": (-7, 3)}, spread).axes
    front, every, _ = left.lines[-3:]
    np.testing.assert_array_equal(front.get_xydata(), [[1, 90], [2, 95]])
    np.testing.assert_array_equal(every.get_xydata(), [[1, 90], [2, 95], [3, 93]])
    assert [text.get_text() for text in left.texts] == ["a", "b", "c"] and [
        text.get_text() for text in right.texts
    ] == ["b", "c"]
    np.testing.assert_array_equal(right.lines[-3].get_xydata(), [[1, 93], [4, 95]])


def test_error_by_year_follows_the_best_so_far():
    table = pd.DataFrame(
        {"net": ["a", "b", "c"], "year": [1990, 1998, 2000], "error": [3.0, 1.0, 2.0]},
        index=[0, 1, 1],
    )  # of two tables
    (axis,) = plots.error_by_year({"digits": table}).axes
    line = axis.lines[1].get_xydata()
    np.testing.assert_array_equal(line, [[1990, 3], [1998, 1], [2000, 1], [2000.5, 1]])
    assert [text.get_text() for text in axis.texts] == ["b"]


def test_a_heat_map_shows_each_number_and_leaves_the_missing_ones_empty():
    table = pd.DataFrame({"32": [1.0, 2.0], "64": [np.nan, 4.0]}, index=["low", "high"])
    axis = plots.heat_map(table, "Grid", "pixels").axes[0]
    assert [text.get_text() for text in axis.texts] == ["1.0", "2.0", "4.0"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["low", "high"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["32", "64"]


def test_years_without_a_net_are_left_out():
    years = [1989, 1998, 1998, 2014, 2015, 2020]
    table = pd.DataFrame({"net": list("abcdef"), "year": years, "error": [6.0, 5, 4, 3, 2, 1]})
    left, right = plots.error_by_year({"MNIST": table, "MNIST, measured here": table}).axes
    assert left.get_xlim()[1] < 2000 and right.get_xlim()[0] > 2010
    marks = left.lines[0].get_xdata()
    assert len(set(marks)) == 3 and np.abs(marks - [1989, 1998, 1998]).max() < 0.5
    assert left.lines[0].get_color() == left.lines[2].get_color()  # one colour a data set
    assert left.lines[2].get_markerfacecolor() == "white"


def test_one_colour_and_marker_a_protocol_in_every_figure():
    looks = {}
    for figure in (
        plots.published_beside_measured(RECAP),
        plots.error_against_cost(RECAP[RECAP["n"] > 0], COSTS[:2]),
    ):
        for bars in figure.axes[0].containers:
            line = bars.lines[0]
            looks.setdefault(bars.get_label(), set()).add((line.get_color(), line.get_marker()))
    assert looks["measured, plain"] == {tuple(plots.PROTOCOLS["plain"].values())}
    assert len(looks["measured, distorted"]) == 1
    used = [tuple(look.values()) for name, look in plots.PROTOCOLS.items() if name != "augmented"]
    assert len({colour for colour, _ in used}) == len({marker for _, marker in used}) == len(used)


def test_labels_of_marks_that_lie_close_do_not_collide():
    names = [f"a long name {i}" for i in range(5)]
    accuracy = pd.Series([90.0, 90.1, 90.2, 90.25, 95], names)
    costs = pd.DataFrame({"weights": [1e6, 1.1e6, 1.2e6, 1.1e6, 3e6]}, names)
    figure = plots.accuracy_against_costs(accuracy, costs)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0, names[i]


def test_the_scale_of_weights_is_not_made_by_a_single_one():
    weights = np.random.RandomState(0).normal(0, 0.05, (10, 20, 20))
    weights[3, 2, 2] = 3
    figure = plots.weights_as_images(weights)
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high and 0.1 < high < 0.2
    figure = plots.weights_as_images(np.zeros((1, 3, 3)))
    assert figure.axes[0].images[0].get_clim() == (-1, 1)


def test_each_feature_map_has_a_scale_of_its_own_and_ink_is_dark():
    maps = np.random.RandomState(0).rand(8, 8, 3) * [1, 100, 0]
    figure = plots.feature_maps([maps], ["C1"])
    drawn = [axis.images[0] for axis in figure.axes if axis.images]
    for column in (0, 1):
        shown = maps[..., column]
        assert drawn[column].get_clim() == (shown.min(), shown.max())
        assert drawn[column].get_cmap().name == "gray_r"
    grid = plots.image_grid(np.zeros((1, 2, 2, 1), np.uint8))
    assert grid.axes[0].images[0].get_cmap().name == "gray_r"


def test_activation_maps_have_one_scale_and_say_what_it_is():
    y, x = np.mgrid[-1:1:6j, -1:1:6j]
    maps = [np.exp(-4 * (x**2 + y**2)), 0.5 * np.exp(-4 * x**2)]
    figure = plots.activation_maps(np.zeros((2, 32, 32, 3), np.uint8), maps, ["cat", "dog"])
    clims = {axis.images[0].get_clim() for axis in figure.axes[2:4]}
    assert len(clims) == 1 and max(clims)[1] == maps[0].max()
    assert "logit" in figure.axes[-1].get_ylabel()
    assert "dark where most: cat, dog" in plots.alt_text(figure)


def figures():
    digits = np.zeros((3, 28, 28, 1), np.uint8)
    runs = pd.DataFrame({"run_id": ["a"], "epoch": [1], "loss": [1.0], "train_error": [8.0]})
    answers = np.eye(3)[[0, 1, 1]]
    yield plots.image_grid(digits, ["one", "two", "three"], title="Digits")
    yield plots.image_rows({"as it is": digits, "deslanted": digits})
    yield plots.weights_as_images(np.ones((2, 5, 5)), ["unit 1", "unit 2"])
    yield plots.mistakes(digits, np.array([0, 1, 2]), answers, ["0", "1", "2"])
    yield plots.feature_maps([np.ones((4, 4, 2))], ["C1"])
    yield plots.connection_table([[0], [0, 1]], 2)
    yield plots.confusion_matrix([0, 1, 2], [0, 1, 1], ["cat", "dog", "frog"])
    yield plots.heat_map(pd.DataFrame({"32": [1.0, 2.0]}, index=["low", "high"]), unit="error in %")
    yield plots.seeds_spread({"a net": runs})
    yield plots.published_beside_measured(RECAP)
    yield plots.error_against_cost(RECAP, COSTS)


def test_every_figure_has_an_alt_text_that_tells_its_point():
    for figure in figures():
        plt.close(figure)
        assert len(figure.get_label()) > 30 and "\n" not in figure.get_label()
    matrix = plots.confusion_matrix([0, 1, 2, 2], [0, 1, 1, 1], ["cat", "dog", "frog"])
    assert plots.alt_text(matrix) == (
        "Confusion matrix: 2 of 4 images are wrong; most often the label frog got the answer dog, "
        "2 times."
    )


def test_a_notebooks_own_figure_has_an_alt_text_of_its_titles_or_the_one_it_was_given():
    figure, axis = plt.subplots()
    axis.plot([1, 2], [3, 4], label="three rates")
    axis.set(title="Loss", xlabel="step", ylabel="cross-entropy")
    axis.legend()
    made = "Loss; x axis: step; y axis: cross-entropy; lines: three rates"
    assert plots.alt_text(figure) == made
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


@pytest.mark.parametrize("colours", [2, 256, 257, 5000])
def test_a_smaller_png_has_the_same_pixels(colours):
    draw = np.random.default_rng(0)
    palette = draw.integers(0, 256, (colours, 3), dtype=np.uint8)
    pixels = palette[draw.integers(0, colours, (100, 120))]
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(file, "PNG")
    small = plots.style._small_png(file.getvalue())
    np.testing.assert_array_equal(Image.open(io.BytesIO(small)).convert("RGB"), pixels)
    assert len(small) < len(file.getvalue())
