"""Line shapes in the bins of a finite record, against closed forms and other codes."""

import math
from fractions import Fraction

import numpy as np
import pytest
import qutip
from scipy.optimize import brentq
from scipy.special import voigt_profile

from nmrqb.analysis.lines import Bins
from nmrqb.analysis.multiplets import Multiplet, parse_multiplet
from nmrqb.analysis.shapes import PROFILES, LineShape, shape_in_bins

DWELL = 1e-3
#: standard deviation of a Gaussian over its full width at half height
SIGMA_OF_WIDTH = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))
SPLITTINGS = [
    None,
    Multiplet(neighbours=3),
    Multiplet(neighbours=3, spin=1),
    Multiplet(neighbours=2, spin=Fraction(3, 2), antiphase=True),
]
HERTZ = {"shift": 12.3, "width": 2.2, "gaussian_width": 3.1, "J": 17.0}


def bins_of(points=1000, start=0.0107, low=-300.0, high=300.0):
    frequency = np.fft.fftshift(np.fft.fftfreq(points, DWELL))
    return Bins(frequency, np.zeros((1, points), complex), start, DWELL, points).inside(low, high)


def times(bins):
    return bins.start_s + DWELL * np.arange(bins.points)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("multiplet", SPLITTINGS, ids=str)
def test_a_shape_in_the_bins_is_the_dft_of_its_sampled_fid(profile, multiplet):
    shape = LineShape(profile=profile, multiplet=multiplet)
    v = {n: HERTZ[n] for n in shape.names}
    bins = bins_of()
    t = times(bins)
    fid = np.exp(2j * np.pi * v["shift"] * t - np.pi * v.get("width", 0.0) * t)
    fid *= np.exp(-((np.pi * v.get("gaussian_width", 0.0) * t) ** 2) / (4.0 * np.log(2.0)))
    if multiplet is not None:
        lines = zip(multiplet.orders, multiplet.weights, strict=True)
        fid *= sum(w * np.exp(2j * np.pi * m * v["J"] * t) for m, w in lines)
    # the DFT written out, bin by bin
    expected = np.exp(-2j * np.pi * np.outer(bins.frequency_hz, t - t[0])) @ fid
    found, _ = shape_in_bins(bins, shape, v)
    np.testing.assert_allclose(found, expected / np.sqrt(bins.points), atol=1e-11)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("multiplet", SPLITTINGS, ids=str)
def test_the_slopes_of_a_shape_are_its_derivatives(profile, multiplet):
    shape = LineShape(profile=profile, multiplet=multiplet)
    values = {n: HERTZ[n] for n in shape.names}
    bins, h = bins_of(), 1e-5
    _, slopes = shape_in_bins(bins, shape, values)
    for name, slope in zip(shape.names, slopes, strict=True):
        up, _ = shape_in_bins(bins, shape, values | {name: values[name] + h})
        down, _ = shape_in_bins(bins, shape, values | {name: values[name] - h})
        # rounding: 1e-14 of a line of height 10 over 2 h
        np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-7 * np.abs(slope).max())


@pytest.mark.parametrize(("width", "gaussian"), [(2.0, 0.0), (0.0, 3.0), (2.0, 3.0), (0.3, 4.0)])
def test_absorption_of_a_long_fid_is_the_voigt_profile_of_another_code(width, gaussian):
    profile = "voigt" if gaussian else "lorentzian"
    bins = bins_of(points=8000, start=0.0, low=-30.0, high=30.0)
    values = {"shift": 0.0, "width": width, "gaussian_width": gaussian}
    shape = LineShape(profile=profile)
    found, _ = shape_in_bins(bins, shape, {n: values[n] for n in shape.names})
    # half of the first point makes a sum of samples the integral from 0 (trapezoidal rule); the
    # integral's real part is half of the profile whose area is 1
    absorption = (found * np.sqrt(bins.points) - 0.5).real * DWELL
    expected = voigt_profile(bins.frequency_hz, gaussian * SIGMA_OF_WIDTH, width / 2.0) / 2.0
    # end corrections of the trapezoidal rule: dt^2/12 times the slope -pi w at t = 0
    error = DWELL**2 / 12.0 * np.pi * width
    np.testing.assert_allclose(absorption, expected, atol=1.5 * error + 1e-12)


def test_the_voigt_shape_becomes_the_lorentzian_and_the_gaussian_one():
    bins = bins_of()
    both = {"shift": 5.0, "width": 2.0, "gaussian_width": 3.0}

    def found(profile, **changed):
        shape = LineShape(profile=profile)
        return shape_in_bins(bins, shape, {n: (both | changed)[n] for n in shape.names})[0]

    tiny = {"atol": 1e-9}
    np.testing.assert_allclose(found("voigt", gaussian_width=1e-7), found("lorentzian"), **tiny)
    np.testing.assert_allclose(found("voigt", width=0.0), found("gaussian"), **tiny)


@pytest.mark.parametrize(("width", "gaussian"), [(1.0, 0.1), (1.0, 1.0), (0.2, 3.0)])
def test_the_stated_width_of_a_voigt_line_is_where_it_has_half_its_height(width, gaussian):
    def profile(nu):
        return voigt_profile(nu, gaussian * SIGMA_OF_WIDTH, width / 2.0)

    half = brentq(lambda nu: profile(nu) - profile(0.0) / 2.0, 1e-3, 10.0)
    stated = LineShape(profile="voigt").full_width_hz({"width": width, "gaussian_width": gaussian})
    assert stated == pytest.approx(2.0 * half, rel=2.5e-4)  # the published accuracy, 0.02 %


@pytest.mark.parametrize("n", [1, 2, 3, 6, 36])
def test_spins_one_half_make_binomial_multiplets(n):
    expected = [math.comb(n, k) / 2**n for k in range(n + 1)]
    np.testing.assert_allclose(Multiplet(neighbours=n).weights, expected, rtol=1e-12)


def test_three_deuterons_make_the_septet_1_3_6_7_6_3_1():
    weights = Multiplet(neighbours=3, spin=1).weights
    np.testing.assert_allclose(weights * 27, [1, 3, 6, 7, 6, 3, 1], rtol=1e-12)


@pytest.mark.parametrize("spin", [Fraction(1, 2), 1, Fraction(3, 2), Fraction(5, 2), 3])
@pytest.mark.parametrize("n", [1, 4, 11])
def test_the_mean_square_splitting_is_n_i_i_plus_1_over_3(n, spin):
    multiplet = Multiplet(neighbours=n, spin=spin)
    assert multiplet.weights.sum() == pytest.approx(1.0, rel=1e-12)
    second = multiplet.weights @ multiplet.orders**2
    assert second == pytest.approx(n * float(spin) * (float(spin) + 1.0) / 3.0, rel=1e-12)


@pytest.mark.parametrize("antiphase", [False, True])
@pytest.mark.parametrize(("n", "spin"), [(1, 0.5), (3, 0.5), (2, 1), (1, 1.5)])
def test_a_multiplet_is_the_signal_of_the_weakly_coupled_spins(n, spin, antiphase):
    """QuTiP: tr[S+ exp(-iHt) S_x I_1z exp(iHt)] under H = 2 pi J S_z (I_1z + ... + I_nz)."""
    multiplet = Multiplet(neighbours=n, spin=Fraction(spin), antiphase=antiphase)
    one = qutip.qeye(round(2 * spin + 1))

    def on(place, operator):
        spins = [qutip.qeye(2), *[one] * n]
        spins[place] = operator
        return qutip.tensor(spins)

    j = 7.0
    iz = sum(on(k, qutip.jmat(spin, "z")) for k in range(1, n + 1))
    hamiltonian = 2 * np.pi * j * on(0, qutip.jmat(0.5, "z")) * iz
    start = on(0, qutip.jmat(0.5, "x"))
    norm = (on(0, qutip.jmat(0.5, "+")) * start).tr()
    if antiphase:  # in units of the largest quantum number, as the weights
        start = start * on(1, qutip.jmat(spin, "z")) / spin
    for t in (0.0, 0.013, 0.11):
        turn = (-1j * hamiltonian * t).expm()
        # <up|rho|down> turns with exp(-i w t): the receiver of a Series turns the other way
        signal = (on(0, qutip.jmat(0.5, "-")) * turn * start * turn.dag()).tr() / norm
        lines = multiplet.weights * np.exp(-2j * np.pi * multiplet.orders * j * t)
        assert lines.sum() == pytest.approx(signal, abs=1e-10)


@pytest.mark.parametrize(
    ("text", "words"),
    [("3", "N:SPIN"), ("3:1/3", "N:SPIN"), ("3:x", "N:SPIN"), ("0:1/2", "1 to 60"),
     ("61:1/2", "1 to 60"), ("3:0", "spin must be"), ("3:9", "spin must be"), ("", "N:SPIN"),
     ("-1:1/2", "N:SPIN"), ("3:1/2:2", "N:SPIN")],
)  # fmt: skip
def test_a_multiplet_that_cannot_be_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_multiplet(text)


@pytest.mark.parametrize(
    ("text", "spin"), [("3:1/2", 0.5), ("3:0.5", 0.5), ("3:1", 1), ("3:2.0", 2)]
)
def test_a_spin_may_be_written_as_a_fraction_or_a_decimal(text, spin):
    assert float(parse_multiplet(text).spin) == spin
