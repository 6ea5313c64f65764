"""Real samples: RF fields and offsets that spread, inversions of measured efficiency, crushers."""

import dataclasses
import math

import numpy as np
import pytest
from star_registers import TICK_S, charging_protocol, fine_spectrometer, nominal, star

from nmrqb import read_register, read_spectrometer
from nmrqb.analysis.coupling import echo_modulation
from nmrqb.compiler.compile import compile_protocol
from nmrqb.compiler.hazards import radiation_damping_s, rf_energy
from nmrqb.models.closed_map import ClosedMap
from nmrqb.protocol.steps import Crush, ExchangeStep, Reenergise
from nmrqb.quantum.star import StarSpace
from nmrqb.sequence.events import Acquire, Crusher, Delay, Inversion, Pulse, PulseSequence
from nmrqb.simulate.dynamics import Conditions
from nmrqb.simulate.ensemble import EnsembleSimulator, b1_nodes, ensemble, field_offsets
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spectrometer.spectrometer import InversionPulse
from nmrqb.spins.recovery import Recovery
from nmrqb.studies.plan import make_plan, predict


def test_rf_fields_average_as_their_normal_distribution():
    # the mean of cos(angle x) over N(1, s^2) is cos(angle) e^{-(angle s)^2/2}
    for spread, angle in ((0.05, math.pi), (0.1, math.pi / 2), (0.1, 2 * math.pi)):
        nodes, weights = b1_nodes(spread, 7)
        assert weights.sum() == pytest.approx(1.0)
        expected = math.cos(angle) * math.exp(-((angle * spread) ** 2) / 2)
        assert weights @ np.cos(angle * nodes) == pytest.approx(expected, abs=1e-6)


def test_offsets_of_a_sample_make_the_line_as_wide_as_t2_star():
    species = star(1, t2_battery_s=1.0).battery
    species = dataclasses.replace(species, t2_star_s=nominal(0.25))
    offsets = field_offsets(species, 2001)
    for t in (0.05, 0.2, 0.5):
        signal = np.exp(2j * np.pi * offsets * t).mean() * math.exp(-t / 1.0)
        # the outermost of 2001 shares reach to infinity: up to 2 x 2/2001 of the weight
        assert signal == pytest.approx(math.exp(-t / 0.25), abs=4e-3)
    assert (field_offsets(dataclasses.replace(species, t2_star_s=nominal(1.0)), 5) == 0.0).all()


def test_a_180_over_a_sample_inverts_less():
    register = star(1)
    members = ensemble(register, b1_spread=(0.0, 0.05), b1_points=7)
    pulse = Pulse(nucleus="1H", ticks=10, angle_rad=math.pi)
    events = (pulse, Crusher(ticks=1), Delay(ticks=1))
    result = EnsembleSimulator(register, members).simulate(
        PulseSequence(tick_s=1e-9, events=events)
    )
    expected = -math.exp(-((math.pi * 0.05) ** 2) / 2)
    assert result.charger_z[-1] == pytest.approx(expected, abs=1e-6)


def test_too_few_fields_for_a_strong_lock_are_said_to_be_too_few():
    plan = make_plan("spin_lock_mismatch_chloroform")
    assert not any("b1_points" in w for w in plan.compiled.warnings)
    coarse = dataclasses.replace(
        plan.protocol, simulation=dataclasses.replace(plan.protocol.simulation, b1_points=3)
    )
    warnings = compile_protocol(coarse, plan.register, plan.spectrometer).warnings
    assert any("too far to resolve mismatches" in w for w in warnings)


def test_mismatched_locks_average_over_the_rabi_curve():
    # one pair: the mean of (1 + x^2)^-1 sin^2(pi/2 sqrt(1 + x^2)), x the mismatch over J/2, over
    # two independent normal fields, by brute force
    plan = make_plan("spin_lock_mismatch_chloroform")
    prediction = predict(plan)
    spread = plan.spectrometer.channel("1H").b1_spread
    j = plan.register.coupling_hz.value
    normal = np.random.default_rng(0).normal(size=(2, 200_000)) * spread
    for lock_hz, energy in zip(plan.protocol.sweep.values, prediction.exact.energy, strict=True):
        x = 2 * lock_hz * (normal[0] - normal[1]) / j
        rabi = np.sqrt(1 + x**2)
        transfer = (np.sin(np.pi / 2 * rabi) / rabi) ** 2
        # 90s and the inversion over the same fields cost cos-like factors near 1: pi^2 s^2/2 for
        # the 180, s^2 (pi/2)^2/2 for each 90; relaxation in 5 ms of T2 = 0.3 s costs 1 % more
        ideal = transfer.mean() * math.exp(-((math.pi * spread) ** 2) / 2)
        assert energy == pytest.approx(ideal, abs=0.03)


def test_a_composite_inversion_is_one_thing_to_the_closed_map():
    prediction = predict(make_plan("asymptotic_native_trimethyl_phosphate"))
    # the exchange relaxes and the map does not: a tenth of the energy at most
    assert prediction.exact.energy == pytest.approx(prediction.closed.energy, abs=0.02)


def test_a_composite_inversion_forgives_what_a_hard_one_does_not():
    register, spectrometer = star(2), read_spectrometer("generic")
    z = {}
    for kind in ("hard", "composite"):
        step = Reenergise(delay_s=0.0, recovery="left", inversion="ideal", pulse=kind)
        plan = compile_protocol(charging_protocol(1.0, 0.3, cycle=(step,)), register, spectrometer)
        off = StarSimulator(register, conditions=Conditions(b1_satellite=0.9), relaxes=False)
        state = off.dynamics.apply(
            (*plan.cycle, Crusher(ticks=1)), off.dynamics.thermal_state(), 1e-9
        )
        z[kind] = off.dynamics.space.bloch_satellite(state)[2]
    # 90x 180y 90x at 0.9: M_z = -(1 - 2 cos^2(81 deg)^2) about, against cos(162 deg)
    assert z["hard"] == pytest.approx(math.cos(math.radians(162)), abs=1e-4)
    assert z["composite"] < -0.995


@pytest.mark.parametrize("kind", ["hard", "composite", "adiabatic"])
def test_a_measured_inversion_is_used_with_its_efficiency_and_its_length(kind):
    register, spectrometer = star(3, "13C"), fine_spectrometer()
    pulse = InversionPulse(kind=kind, efficiency=nominal(0.93), length_s=1e-3, power_watt=0.5)
    channels = tuple(
        dataclasses.replace(c, inversions=(pulse,)) if c.nucleus == "1H" else c
        for c in spectrometer.channels
    )
    spectrometer = dataclasses.replace(spectrometer, channels=channels)
    step = Reenergise(delay_s=60.0, recovery="saturated", pulse=kind)
    plan = compile_protocol(charging_protocol(1.0, 0.3, cycle=(step,)), register, spectrometer)
    (event,) = (e for e in plan.cycle if isinstance(e, Inversion))
    assert event.ticks * TICK_S == pytest.approx(1e-3)
    simulator = StarSimulator(register)
    state = simulator.dynamics.apply(plan.cycle, simulator.dynamics.thermal_state(), TICK_S)
    # 60 s = 18 T1 of full recovery; half a millisecond of it after the inversion
    assert simulator.dynamics.space.bloch_satellite(state)[2] == pytest.approx(-0.93, abs=4e-4)
    closed = ClosedMap(register=register, tick_s=TICK_S)
    after = closed.of_events(plan.cycle) @ closed.equilibrium()
    assert after[1] == pytest.approx(-0.93, abs=4e-4)


def test_an_inversion_of_some_efficiency_makes_no_z_of_transverse_spins():
    register = star(2, "13C")
    turn = Pulse(nucleus="1H", ticks=10, angle_rad=math.pi / 2, phase_rad=math.pi / 2)
    invert = Inversion(nucleus="1H", ticks=10, efficiency=0.9, power_watt=1.0)
    dynamics = StarSimulator(register, relaxes=False).dynamics
    state = dynamics.apply((turn, invert), dynamics.thermal_state(), 1e-9)
    assert dynamics.space.bloch_satellite(state) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_an_adiabatic_inversion_that_nobody_measured_is_refused():
    step = Reenergise(delay_s=1.0, recovery="left", inversion="ideal", pulse="adiabatic")
    with pytest.raises(ValueError, match="lists no adiabatic inversion of 1H"):
        compile_protocol(charging_protocol(1.0, 0.3, cycle=(step,)), star(3), fine_spectrometer())


def test_a_crusher_leaves_its_residual_of_coherence_and_all_of_the_rest():
    space = StarSpace(3)
    rng = np.random.default_rng(1)
    state = rng.normal(size=space.dimension) + 0j
    crushed = space.crush(state, 0.04)
    order_zero = (space.orders == 0).all(axis=1)
    assert (crushed[order_zero] == state[order_zero]).all()
    assert crushed[~order_zero] == pytest.approx(0.04 * state[~order_zero])


def test_radiation_damping_times_as_printed():
    # 400 MHz, eta Q = 25: 0.1 M TTSS 0.24 s, neat trimethyl phosphate (8.55 M) 11 ms
    spectrometer = read_spectrometer("generic")
    assert spectrometer.channel("1H").filling_quality == 25
    ttss = dataclasses.replace(read_register("ttss"), concentration_molar=nominal(0.1))
    assert radiation_damping_s(ttss, spectrometer) == pytest.approx(0.24, abs=5e-3)
    neat = dataclasses.replace(
        read_register("trimethyl_phosphate"), concentration_molar=nominal(8.55)
    )
    assert radiation_damping_s(neat, spectrometer) == pytest.approx(11e-3, abs=5e-4)
    assert radiation_damping_s(read_register("ttss"), spectrometer) is None


def test_inverted_chargers_of_a_concentrated_sample_are_warned_about(edited):
    edited(
        "data/registers/trimethyl_phosphate.toml",
        (r"^(field = .*)", r'\1\nconcentration = { value = "8.5 M", nominal = true }'),
        name="neat.toml",
    )  # fmt: skip
    path = edited(
        "protocols/asymptotic_trimethyl_phosphate_left.toml",
        (r"^register = .*", 'register = "neat.toml"'),
    )
    warnings = make_plan(path).compiled.warnings
    assert any("radiation damping" in w and "11." in w for w in warnings)
    # chargers that stay on +z do not turn
    quiet = edited(
        "protocols/asymptotic_trimethyl_phosphate_left.toml",
        (r"^register = .*", 'register = "neat.toml"'),
        (r"^inversion = .*", 'inversion = "none"'),
        name="quiet.toml",
    )
    assert not any("radiation" in w for w in make_plan(quiet).compiled.warnings)


def test_rf_energy_counts_pulses_and_decoupling():
    spectrometer = read_spectrometer("generic")
    read = Pulse(nucleus="29Si", ticks=300, angle_rad=math.pi / 2)
    acquire = Acquire(nucleus="29Si", points=1000, dwell_ticks=20000, decoupled=("1H",))
    energy = rf_energy(PulseSequence(tick_s=50e-9, events=(read, acquire)), spectrometer)
    assert energy == pytest.approx({"29Si": 60.0 * 15e-6, "1H": 0.2 * 1.0})


def test_heating_that_changes_along_a_series_is_warned_about():
    plan = make_plan("noe_tms")
    limit = plan.spectrometer.channel("1H").maximum_mean_power_watt
    channels = tuple(
        dataclasses.replace(c, maximum_mean_power_watt=5e-3) if c.nucleus == "1H" else c
        for c in plan.spectrometer.channels
    )
    tight = dataclasses.replace(plan.spectrometer, channels=channels)
    warnings = compile_protocol(plan.protocol, plan.register, tight).warnings
    assert limit == 1.0
    assert any("RF heating changes along the series" in w for w in warnings)
    assert any("RF heating: 1H sends" in w for w in warnings)
    assert not any("heating" in w for w in plan.compiled.warnings)


def test_spin_locks_count_towards_the_duty_by_their_power():
    protocol = charging_protocol(
        0.0, 0.3, cycles=200,
        cycle=(
            ExchangeStep(exchange="hartmann-hahn", duration_s=0.1, spin_lock_hz=5000.0), Crush()
        ),
    )  # fmt: skip
    violations = compile_protocol(
        protocol, read_register("trimethyl_phosphate"), read_spectrometer("generic")
    ).violations
    assert any("duty of the 1H channel" in str(v) for v in violations)


def test_a_rare_central_charger_magnetises_only_its_own_molecules():
    turned = star(3, "1H", "29Si", central="charger")
    turned = dataclasses.replace(turned, concentration_molar=nominal(1.0))
    labelled = dataclasses.replace(turned, isotopologue_share=nominal(1.0))
    ratio = turned.charger_magnetisation / labelled.charger_magnetisation
    assert ratio == pytest.approx(0.046832)


def test_the_bulk_proton_line_is_said_not_to_be_the_chargers():
    plan = make_plan("inversion_efficiency_chloroform")
    assert not any("bulk" in w for w in plan.compiled.warnings)  # labelled
    natural = dataclasses.replace(plan.register, isotopologue_share=None)
    warnings = compile_protocol(plan.protocol, natural, plan.spectrometer).warnings
    assert any("1.07 %" in w and "bulk" in w for w in warnings)


# ------------------------------------------------------------- recovery that is not exponential

TWO = Recovery(t1_fast_s=1.5, t1_slow_s=6.0, fast_share=0.6, nominal=True)


def test_two_exponentials_recover_as_their_sum():
    for delay in (0.1, 3.0, 20.0):
        left = 0.6 * math.exp(-delay / 1.5) + 0.4 * math.exp(-delay / 6.0)
        assert TWO.left_over(delay) == pytest.approx(left)
        assert math.exp(-delay / TWO.effective_t1_s(delay)) == pytest.approx(left)


def test_a_table_of_one_exponential_is_that_exponential():
    times = (0.5, 1.0, 3.0, 7.0, 12.0)
    table = Recovery(
        times_s=times, recovered=tuple(1 - math.exp(-t / 3.3) for t in times), nominal=True
    )
    for delay in (0.2, 2.0, 11.0, 15.0):
        assert table.effective_t1_s(delay) == pytest.approx(3.3)


@pytest.mark.parametrize("recovery", ["left", "saturated"])
def test_a_measured_recovery_replaces_t1_in_the_wait(recovery):
    plain = star(36, "13C", t2_charger_s=1.0)
    register = dataclasses.replace(
        plain, satellite=dataclasses.replace(plain.satellite, recovery=TWO)
    )
    plan = compile_protocol(
        charging_protocol(10.0, 0.3, recovery=recovery), register, fine_spectrometer()
    )
    closed = ClosedMap(register=register, tick_s=TICK_S).fixed_point(plan.cycle)
    exact = StarSimulator(register).fixed_point(plan.cycle, TICK_S)
    # by hand: c(10 s) = 1 - 0.6 e^{-10/1.5} - 0.4 e^{-10/6}
    left = TWO.left_over(10.0)
    q, p_eq, b, n = math.exp(-10 / 115.4), register.battery_equilibrium, 0.3, 36
    p = z = 0.0
    for _ in range(2000):
        before = p_eq + (p - p_eq) * q
        c = -(1 - left) if recovery == "saturated" else -(1 + (z - 1) * left)
        p = (1 - b) * before + b * c
        z = c - (p - before) / n
    assert closed == pytest.approx(p, abs=1e-6)
    assert exact == pytest.approx(p, abs=1e-3)
    # a single T1 would have been wrong by far more
    other = ClosedMap(register=plain, tick_s=TICK_S).fixed_point(plan.cycle)
    assert abs(other - p) > 0.01


def test_a_slow_start_of_a_table_is_its_first_chord():
    table = Recovery(times_s=(1.0, 2.0, 3.0, 4.0), recovered=(0.1, 0.5, 0.9, 0.99), nominal=True)
    assert table.effective_t1_s(0.0) == pytest.approx(-1.0 / math.log(0.9))
    low, high = table.t1_range_s
    assert low == pytest.approx(-4.0 / math.log(0.01))
    assert high == pytest.approx(-1.0 / math.log(0.9))
    register = star(3, t2_charger_s=3.0)
    with pytest.raises(ValueError, match="`t2` must be at most twice the fastest recovery"):
        dataclasses.replace(register.satellite, recovery=table)


def test_a_slow_recovery_and_a_dipolar_share_must_fit_together():
    slow = Recovery(t1_fast_s=4.0, t1_slow_s=40.0, fast_share=0.5, nominal=True)
    register = star(1, t1_battery_s=5.0, t2_battery_s=1.0, t1_charger_s=4.0, t2_charger_s=1.0)
    charger = dataclasses.replace(register.satellite, recovery=slow)
    with pytest.raises(ValueError, match="`dipolar_share` must leave the charger its T1"):
        dataclasses.replace(register, satellite=charger, dipolar_share=nominal(0.9))


def test_a_wait_beyond_the_measured_recovery_is_refused():
    table = Recovery(times_s=(1.0, 2.0, 5.0), recovered=(0.2, 0.4, 0.7), nominal=True)
    register = star(3, t2_charger_s=1.0)
    register = dataclasses.replace(
        register, satellite=dataclasses.replace(register.satellite, recovery=table)
    )
    with pytest.raises(ValueError, match="at most 5 s, but is 10 s"):
        compile_protocol(charging_protocol(10.0, 0.3), register, fine_spectrometer())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"t1_fast_s": 1.0}, "either `t1_fast`"),
        ({"t1_fast_s": 2.0, "t1_slow_s": 1.0, "fast_share": 0.5}, "`t1_fast` must be at most"),
        ({"times_s": (1.0, 2.0), "recovered": (0.1, 0.2)}, "at least 3"),
        (
            {"times_s": (1.0, 3.0, 2.0), "recovered": (0.1, 0.2, 0.3)},
            "`times` must rise, but entry 2 is 2 after 3",
        ),
        ({"times_s": (1.0, 2.0, 3.0), "recovered": (0.1, 0.2, 1.2)}, "within 0 to 1"),
    ],
)
def test_a_recovery_that_makes_no_sense_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Recovery(nominal=True, **fields)


# ------------------------------------------------------------------------- calibration protocols


def test_nutation_calibrates_the_90_degree_pulse():
    plan = make_plan("pulse_calibration_trimethyl_phosphate")
    prediction = predict(plan)
    nominal_hz = 1 / (4 * plan.spectrometer.channel("1H").pulse_90_s)
    lengths = np.array(plan.protocol.sweep.values)
    spread = plan.spectrometer.channel("1H").b1_spread
    angle = 2 * np.pi * nominal_hz * lengths
    # energy is -r: -sin(angle) damped by the Gaussian spread, over that of the reference's own 90
    # degrees; 5 nodes are exact to 1e-3 up to 12 rad
    damping = np.exp(-((angle * spread) ** 2) / 2)
    expected = -np.sin(angle) * damping / math.exp(-((math.pi / 2 * spread) ** 2) / 2)
    assert prediction.exact.energy == pytest.approx(expected, abs=2e-3)


def test_the_echo_of_relaxing_partners_is_what_the_engine_gives():
    plan = make_plan("coupling_trimethyl_phosphate")
    register = plan.register
    times = np.array(plan.protocol.sweep.values)
    expected = echo_modulation(
        times, 11.0, register.center.t2_s.value, 1.0, 9, register.satellite.t1_s.value
    )
    r = -predict(plan).exact.energy / register.equilibrium_ratio
    # 72 us of pulses in which the coupling acts by half, and relaxation of z during 1.2 ms
    assert r == pytest.approx(expected, abs=2e-3)


def test_lines_off_their_transmitters_are_pulsed_off_resonance(edited):
    # a 180 of 24 us, 4 kHz off: the effective field is tilted by atan(4/20.8), z -> 1 - 2 sin^2
    path = edited(
        "protocols/inversion_efficiency_chloroform.toml",
        (r"^b1_points = 5", 'charger_offset = "4 kHz"'),
    )
    plan = make_plan(path)
    nutation = 1 / (4 * plan.spectrometer.channel("1H").pulse_90_s)
    field = math.hypot(nutation, 4000.0)
    turn = math.pi * field / nutation
    z = 1 - 2 * (nutation / field * math.sin(turn / 2)) ** 2
    after = StarSimulator(plan.register, relaxes=False, conditions=Conditions(
        offset_satellite_hz=4000.0)).dynamics  # fmt: skip
    (pulse,) = (e for e in plan.compiled.cycle if isinstance(e, Pulse))
    state = after.apply((pulse,), after.thermal_state(), plan.spectrometer.tick_s)
    # the two lines of the doublet lie J/2 = 105 Hz to either side: (105/20800)^2 = 3e-5 at most
    assert after.space.bloch_satellite(state)[2] == pytest.approx(z, abs=1e-4)
    # the read-out pulse is off resonance in the reference as well
    assert predict(plan).exact.energy[0] == pytest.approx(-z, abs=0.01)
