"""Pictures: what is drawn where, and that any value can be drawn."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any, List

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import GONE, heatmap, timeline

matplotlib.use("agg")
from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

from fabrik import _plot  # noqa: E402


def draw(axes: Any) -> None:
    """Renders a picture, as values that matplotlib cannot draw fail only then."""
    axes.figure.savefig(io.BytesIO(), format="png", dpi=40)
    pyplot.close(axes.figure)


def bars(axes: Any) -> List[Any]:
    return [bar for container in axes.containers for bar in container]


def test_a_lane_has_a_bar_for_each_stretch_in_the_colour_of_its_value() -> None:
    axes = _plot.plot_timeline(timeline([{"mtu": "1500"}, {"mtu": "9000"}, {"mtu": "9000"}, {"mtu": "1500"}]))

    colours = [bar.get_facecolor() for bar in bars(axes)]
    widths = [bar.get_width() for bar in bars(axes)]
    draw(axes)

    assert colours[0] == colours[2] != colours[1]
    assert widths[:2] == [pytest.approx(1.0), pytest.approx(2.0)]
    assert widths[2] > 0


def test_an_absence_is_hatched() -> None:
    axes = _plot.plot_timeline(timeline([{"mtu": "1500"}, GONE, {"mtu": "1500"}]))

    assert [bar.get_hatch() for bar in bars(axes)] == [None, "///", None]
    draw(axes)


def test_what_changed_most_is_the_top_lane_and_time_stamps_are_left_out() -> None:
    steps = [
        {"mtu": str(place), "descr": "a" if place < 2 else "b", "modTs": str(place), "type": "x"} for place in range(4)
    ]

    axes = _plot.plot_timeline(timeline(steps))

    assert [label.get_text() for label in axes.get_yticklabels()] == ["mtu", "descr"]
    assert axes.yaxis_inverted()
    draw(axes)


def test_chosen_attributes_are_the_lanes() -> None:
    document = timeline([{"mtu": "1", "type": "x"}, {"mtu": "2", "type": "x"}])

    axes = _plot.plot_timeline(document, attributes=["type", "mtu"])

    assert [label.get_text() for label in axes.get_yticklabels()] == ["type", "mtu"]
    draw(axes)
    with pytest.raises(ValueError, match="attributes names 'color', which no snapshot of .* expected one of mtu, type"):
        _plot.plot_timeline(document, attributes=["color"])


def test_true_is_not_drawn_like_one() -> None:
    axes = _plot.plot_timeline(timeline([{"a": True, "b": "x"}, {"a": 1, "b": "y"}]), attributes=["a"])

    assert len(bars(axes)) == 2
    draw(axes)


def test_plots_draw_where_they_are_told() -> None:
    figure, (left, right) = pyplot.subplots(1, 2)

    assert _plot.plot_timeline(timeline([{"mtu": "1"}, {"mtu": "2"}]), left) is left
    assert _plot.plot_heatmap(heatmap([0.1, 0.2]), right) is right
    assert pyplot.get_fignums() == [figure.number]
    draw(left)


@pytest.mark.filterwarnings("ignore:Glyph")  # Not every font has every letter.
@settings(deadline=None, max_examples=12)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.dictionaries(st.sampled_from(["a", "$b", "c_d"]), st.one_of(st.text(), st.none(), st.integers())),
        ),
        min_size=1,
        max_size=5,
    ),
    st.text(max_size=20),
)
def test_any_values_can_be_drawn(steps: List[Any], dn: str) -> None:
    draw(_plot.plot_timeline(timeline(steps, dn)))


def test_dollar_signs_are_no_formula() -> None:
    draw(_plot.plot_timeline(timeline([{"$\\frac$": "$\\frac$"}, {"$\\frac$": "x"}], "$\\frac$")))


def test_an_object_that_was_never_there_can_be_drawn() -> None:
    axes = _plot.plot_timeline(timeline([GONE, GONE]))

    assert [text.get_text() for text in axes.texts] == ["in none of the snapshots"]
    draw(axes)


def test_a_day_is_a_cell_and_the_hottest_is_the_darkest() -> None:
    # A Thursday, in the first week; no snapshot, no change, and two degrees of change.
    axes = _plot.plot_heatmap(heatmap([None, 0.0, 0.01, 0.04]))

    patches: List[Any] = list(axes.patches)
    cells = [patch for patch in patches if patch.get_y() < 7]
    draw(axes)

    assert [cell.get_y() for cell in cells] == [3, 4, 5, 6]
    assert cells[0].get_hatch() and not cells[1].get_hatch()
    assert sum(cells[3].get_facecolor()[:3]) < sum(cells[2].get_facecolor()[:3])


@settings(deadline=None, max_examples=6)
@given(st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=1)), max_size=366))
def test_any_window_can_be_drawn(scores: List[Any]) -> None:
    draw(_plot.plot_heatmap(heatmap(scores)))


def test_without_matplotlib_the_error_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from fabrik import _plot\n"
        "try: _plot.plot_heatmap({'days': [], 'window': '1d', 'timezone': 'UTC'})\n"
        "except ImportError as error: print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True, timeout=60)

    assert ran.stdout.strip() == "plots need matplotlib: pip install fabrik-py[plot]"


def test_importing_the_package_does_not_import_matplotlib() -> None:
    script = "import sys, fabrik; print('matplotlib' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True, timeout=60)

    assert ran.stdout.strip() == "False"
