"""Curves, their intervals and names, placed on a sheet."""

import numpy as np
import pytest

from modal_pretrain.benchmark.report.charts import interval
from modal_pretrain.benchmark.report.plot import WIDTH, Series, line_chart, spread
from modal_pretrain.benchmark.report.shapes import Line, Text
from modal_pretrain.benchmark.report.svg import to_svg


def test_interval_is_paired_and_covers():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 1)) + np.array([0.0, 1.0])
    mean, low, high = interval(values)
    assert (low < mean).all() and (mean < high).all()
    # The same seeds are drawn for every round and call.
    np.testing.assert_allclose(np.diff([mean, low, high], axis=1), 1.0)


def test_labels_of_curves_do_not_overlap():
    assert spread([5, 50, 100], 0, 200) == [5, 50, 100]
    placed = spread([50, 50, 51, 49], 0, 200)
    gaps = np.diff(sorted(placed))
    assert (gaps >= 13 - 1e-9).all()
    assert np.argsort(placed).tolist() == [3, 0, 1, 2]
    assert max(spread([100, 100], 0, 100)) <= 100


def test_chart_places_points():
    x = np.array([10.0, 20.0])
    series = Series("a <b>", "s-0", x, np.array([0.0, 1.0]), x * 0, x * 0 + 1)
    text = to_svg(line_chart([series], title="t", y_range=(0, 1)))
    assert 'points="44.0,230.0 308.0,12.0"' in text
    assert "a &lt;b&gt;" in text


def names_of(chart):
    return [s for s in chart.shapes if isinstance(s, Text) and s.kind == "name"]


def test_long_names_fit_beside_the_curves():
    x, y = np.array([10.0, 20.0]), np.array([0.5, 0.6])
    name = "uncertainty_herding"
    (text,) = names_of(line_chart([Series(name, "s-0", x, y, y, y)], title="Accuracy"))
    assert text.text == name
    assert text.x + 7 * len(name) <= WIDTH


def test_endless_names_leave_room_for_curves():
    x, y = np.array([10.0, 20.0]), np.array([0.5, 0.6])
    chart = line_chart([Series("n" * 300, "s-0", x, y, y, y)], title="Accuracy")
    (text,) = names_of(chart)
    assert text.text == "n" * 25 + "..."
    (curve,) = [s for s in chart.shapes if isinstance(s, Line) and s.title]
    assert curve.points[-1][0] - curve.points[0][0] > 100


@pytest.mark.parametrize("last", [11.0, 13.0, 21.0, 22.0, 40.0, 131.0, 210.0, 1_500.0])
@pytest.mark.parametrize("low, high", [(0.84, 0.97), (0.9, 0.962), (0.9975, 1.0)])
def test_ticks_say_where_they_are(last, low, high):
    x, y = np.array([10.0, last]), np.array([low, high])
    chart = line_chart([Series("a", "s-0", x, y, y, y)], title="t", y_range=(low, high))
    (curve,) = [s for s in chart.shapes if isinstance(s, Line) and s.title]
    (left, bottom), (right, top) = curve.points
    ticks = [s for s in chart.shapes if isinstance(s, Text) and s.kind == "tick"]
    for tick in ticks:
        said = float(tick.text.removesuffix(" %").replace(",", ""))
        if tick.text.endswith("%"):
            is_at = low + (tick.y - 4 - bottom) / (top - bottom) * (high - low)
            assert said / 100 == pytest.approx(is_at, abs=1e-6)
        else:
            is_at = 10 + (tick.x - left) / (right - left) * (last - 10)
            assert said == pytest.approx(is_at)
    assert len({tick.text for tick in ticks}) == len(ticks) >= 4
