"""What the figures show, read back from them; how they look is for the eye, in the notebooks."""

import numpy as np
import pandas as pd
import pytest

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
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), [[1990, 3], [1998, 1], [2000, 1]])
    assert [text.get_text() for text in axis.texts] == ["b"]


def test_a_heat_map_shows_each_number_and_leaves_the_missing_ones_empty():
    table = pd.DataFrame({"32": [1.0, 2.0], "64": [np.nan, 4.0]}, index=["low", "high"])
    axis = plots.heat_map(table, "Grid", "pixels").axes[0]
    assert [text.get_text() for text in axis.texts] == ["1.0", "2.0", "4.0"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["low", "high"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["32", "64"]
