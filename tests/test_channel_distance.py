"""The battery's channel of a compiled plan against that of the process it stands for."""

import dataclasses
import json
import math

import numpy as np
import pytest
import qutip
from star_registers import TICK_S, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.errors import InputError
from nmrqb.protocol.protocol import Reference
from nmrqb.protocol.steps import (
    BatterySaturated,
    Crush,
    DrivenExchangeStep,
    ExchangeStep,
    Inept,
    PseudoPurePreparation,
    Reenergise,
)
from nmrqb.sequence.events import Exchange
from nmrqb.simulate.battery_channel import OneBattery
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.channel_distance import channel_distance
from nmrqb.studies.plan import make_plan, plan_of

J = 5.0
G = math.pi * J
T1 = 3.3
LASTING = {"t1_battery_s": 1e12, "t2_battery_s": 1e12}


def reenergised(satellites=1, *, wait_s=3.0, gd=0.6, cycles=5, recovery="left", relaxes=False, **t):
    """Return the plan [exchange, crush, re-energise] x cycles from an empty battery."""
    cycle = (
        ExchangeStep(exchange="ideal", duration_s=gd / G, relax_during_exchange=relaxes),
        Crush(),
        Reenergise(delay_s=wait_s, recovery=recovery),
    )
    protocol = charging_protocol(0.0, 0.0, cycles, cycle=cycle, prepare=BatterySaturated())
    register = star(satellites, coupling_hz=J, t1_charger_s=T1, **{**LASTING, **t})
    return plan_of(protocol, register, fine_spectrometer(), "star")


def driven(slices, **t):
    """Return the plan of one driven exchange by phase flips from the pseudo-pure state."""
    step = DrivenExchangeStep(
        drive_hz=7.0, dephasing_per_s=40.0, duration_s=0.08, by="phase-flips",
        slices=slices, relax_during_exchange=False,
    )  # fmt: skip
    protocol = dataclasses.replace(
        charging_protocol(0.0, 0.0, cycle=(step,)),
        prepare=(PseudoPurePreparation(),),
        reference=Reference(kind="pseudo-pure"),
    )
    register = star(1, "1H", "13C", coupling_hz=J, **t)
    return plan_of(protocol, register, fine_spectrometer(), "star")


@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize("start", ["thermal", "pseudo-pure"])
def test_the_channel_of_one_exchange_is_the_closed_form(central, start):
    # x, y -> cos(g t), z -> cos^2(g t) z + sin^2(g t) c, for any polarisation of one charger
    register = star(1, coupling_hz=J, central=central)
    one, simulator = OneBattery(register), StarSimulator(register)
    t = 0.03
    chargers = one.chargers_of(simulator.dynamics.thermal_state())
    event = Exchange(ticks=round(t / TICK_S), relaxes=False)
    steps = [lambda state: simulator.dynamics.apply((event,), state, TICK_S)]
    (channel,) = one.channels(steps, chargers, start)
    c = math.cos(G * t)
    assert channel.matrix == pytest.approx(np.diag([c, c, c * c]), abs=1e-9)
    assert channel.shift == pytest.approx([0.0, 0.0, 1 - c * c], abs=1e-9)
    assert channel.is_physical(1e-9)


@pytest.mark.parametrize("satellites", [1, 3])
def test_the_channel_takes_the_prepared_battery_along_the_simulated_curve(satellites):
    plan = reenergised(satellites, relaxes=True, t1_battery_s=30.0, t2_battery_s=5.0)
    found = channel_distance(plan)
    for n in (1, 3, 5):
        protocol = dataclasses.replace(plan.protocol, cycles=n)
        sequence = compile_protocol(protocol, plan.register, plan.spectrometer).sequences[0]
        curve = StarSimulator(plan.register).simulate(sequence).battery_z
        # preparation, cycles, then crusher, read-out pulse and dead time
        assert found.compiled[n - 1]([0, 0, 0])[2] == pytest.approx(curve[-4], abs=1e-7)


def test_the_target_of_a_driven_exchange_is_the_master_equation():
    # by QuTiP: H = g (S+ I- + S- I+) + F (C+ + C-), F = pi drive, and gamma_C on n of the charger
    found = channel_distance(driven(20))
    (target,) = found.targets
    sz, sm, eye = qutip.sigmaz(), qutip.sigmap(), qutip.qeye(2)
    battery, charger = qutip.tensor(sm, eye), qutip.tensor(eye, sm)  # sigma_+ in |up>, |down>
    h = G * (battery.dag() * charger + battery * charger.dag())
    h += math.pi * 7.0 * (charger + charger.dag())
    number = qutip.tensor(eye, (1 - sz) / 2)
    axes = [qutip.tensor(s, eye) for s in (qutip.sigmax(), qutip.sigmay(), sz)]
    up = qutip.ket2dm(qutip.basis(2, 0))

    def bloch(rho):
        options = {"atol": 1e-12, "rtol": 1e-10}
        state, noise = qutip.tensor(rho, up), [math.sqrt(40.0) * number]
        result = qutip.mesolve(h, state, [0.0, 0.08], noise, e_ops=axes, options=options)
        return np.array([e[-1] for e in result.expect])

    channel = target.channels[0]
    shift = bloch(eye / 2)
    assert channel.shift == pytest.approx(shift, abs=1e-7)
    for k, s in enumerate((qutip.sigmax(), qutip.sigmay(), sz)):
        assert channel.matrix[:, k] == pytest.approx(bloch((eye + s) / 2) - shift, abs=1e-7)
    assert not channel.is_phase_covariant(1e-3)  # the drive chooses a direction
    assert found.scale == 1.0


def test_slices_and_flips_come_near_their_channel_in_second_order():
    several = [channel_distance(driven(n)) for n in (20, 40, 80)]
    apart, found = [d.targets[0].separations[0] for d in several], several[0]
    for name in ("population", "trace", "diamond"):
        errors = [getattr(s, name) for s in apart]
        assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
        assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.05)
    for s in apart:
        assert s.population <= s.trace + 1e-12
        assert s.trace <= s.diamond + 1e-12
        assert s.diamond <= s.diamond_upper
    assert all(c.is_physical(1e-9) for c in found.compiled + found.targets[0].channels)
    assert apart[0].diamond > 1e-3  # something was compared


@pytest.mark.parametrize("options", [{"by": "crushers"}, {"by": "poisson-crushers", "slices": 40}])
def test_crushers_keep_the_populations_channel_and_take_the_coherence(options):
    # gamma_C/2 = 8 g; no drive: a gradient would kill what it makes in the battery
    step = {"drive_hz": 0.0, "dephasing_per_s": 16 * G, "relax_during_exchange": False, **options}
    plan = driven(40)
    cycle = (dataclasses.replace(plan.protocol.cycle[0], **{"slices": None, **step}),)
    plan = plan_of(
        dataclasses.replace(plan.protocol, cycle=cycle), plan.register, plan.spectrometer, "star"
    )
    apart = channel_distance(plan).targets[0].without_losses
    # a lag of 1/Gamma (half an interval) at the rate 2 k = 4 g^2/Gamma of D: 4 g^2/Gamma^2
    assert apart.population < 4 / 8**2
    assert apart.diamond > 2 * apart.population


def test_relaxation_that_both_sides_share_leaves_the_error_of_the_slices():
    step = {"t1_battery_s": 0.5, "t2_battery_s": 0.5}
    plan = driven(40, **step)
    lossy = dataclasses.replace(plan.protocol.cycle[0], relax_during_exchange=True)
    lossy = plan_of(
        dataclasses.replace(plan.protocol, cycle=(lossy, Crush())),
        plan.register, plan.spectrometer, "star",
    )  # fmt: skip
    found = channel_distance(lossy).targets[0]
    # both sides relax as long: what is left is the slices' error, of nearly the same size
    assert found.separations[0].diamond == pytest.approx(found.without_losses.diamond, rel=0.5)
    # ideal slices that do not relax: only their pulses of 1 ns do
    same = channel_distance(driven(40)).targets[0]
    assert same.separations[0].trace == pytest.approx(same.without_losses.trace, rel=1e-3)


def test_a_partial_reset_remembers_by_one_relaxation_parameter():
    # N = 1: (battery, charger) go by a 2 x 2 matrix; its powers are the n-cycle channel
    gd, wait_s = 0.6, 1.0
    found = channel_distance(reenergised(gd=gd, wait_s=wait_s, cycles=6))
    b, q = math.sin(gd) ** 2, math.exp(-wait_s / T1)
    one = np.array([[1 - b, b], [q * b, q * (1 - b)]])
    for n, channel in enumerate(found.compiled, start=1):
        kept = np.linalg.matrix_power(one, n)[0, 0]
        assert channel.matrix[2, 2] == pytest.approx(kept, abs=1e-7)
        assert channel.shift[2] == pytest.approx(
            1 - np.linalg.matrix_power(one, n)[0].sum() + np.linalg.matrix_power(one, n)[0, 1],
            abs=1e-7,
        )
        # within eps both ends of z count: |difference of M| + |difference of s|
        wrong = abs(kept - (1 - b) ** n)
        assert found.memory.power_error[n - 1] >= wrong - 1e-7
    assert found.memory.power_error[1] > 0.05
    assert found.memory.composition_error[1] > 0.05
    # one pair keeps no order beyond polarisation: each cycle's own channel predicts it
    assert found.memory.correlation_error.max() < 1e-9
    assert not np.isclose(found.memory.charger_levels[0], found.memory.charger_levels[-1])


def test_complete_resets_forget_and_compose():
    found = channel_distance(reenergised(wait_s=30 * T1))
    assert found.memory.power_error.max() < 1e-9
    assert found.memory.composition_error.max() < 1e-9
    assert found.memory.revival == 0.0


def test_a_full_exchange_is_given_back_after_a_short_wait():
    # b = 1 swaps; the charger keeps e^{-wait/T1} of what was the battery's, and returns it
    found = channel_distance(reenergised(gd=math.pi / 2, wait_s=1.0, cycles=2))
    assert found.compiled[0].matrix[2, 2] == pytest.approx(0.0, abs=1e-9)
    assert found.memory.revival == pytest.approx(2 * math.exp(-1.0 / T1), abs=1e-6)
    assert any("not Markovian" in s for s in found.sentences())


def test_order_between_battery_and_chargers_is_told_where_there_are_several():
    found = channel_distance(reenergised(3, gd=0.8, wait_s=1.0, t2_charger_s=2 * T1))
    assert found.memory.correlation_error.max() > 1e-4


def test_a_reset_ends_at_the_chargers_and_dephasing_half_way():
    plan = reenergised(t1_battery_s=115.4, t2_battery_s=10.0)
    found = channel_distance(plan, cycles=40)
    dephased, repolarised = found.targets
    assert dephased.end == pytest.approx(0.5)
    assert repolarised.end == pytest.approx(1.0)
    assert dephased.channels[-1]([0, 0, 0])[2] == pytest.approx(dephased.end, abs=1e-6)
    assert repolarised.channels[-1]([0, 0, 0])[2] == pytest.approx(1.0, abs=1e-3)
    # leak of the battery in each wait, chargers renewed to C: the closed fixed point, with the
    # chargers' memory in it
    b, qc, qb = math.sin(0.6) ** 2, math.exp(-3.0 / T1), math.exp(-3.0 / 115.4)
    p_eq = plan.register.battery_equilibrium
    system = np.array([[1 - (1 - b) * qb, -b * qb], [-b * qc, 1 - (1 - b) * qc]])
    level = np.linalg.solve(system, [(1 - qb) * p_eq, 1 - qc])[0]
    assert found.end == pytest.approx(level, abs=1e-6)
    words = " ".join(found.sentences())
    assert f"E = {found.end:.4g}" in words  # gamma < 0: E = p
    assert "A reset is not pure dephasing" in words


def test_a_battery_that_lasts_comes_near_the_repolarised_target():
    found = channel_distance(
        reenergised(gd=0.1, wait_s=0.5, cycles=40, t1_battery_s=60.0, t2_battery_s=60.0)
    )
    target = found.targets[1]
    assert found.rates.repolarisation_per_s < 2 * found.rates.dephasing_per_s
    # populations of the continuous process, whose exchange starts 1/Gamma later: b/2 per charger
    assert target.without_losses.population < 0.1**2
    assert target.separations[-1].population > 10 * target.without_losses.population
    # the crusher takes all of the battery's coherence, the target cos(gd) or so
    assert target.without_losses.trace == pytest.approx(math.cos(0.1), abs=0.1**2)


def test_inverted_remnants_have_no_continuous_counterpart():
    found = channel_distance(make_plan("asymptotic_trimethyl_phosphate_left"), cycles=2)
    assert [t.name for t in found.targets] == ["dephased"]
    assert "no continuous counterpart" in found.missing_target
    full = channel_distance(reenergised(gd=math.pi / 2, wait_s=30 * T1, cycles=1))
    assert f"{1 / G:.4g} s is the shortest" in full.missing_target


def test_chargers_that_nothing_renews_have_no_repolarised_target():
    plan = reenergised(wait_s=0.0)
    steps = tuple(s for s in plan.protocol.cycle if not isinstance(s, Crush))
    protocol = dataclasses.replace(plan.protocol, cycle=steps)
    found = channel_distance(plan_of(protocol, plan.register, plan.spectrometer, "star"))
    assert [t.name for t in found.targets] == ["dephased"]
    assert "nothing renews the chargers" in found.missing_target
    assert found.to_result()["rates"]["charging_time_s"] is None
    assert "without end" in found.sentences()[0]


def test_the_result_is_ready_for_json_and_words():
    found = channel_distance(reenergised(wait_s=200 * T1, cycles=3))
    text = json.dumps(found.to_result(), allow_nan=False)
    again = json.loads(text)
    assert again["targets"][0]["separations"][2]["diamond"] == pytest.approx(
        found.targets[0].separations[2].diamond
    )
    assert np.array(again["compiled"][2]["matrix"]) == pytest.approx(found.compiled[2].matrix)
    assert again["sentences"] == found.sentences()
    assert again["rates"]["repolarisation_per_s"] is None
    assert "complete resets" in again["rates"]["repolarisation_per_s_reason"]
    # first order in eps, eps inserted: still completely positive maps
    for channel in (*found.compiled, *found.targets[0].channels, *found.memory.one_cycle):
        assert channel.at_polarisation(found.scale).is_physical(1e-12)
    assert str(found).count("\n") == len(found.sentences())
    # eps is inserted for states of any size: the shift, of order 1 in eps, hardly counts there
    apart = found.targets[0].separations[0]
    a = found.compiled[0].matrix - found.targets[0].channels[0].matrix
    assert apart.trace_any == pytest.approx(np.abs(a).max(), abs=2 * found.scale)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("asymptotic_central_31p", "has 9 satellites as batteries"),
        ("inversion_recovery", "one exchange and a re-energising wait"),
        ("driven_pseudo_pure_trimethyl_phosphate", "`by` other than ideal"),
    ],
)
def test_plans_without_such_a_channel_are_refused(protocol, words):
    with pytest.raises(InputError, match=words):
        channel_distance(make_plan(protocol))


def test_contradictory_questions_are_refused():
    plan = reenergised()
    with pytest.raises(InputError, match="row must be 0 to 0, but is 3"):
        channel_distance(plan, row=3)
    with pytest.raises(InputError, match="cycles must be at least 1, but is 0"):
        channel_distance(plan, cycles=0)
    with pytest.raises(InputError, match="moves nothing"):
        channel_distance(reenergised(gd=0.0))
    pure = dataclasses.replace(
        plan.protocol,
        prepare=(PseudoPurePreparation(),),
        reference=Reference(kind="pseudo-pure"),
    )
    inept = dataclasses.replace(
        plan.protocol, cycle=(Inept(), Reenergise(delay_s=1.0, recovery="left"))
    )
    for protocol, words in ((pure, "nothing would be renewed"), (inept, "one exchange and")):
        with pytest.raises(InputError, match=words):
            channel_distance(plan_of(protocol, plan.register, plan.spectrometer, "star"))
