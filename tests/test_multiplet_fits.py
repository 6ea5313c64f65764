"""Couplings, profiles and given parameters of shared line shapes, and what their errors mean."""

import lmfit
import numpy as np
import pytest
from fid_series import Planted, series_of, star
from scipy import stats

from nmrqb.analysis.line_parameters import line_model
from nmrqb.analysis.lines import spectrum_bins
from nmrqb.analysis.multiplets import Multiplet
from nmrqb.analysis.series_fit import fit_series
from nmrqb.analysis.shapes import LineShape

REGION = [(-1.5, 1.5)]
ROWS = [60.0, -40.0, 10.0]


def planted(neighbours, spin, j, **line):
    return Planted(nu=10.0, j=j, pattern=star(neighbours, spin), **line)


@pytest.mark.parametrize(
    ("neighbours", "spin", "j", "line", "shape"),
    [
        (3, 0.5, 20.0, {}, "lorentzian"),
        (3, 1.0, 9.0, {"width": 0.0, "gaussian": 3.0}, "gaussian"),
        (2, 0.5, 2.5, {"width": 2.0}, "lorentzian"),  # hardly resolved
    ],
)
def test_errors_of_couplings_are_the_scatter_of_couplings(neighbours, spin, j, line, shape):
    pulls = []
    for seed in range(60):
        series = series_of(ROWS, [planted(neighbours, spin, j, **line)], seed=seed)
        text = f"{neighbours}:{spin}"
        (fit,) = fit_series(series, REGION, shape=shape, multiplet=text).regions
        coupling = fit.numbers["J"]
        pulls.append((coupling.value - j) / coupling.stderr)
        assert coupling.unit == "Hz"
    # 60 samples: mean to 0.13, chi-square of 60
    assert abs(np.mean(pulls)) < 4 / np.sqrt(60)
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], 60)
    assert low < np.sum(np.square(pulls)) < high


def test_a_voigt_multiplet_is_told_from_a_lorentzian_one_by_its_residuals():
    line = planted(3, 0.5, 20.0, width=1.0, gaussian=2.0)
    series = series_of([300.0, -200.0], [line])
    (wrong,) = fit_series(series, REGION, multiplet="3:1/2").regions
    (right,) = fit_series(series, REGION, multiplet="3:1/2", shape="voigt").regions
    assert wrong.whiteness_p_value < 1e-6
    assert any("not white" in w for w in wrong.warnings)
    assert wrong.reduced_chi2 > 1.2
    assert right.whiteness_p_value > 1e-3
    assert right.warnings == ()
    for name, truth in (("width", 1.0), ("gaussian_width", 2.0), ("J", 20.0)):
        p = right.numbers[name]
        assert abs(p.value - truth) < 4 * p.stderr


def test_an_antiphase_doublet_is_not_taken_for_an_inphase_one():
    series = series_of([80.0], [planted(1, 0.5, 12.0)])
    pattern = ((-0.5, -0.5), (0.5, 0.5))
    flipped = series_of([80.0], [Planted(nu=10.0, j=12.0, pattern=pattern)])
    anti = Multiplet(neighbours=1, antiphase=True)
    for data, kind, other in ((flipped, anti, "1:1/2"), (series, "1:1/2", anti)):
        (fit,) = fit_series(data, REGION, multiplet=kind).regions
        (wrong,) = fit_series(data, REGION, multiplet=other).regions
        assert abs(fit.numbers["J"].value - 12.0) < 4 * fit.numbers["J"].stderr
        assert fit.reduced_chi2 < 1.2 < wrong.reduced_chi2


@pytest.mark.parametrize(
    ("neighbours", "spin", "j"), [(1, 0.5, 15.0), (3, 0.5, 12.0), (6, 0.5, 8.0), (3, 1.0, 9.0)]
)
def test_the_criterion_finds_number_and_spin_of_the_neighbours(neighbours, spin, j):
    series = series_of([150.0, -90.0], [planted(neighbours, spin, j)])
    (fit,) = fit_series(series, REGION, multiplet="auto").regions
    (shape,) = fit.shapes
    assert shape.multiplet is not None
    assert (shape.multiplet.neighbours, float(shape.multiplet.spin)) == (neighbours, spin)
    assert min(fit.alternatives.values()) > 10.0  # decisive, on the scale of such criteria
    assert abs(fit.numbers["J"].value - j) < 4 * fit.numbers["J"].stderr


def test_the_criterion_leaves_a_single_line_single():
    (fit,) = fit_series(series_of(ROWS, [Planted(nu=10.0)]), REGION, multiplet="auto").regions
    assert fit.shapes == (LineShape(),)
    assert "J" not in fit.numbers


def test_a_coupling_far_below_the_line_width_is_withheld_or_its_error_is_as_large():
    series = series_of([30.0], [planted(3, 0.5, 0.05)])
    (fit,) = fit_series(series, REGION, multiplet="3:1/2").regions
    coupling = fit.numbers["J"]
    assert coupling.value is None or abs(coupling.value - 0.05) < 4 * coupling.stderr
    if coupling.value is None:
        assert "not identifiable" in coupling.reason


def test_fixed_values_bounds_and_expressions_are_honoured():
    lines = [Planted(nu=10.0), Planted(nu=40.0, intensity=0.5)]
    series = series_of(ROWS, lines)
    given = lmfit.Parameters()
    given.add("width", value=2.5, vary=False)
    given.add("shift", value=0.1, min=0.05, max=0.2)
    given.add("shift2", value=0.39)
    given.add("width2", expr="width")
    given.add("phase", value=0.0)
    given.add("phase2", expr="phase")
    (fit,) = fit_series(series, REGION, parameters=given).regions
    p = fit.parameters
    assert p["width"].value == p["width2"].value == 2.5
    assert p["phase2"].value == p["phase"].value
    assert fit.numbers["width"].reason == "held fixed"
    assert 0.05 <= p["shift"].value <= 0.2
    assert p["shift2"].value == pytest.approx(0.4, abs=0.01)
    # tied numbers carry the error of what they are tied to
    assert fit.numbers["phase2"].stderr == pytest.approx(fit.numbers["phase"].stderr)
    # a bound that the line lies outside of is named, and no error is made up
    given["shift"].set(min=0.15, max=0.2)
    (cut,) = fit_series(series, REGION, parameters=given).regions
    assert cut.numbers["shift"].value is None
    assert "lower bound 0.15" in cut.numbers["shift"].reason


def test_two_lines_in_one_place_have_no_errors_of_their_own():
    given = lmfit.Parameters()
    for n in ("", "2"):
        given.add(f"shift{n}", value=0.1)
        given.add(f"width{n}", value=2.0, vary=False)
        given.add(f"phase{n}", value=40.0)
    given.add("intensity2", value=1.0)
    given["shift2"].set(expr="shift")
    given["phase2"].set(expr="phase")
    (fit,) = fit_series(series_of(ROWS, [Planted(nu=10.0)]), REGION, parameters=given).regions
    # the sum is known, the parts are not: intensity2 changes the common height alone
    reason = fit.numbers["intensity2"].reason
    assert fit.numbers["intensity2"].value is None
    assert "not identifiable" in reason


def test_a_fixed_coupling_that_is_wrong_costs_what_the_free_one_gains():
    """Likelihood: chi-square grows by ((J - J_best)/error)^2 near the best J."""
    series = series_of(ROWS, [planted(3, 0.5, 20.0)])
    (free,) = fit_series(series, REGION, multiplet="3:1/2").regions
    best = free.numbers["J"]
    given = lmfit.Parameters()
    given.add("J", value=best.value + 3 * best.stderr, vary=False)
    (held,) = fit_series(series, REGION, multiplet="3:1/2", parameters=given).regions
    count = 2 * 3 * len(free.picture.ppm) - 3 * 5
    chi2 = [f.reduced_chi2 * (count - n) for f, n in ((held, 3), (free, 4))]
    assert chi2[0] - chi2[1] == pytest.approx(9.0, rel=0.05)


def test_a_multiplet_is_found_beside_a_stronger_single_line():
    lines = [Planted(nu=-60.0, intensity=3.0), planted(2, 1.0, 14.0)]
    multiplet = LineShape(multiplet=Multiplet(neighbours=2, spin=1))
    for shapes in ([multiplet, LineShape()], [LineShape(), multiplet]):
        (fit,) = fit_series(series_of(ROWS, lines), REGION, shape=shapes).regions
        name = "J" if shapes[0] is multiplet else "J2"
        assert abs(fit.numbers[name].value - 14.0) < 4 * fit.numbers[name].stderr
        assert fit.reduced_chi2 < 1.2


def test_parameters_come_back_and_start_the_same_fit():
    lines = [planted(3, 0.5, 20.0), Planted(nu=90.0, intensity=0.8)]
    series = series_of(ROWS, lines)
    shapes = [LineShape(multiplet=Multiplet(neighbours=3)), LineShape()]
    (first,) = fit_series(series, REGION, shape=shapes).regions
    (again,) = fit_series(series, REGION, shape=shapes, parameters=first.parameters).regions
    for name, p in first.parameters.items():
        assert again.parameters[name].value == pytest.approx(p.value, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(again.amplitudes, first.amplitudes, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": {"width9": 1.0}}, "width9"),
        ({"shape": LineShape(), "multiplet": "3:1/2"}, "multiplet belongs to a profile"),
        ({"shape": "triangular"}, "profile must be one of"),
        ({"multiplet": "3:1/3"}, "N:SPIN"),
        ({"drift": "weather"}, "drift must be of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words):
    if "parameters" in options:
        table = lmfit.Parameters()
        for name, value in options["parameters"].items():
            table.add(name, value=value)
        options = {"parameters": table}
    with pytest.raises(ValueError, match=words):
        fit_series(series_of(ROWS, [Planted(nu=10.0)]), REGION, **options)


def test_lmfit_with_its_own_derivatives_finds_the_same_minimum():
    series = series_of([50.0], [planted(2, 1.0, 14.0), Planted(nu=-60.0, intensity=0.7)])
    shapes = [LineShape(multiplet=Multiplet(neighbours=2, spin=1)), LineShape()]
    (fit,) = fit_series(series, REGION, shape=shapes, baseline="none").regions
    low, high = series.offset_hz(np.array(REGION[0]))
    bins = spectrum_bins(series).inside(low, high)
    model = line_model(series, shapes)
    start = model.make_params(amplitude=45.0)
    for name, p in fit.parameters.items():
        start[name].set(value=p.value + 0.3 * p.stderr)
    result = model.fit(bins.spectra[0], start, bins=bins)
    for name, p in fit.parameters.items():
        # to a hundredth of the error
        assert result.params[name].value == pytest.approx(p.value, abs=0.01 * p.stderr)
    # its errors are scaled by the residuals, sqrt(2/count) from ours, and A sqrt(4 R v) has no
    # other source here
    ratio = np.sqrt(fit.reduced_chi2)
    for name in ("shift", "width", "J", "shift2"):
        stderr = fit.numbers[name].stderr * ratio
        assert result.params[name].stderr == pytest.approx(stderr, rel=0.03)


def test_white_residuals_are_called_white():
    found = []
    for seed in range(60):
        series = series_of([50.0, -30.0], [Planted(nu=10.0)], seed=seed)
        found.append(fit_series(series, [(-0.5, 0.7)], max_lines=1).regions[0].whiteness_p_value)
    # uniform from 0 to 1 but for a little caution in a region of 120 bins
    assert stats.kstest(found, "uniform", alternative="greater").pvalue > 1e-3
    assert min(found) > 1e-4
    assert np.median(found) < 0.9
