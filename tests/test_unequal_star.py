"""Stars without permutation symmetry, in the full space."""

import numpy as np
import pytest

from nmrqb import DephasedStar
from nmrqb.models.unequal_star import BatteryUnit, UnequalStar

TIMES = np.linspace(0.0, 4.0, 5)


def test_equal_units_are_the_symmetric_star():
    units = (BatteryUnit(coupling=0.6, detuning=0.2, t1=4.0, t2=3.0),) * 3
    unequal = UnequalStar(units=units, drive=0.8, charger_detuning=0.5, omega=2.0)
    star = DephasedStar(
        batteries=3, coupling=0.6, normalisation="per-battery", drive=0.8, drive_detuning=0.2,
        charger_detuning=0.3, battery_t1=4.0, battery_t2=3.0, omega=2.0,
    )  # fmt: skip
    curve, load = unequal.solve(TIMES)
    assert unequal.asymmetry is None
    exact = star.charging_curve(TIMES)
    assert curve.energy == pytest.approx(exact.energy, abs=1e-6)
    assert curve.ergotropy == pytest.approx(exact.ergotropy, abs=1e-6)
    assert (load == 0.0).all()


def test_unequal_couplings_act_as_one_bright_mode_of_their_root_sum_of_squares():
    # below one excitation only the bright combination couples: lambda^2 = sum g_j^2
    few = UnequalStar(
        units=(BatteryUnit(coupling=0.3), BatteryUnit(coupling=0.4)), drive=0.01, dephasing=0.5
    )
    curve, _ = few.solve(TIMES)
    one = DephasedStar(batteries=1, coupling=0.5, drive=0.01, dephasing=0.5)
    # two excitations are of relative order (F/g)^2
    assert curve.energy == pytest.approx(one.energy(TIMES), rel=2e-3, abs=1e-9)


def test_the_battery_that_breaks_the_symmetry_is_named():
    units = (BatteryUnit(coupling=0.5), BatteryUnit(coupling=0.5), BatteryUnit(coupling=0.7))
    star = UnequalStar(units=units)
    assert star.asymmetry.startswith("battery 2 has coupling 0.7 where battery 0 has 0.5")
    assert "differ by 0.2" in star.asymmetry
    curve, _ = star.solve([0.0, 1.0])
    assert "battery 2" in curve.provenance
    with pytest.raises(ValueError, match=r"battery 9 has detuning 0.1 .* 2048 states"):
        UnequalStar(units=(BatteryUnit(),) * 9 + (BatteryUnit(detuning=0.1),))


def test_a_ladder_of_d_levels_is_d_minus_one_qubits_that_act_together():
    ladder, _ = UnequalStar(units=(BatteryUnit(levels=4, coupling=0.7),)).solve(TIMES)
    star = DephasedStar(batteries=3, coupling=0.7, normalisation="per-battery")
    assert ladder.energy == pytest.approx(star.energy(TIMES), abs=1e-6)
    # but its first excited level is single, so less of the energy is work
    assert (ladder.ergotropy <= star.charging_curve(TIMES).ergotropy + 1e-6).all()


def test_a_load_takes_what_the_battery_gives():
    star = UnequalStar(units=(BatteryUnit(), BatteryUnit()), load_coupling=0.5)
    curve, load = star.solve(TIMES)
    alone, _ = UnequalStar(units=star.units).solve(TIMES)
    assert load[0] == pytest.approx(0.0, abs=1e-12)
    assert load.max() > 0.05
    assert (curve.energy[1:] < alone.energy[1:]).any()
    # a symmetric load is one more battery on the batteries: batteries + load conserve H_L's quanta
    undriven = UnequalStar(units=(BatteryUnit(),), drive=0.0, load_coupling=1.0).solve(TIMES)
    assert undriven[0].energy == pytest.approx(np.zeros(5), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: UnequalStar(units=()), "at least one battery"),
        (lambda: BatteryUnit(levels=1), "`levels` must be at least 2"),
        (lambda: BatteryUnit(t1=1.0, t2=3.0), "at most 2 T1"),
        (lambda: UnequalStar(units=(BatteryUnit(),), drive=-1.0), "`drive` must be finite"),
        (lambda: UnequalStar(units=(BatteryUnit(),)).solve([1.0, 0.5]), "`times` must be"),
    ],
)
def test_wrong_unequal_stars_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
