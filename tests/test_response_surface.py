"""Curves that cost seconds: their surfaces give the profiles of the curves themselves."""

import numpy as np
import pytest

from nmrqb.analysis.costly_fit import fit_costly
from nmrqb.analysis.curve_fit import fit_curve
from nmrqb.analysis.response_surface import (
    Axis,
    Box,
    KnownCurves,
    Searched,
    degrees,
    response_surface,
)

X = np.linspace(0.2, 3.0, 10)


def rise(x, T, M):
    """T and M along a curved valley: the window is short, so that mostly M/T is told."""
    return M * (1.0 - np.exp(-x / T))


SEARCHED = [
    Searched(name="T", start=1.5, low=0.0, high=np.inf),
    Searched(name="M", start=0.8, low=0.0, high=np.inf),
]


def both(sigma, seed, **truth):
    """Return the fit of the curve itself, and that of its surface."""
    y = rise(X, **truth) + sigma * np.random.default_rng(seed).normal(size=len(X))
    matrix = sigma**2 * np.eye(len(X))
    exact = fit_curve(rise, X, y, {"T": 2.0, "M": 1.0}, covariance=matrix)
    return exact, fit_costly(lambda v: rise(X, **v), X, y, SEARCHED, covariance=matrix)


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5, 6])
@pytest.mark.parametrize("sigma", [0.03, 0.06])
def test_intervals_along_a_curved_valley_are_those_of_the_curve(sigma, seed):
    exact, costly = both(sigma, seed, T=2.0, M=1.0)
    for name, p in exact.parameters.items():
        low, high = p.ci95
        # up to five times as far on one side as on the other
        assert costly.fit.parameters[name].ci95 == pytest.approx(p.ci95, abs=0.02 * (high - low))
    assert not costly.fit.warnings


def test_an_end_that_another_parameter_holds_up_at_the_border_is_open():
    # the points tell M/T: M is as large as T may be, and the box has to end somewhere
    exact, costly = both(0.1, 7, T=2.0, M=1.0)
    low, high = costly.fit.parameters["M"].ci95
    assert exact.parameters["M"].ci95[1] is None
    assert high is None
    assert low == pytest.approx(exact.parameters["M"].ci95[0], rel=1e-3)  # at three standard errors
    assert costly.fit.parameters["M"].value is None
    # T reaches nine times as far as its estimate and no further
    axis, box = costly.neighbourhood.axes[0], costly.neighbourhood.box
    assert axis.outer(box.centre[0] + box.ends[0][1]) / axis.outer(box.centre[0]) == pytest.approx(
        9.0
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_surfaces_are_exact_for_polynomials_of_their_degree(count):
    names = "abcd"[:count]
    axes = [Axis.of(Searched(name=n, start=0.0, low=-9.0, high=9.0)) for n in names]

    def curve(values):
        v = np.array(list(values.values()))
        return np.array([1.0 + v.sum() + (v**4).sum(), np.prod(v[:2]) + v[0] ** 2, 3.0])

    box = Box.around(axes, np.full(count, 0.3), np.linspace(0.2, 0.5, count))
    for degree in degrees(count):
        surface = response_surface(KnownCurves(curve, axes), box, degree)
        for u in np.random.default_rng(count).uniform(-0.5, 0.9, size=(5, count)):
            wanted = curve(dict(zip(names, u, strict=True)))
            np.testing.assert_allclose(surface(u - box.centre), wanted, atol=1e-9)


def test_a_box_grows_to_bounds_and_no_further():
    axes = [Axis.of(Searched(name=n, start=0.5, low=0.0, high=1.0)) for n in "ab"]
    box = Box.around(axes, np.array([0.999, 0.5]), np.array([0.2, 0.1]))
    # a minimum that has no room to a bound is there
    assert box.centre.tolist() == [1.0, 0.5]
    assert box.ends[0] == (pytest.approx(-0.6), 0.0)
    wide = box.widened(axes, {(0, 0), (1, 1)})
    assert wide.ends[0] == (-1.0, 0.0)
    assert wide.ends[1] == (pytest.approx(-0.3), pytest.approx(0.5))
    # a bound that is close is reached at once
    assert Box.around(axes, np.array([0.3, 0.5]), np.array([0.08, 0.1])).ends[0] == (
        pytest.approx(-0.3), pytest.approx(0.24),
    )  # fmt: skip


def test_a_curve_is_never_asked_for_beyond_a_bound():
    seen = []

    def curve(values):
        seen.append(values["share"])
        return values["share"] * np.ones(6)

    y = 0.97 + 0.05 * np.random.default_rng(0).normal(size=6)
    searched = [Searched(name="share", start=0.9, low=1e-3, high=1.0)]
    found = fit_costly(curve, np.arange(6.0), y, searched, covariance=0.0025 * np.eye(6))
    assert max(seen) <= 1.0
    assert found.fit.parameters["share"].ci95[0] > 0.8
