"""Extremes of the star: right answers or one clear refusal, never an overflow, NaN or warning."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmrqb import DephasedStar
from nmrqb.models.damped import damped_oscillator, slow_rate
from nmrqb.models.long_phases import refined_roots
from nmrqb.models.resonant_qubits import ResonantQubits

LONG = [0.0, 1.0, 1e3, 1e6, 1e9, 1e12]


def star(**more):
    return DephasedStar(**{"batteries": 3, **more})


def is_legal(curve, top):
    for values in (curve.energy, curve.ergotropy):
        assert np.isfinite(values).all()
        assert (values > -1e-9).all()
        assert (values < top + 1e-9).all()


# the damped oscillator ---------------------------------------------------------------------------


@given(
    w=st.floats(1e-9, 1e6),
    gamma=st.floats(0.0, 1e9),
    t=st.floats(0.0, 1e12),
)
def test_damped_oscillator_never_leaves_plus_minus_one(w, gamma, t):
    value = float(damped_oscillator(np.array(w), gamma, np.array(t)))
    # rounding of w t turns the phase, not the size: w/q <= 1 + d t keeps it to some eps
    assert abs(value) <= 1.0 + 1e-6


@pytest.mark.parametrize("gamma", [0.0, 0.3, 3.999999, 4.0, 4.000001, 9.0, 1e6])
def test_damped_oscillator_solves_its_equation(gamma):
    # an independent route: the exponential of the 2 x 2 companion matrix
    from scipy.linalg import expm

    for t in (0.0, 0.3, 2.0, 7.0):
        companion = np.array([[0.0, 1.0], [-1.0, -gamma / 2.0]])
        expected = expm(companion * t)[0, 0]
        found = float(damped_oscillator(np.array(1.0), gamma, np.array(t)))
        # expm squares |A t| = gamma t/2 log2 times: eps gamma t
        assert found == pytest.approx(expected, abs=1e-12 + 1e-15 * gamma * t)


def test_slow_rate_keeps_its_digits_far_above_critical_damping():
    # 2 w^2/gamma (1 + 4 w^2/gamma^2 ...): at w/gamma = 1e-9 the naive difference has none left
    assert float(slow_rate(np.array(1e-3), 1e6)) == pytest.approx(2e-12, rel=1e-12)


# the star ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batteries", [1, 2, 7])
@pytest.mark.parametrize("gamma", [1e-6, 1.0, 1e6])
def test_times_up_to_1e12(batteries, gamma):
    many = star(batteries=batteries, dephasing=gamma)
    assert np.isfinite(many.energy(LONG)).all()
    curve = many.charging_curve([0.0, 1.0, 1e3])
    is_legal(curve, batteries)
    if batteries == 1 and gamma == 1.0:
        assert many.energy(LONG)[-1] == pytest.approx(0.5, abs=1e-12)


def test_zeno_frozen_charging_follows_its_rate():
    # one battery, F = g/2, gamma = 1e6: modes w^2 (2/gamma) of w = g, sqrt2 -+ 1 and their sums
    frozen = star(batteries=1, dephasing=1e6)
    modes = ResonantQubits(1, 0.5, 1.0, 1, 1e6).excitations
    t = np.array([1e4, 1e5, 1e6, 1e7])
    rate = 2.0 * modes.frequencies**2 / 1e6
    expected = 0.5 + np.exp(-np.outer(t, rate)) @ modes.amplitudes
    assert frozen.energy(t) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("batteries", [1, 2, 5, 6])
def test_undamped_phases_are_kept_for_1e12_turns(batteries):
    # an independent route: exp(-i H t) by repeated squaring in 80-digit arithmetic is heavy; the
    # roots of the tridiagonal matrix are checked through the trace and the squares instead, then
    # cos(w t) through the angle-doubling of Chebyshev at t = 2^40
    square = Decimal(1) / batteries
    roots = refined_roots(
        ResonantQubits(batteries, 0.5, 1.0, batteries, 0.0).roots.tolist(),
        0.5, 1.0, batteries, batteries,
    )  # fmt: skip
    n = batteries
    off = [Decimal("0.25") if i % 2 == 0 else square * (i // 2 + 1) * (n - i // 2)
           for i in range(n)]  # fmt: skip
    end = Decimal("0.5") if n % 2 == 0 else square.sqrt() * (n // 2 + 1)
    assert abs(sum(roots) - end) < Decimal("1e-25")
    assert abs(sum(r * r for r in roots) - 2 * sum(off) - end * end) < Decimal("1e-24")


def test_undamped_pair_at_1e12_agrees_with_angle_doubling():
    """N = 1, gamma = 0: E = 1/2 (1 - ...) from cos(w 2^40), doubled 40 times in decimals."""
    from decimal import localcontext

    pair = star(batteries=1, dephasing=0.0)
    modes = ResonantQubits(1, 0.5, 1.0, 1, 0.0).excitations
    with localcontext() as context:
        context.prec = 60
        two = Decimal(2).sqrt()
        # F = 1/2, g = 1: mu = (1 +- sqrt2)/2; w = |mu_k + mu_l|
        exact = {1.0: Decimal(1), math.sqrt(2) + 1: two + 1, math.sqrt(2) - 1: two - 1}
        total = 0.5
        for amplitude, w in zip(modes.amplitudes, modes.frequencies, strict=True):
            angle = exact[min(exact, key=lambda x: abs(x - w))]
            term, cosine, k = Decimal(1), Decimal(0), 0
            while abs(term) > Decimal("1e-60"):  # cos(angle) by its series
                cosine += term
                k += 2
                term *= -angle * angle / (k * (k - 1))
            for _ in range(40):
                cosine = 2 * cosine * cosine - 1
            total += amplitude * float(cosine)
    assert pair.energy([2.0**40])[0] == pytest.approx(total, abs=1e-9)


def test_lost_phases_are_refused_where_the_state_is_asked_for():
    with pytest.raises(ValueError, match="phase double precision does not hold"):
        star(dephasing=0.0).charging_curve([1e12])
    with pytest.raises(ValueError, match="phase double precision does not hold"):
        star(dephasing=0.0, batteries=1, battery="oscillator").energy([1e12])


@pytest.mark.parametrize("more", [{"drive": 0.0}, {"coupling": 0.0}])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_without_drive_or_coupling_nothing_is_stored(more, gamma):
    for kinds in ({}, {"battery": "oscillator"}, {"charger": "oscillator"}):
        empty = star(dephasing=gamma, **more, **kinds)
        curve = empty.charging_curve(LONG)
        assert (curve.energy == 0.0).all()
        assert (curve.ergotropy == 0.0).all()
        with pytest.raises(ValueError, match=r"nothing is stored|never settles"):
            empty.charging_time()
    assert star(drive=0.0, dephasing=gamma).steady_state().energy == 0.0


def test_uncoupled_charger_turns_or_heats_as_it_should():
    t = np.array([0.0, 1e-4, 0.5, 3.0])
    turning = star(coupling=0.0, dephasing=0.0).observables(t)
    assert turning.charger_energy == pytest.approx(np.sin(0.5 * t) ** 2, abs=1e-14)
    heated = star(coupling=0.0, charger="oscillator", dephasing=1.0).observables(t)
    rate = 0.5
    expected = 2 * (0.5 / rate) ** 2 * (rate * t - 1 + np.exp(-rate * t))
    assert heated.charger_energy == pytest.approx(expected, abs=1e-12)


def test_no_steady_state_without_loss():
    with pytest.raises(ValueError, match="for ever"):
        star(dephasing=0.0).steady_state()
    with pytest.raises(ValueError, match="for ever"):
        star(dephasing=0.0, drive_detuning=0.3).steady_state()
    with pytest.raises(ValueError, match="heats without bound"):
        star(charger="oscillator").steady_state()
    with pytest.raises(ValueError, match="never settles"):
        star(dephasing=0.0).charging_time()


def test_t2_of_twice_t1_and_infinite_t1():
    times = np.linspace(0, 5, 6)
    at_limit = star(battery_t1=2.0, battery_t2=4.0, charger_t1=3.0, charger_t2=6.0)
    default = star(battery_t1=2.0, charger_t1=3.0)
    assert at_limit.energy(times) == pytest.approx(default.energy(times), abs=1e-13)
    only_t2 = star(battery_t1=math.inf, battery_t2=2.0)
    is_legal(only_t2.charging_curve(times), 3.0)
    endless = star(battery_t1=math.inf, charger_t1=math.inf, battery_t2=math.inf)
    assert endless.energy(times) == pytest.approx(star().energy(times), abs=1e-12)
    with pytest.raises(ValueError, match="at most 2 T1 = 4, but is 5"):
        star(battery_t1=2.0, battery_t2=5.0)


def test_weak_coupling_of_many_batteries_is_stable():
    for batteries, drive in ((1000, 0.5), (1000, 1000.0), (37, 1e-6), (2, 1e6)):
        curve = star(batteries=batteries, drive=drive).charging_curve([0.0, 1.0, 50.0])
        is_legal(curve, batteries)


def test_discarded_weight_is_bounded_and_stated():
    many = star(batteries=300, drive=2.0)
    solution = ResonantQubits(300, 2.0, 1.0, 300, 1.0)
    assert len(solution.roots) < 301
    assert solution.discarded <= 1e-13
    assert f"{len(solution.roots)} of 301 kept" in many.solver
    # the bound holds against the whole: all weights, nothing pruned
    assert many.energy([0.0])[0] == pytest.approx(0.0, abs=solution.error)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"batteries": 0}, "`batteries` must be at least 1"),
        ({"batteries": 2.5}, "whole number"),
        ({"drive": -1.0}, "`drive` must be finite and at least 0, but is -1"),
        ({"dephasing": math.nan}, "`dephasing` must be finite"),
        ({"coupling": math.inf}, "`coupling` must be finite"),
        ({"omega": 0.0}, "`omega` must be positive"),
        ({"normalisation": "none"}, "`normalisation` must be one of kac, per-battery"),
        ({"battery": "spin"}, "`battery` must be one of qubit, oscillator"),
        ({"charger_t1": 0.0}, "`charger_t1` must be positive"),
        ({"drive_detuning": math.inf}, "`drive_detuning` must be finite"),
        ({"battery": "oscillator", "battery_t1": 2.0}, "dark"),
        ({"battery": "oscillator", "start": "thermal"}, "qubits only"),
        ({"charger": "oscillator", "battery_t1": 2.0}, "Dicke states"),
    ],
)
def test_wrong_stars_are_refused_with_the_reason(wrong, match):
    with pytest.raises(ValueError, match=match):
        star(**wrong)


@pytest.mark.parametrize("times", [[-1.0], [2.0, 1.0], [math.inf], [], [[1.0]]])
def test_wrong_times_are_refused(times):
    with pytest.raises(ValueError, match="`times` must be"):
        star().energy(times)


def test_unknown_definitions_are_refused():
    with pytest.raises(ValueError, match="`definition` must be one of"):
        star().charging_time("half")
    with pytest.raises(ValueError, match="`n` must be positive"):
        star().charging_time("threshold", 0.0)
    with pytest.raises(ValueError, match="on resonance only"):
        star(drive_detuning=0.1).optimal_dephasing()


def test_too_large_problems_are_refused_with_their_size():
    with pytest.raises(ValueError, match="2\\^13 states"):
        star(batteries=12, battery_t1=3.0).to_qutip()
    with pytest.raises(ValueError, match="more than this star can be propagated"):
        star(drive_detuning=0.2).energy([1e12])
    with pytest.raises(ValueError, match="levels"):
        star(batteries=1, battery="oscillator", drive=50.0).states([1.0])


def test_detuning_continues_the_exact_solution():
    times = np.linspace(0, 20, 5)
    near = star(drive_detuning=1e-9)
    assert "Dicke" in near.solver
    assert near.energy(times) == pytest.approx(star().energy(times), abs=1e-7)


def test_results_name_what_they_are():
    text = str(star().charging_time("threshold", 2))
    assert "threshold, n = 2" in text
    assert "stays below e^-n" in text
    optimum = star().optimal_dephasing("slowest-mode")
    assert optimum.definition == optimum.charging_time.definition == "slowest-mode"
    assert float(optimum) == optimum.value
    assert "exact solution" in str(star().steady_state())
    curve = star().charging_curve([0.0, 1.0])
    assert "on resonance" in curve.provenance
    assert curve.start == "pure"
    assert curve.time_unit == "model"


def test_curves_of_the_models_convert_and_draw_like_measured_ones():
    import nmrqb

    curve = star().charging_curve(np.linspace(0, 5, 6))
    table = nmrqb.to_xarray(curve)
    np.testing.assert_array_equal(table["ergotropy"], curve.ergotropy)
    assert table["energy"].attrs["unit"] == "hbar omega_B = 1"
    assert table.attrs["ergotropy_kind"] == "collective"
    assert nmrqb.draw(curve).has_data()
