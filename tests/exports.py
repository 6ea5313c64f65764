"""What the tests of exported programs share: hostile text, a wide console, legal sequences."""

import dataclasses
import functools
import math

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from nmrqb import compile_protocol, read_protocol, read_register, read_spectrometer
from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.export import export
from nmrqb.files.shipped import shipped_names
from nmrqb.protocol.protocol import Sweep
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Inversion,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)

#: an experiment is large and shrinks slowly: what fails is reported as it was found
SLOW = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NUCLEI = ("31P", "1H")
HOSTILE = (
    "*/ int evil; /*",
    "; (p1 ph1):f1",
    "a\n(p1 ph1):f1\nb",
    "a\r\n#include </etc/passwd>",
    "back\\",
    "??/\n evil();",
    "// evil",
    '"p1 = 1000s"',
    "${VCLIST} `evil` $(evil)",
    "\u202e\u2028 evil \u0085 evil",
    ";@ reference_row: 7",
    "' ; rm -rf / ; '",
    "%s%n" * 40,
    "",
)


@functools.cache
def compiled(name):
    """Return the compiled protocol of a shipped name, with register and spectrometer."""
    protocol = read_protocol(name)
    register = read_register(protocol.register)
    spectrometer = read_spectrometer(protocol.spectrometer)
    return compile_protocol(protocol, register, spectrometer), register, spectrometer


@functools.cache
def exportable(target="bruker"):
    """Return the shipped protocols that a console can carry out."""
    found = []
    for name in shipped_names("protocol"):
        try:
            export(*compiled(name), target)
        except LimitError:
            continue
        found.append(name)
    return tuple(found)


def hostile_exports(text, target):
    job_of, register, console = compiled("asymptotic_native_trimethyl_phosphate")
    for field in ("name", "description"):
        protocol = dataclasses.replace(job_of.protocol, **{field: text})
        yield export(dataclasses.replace(job_of, protocol=protocol), register, console, target)
    yield export(job_of, dataclasses.replace(register, name=text or "-"), console, target)
    yield export(
        job_of, register, dataclasses.replace(console, name=text, description=text), target
    )


@functools.cache
def wide_console():
    """Return the generic spectrometer with room for every sequence that a test makes up."""
    console = read_spectrometer("generic")
    channels = tuple(
        dataclasses.replace(
            c,
            maximum_power_watt=1e6,
            maximum_pulse_s=1e3,
            maximum_duty=1.0,
            maximum_decoupling_s=1e6,
            maximum_spin_lock_s=1e3,
            strongest_spin_lock_hz=1e6,
            maximum_saturation_s=1e6,
        )
        for c in console.channels
    )
    return dataclasses.replace(
        console, channels=channels, maximum_duration_s=1e18, maximum_list=4096
    )


def made_up(rows, reference, sweep):
    """Return a compiled protocol whose sequences are the given ones."""
    base, register, _ = compiled("asymptotic_native_trimethyl_phosphate")
    protocol = dataclasses.replace(base.protocol, sweep=sweep)
    return (
        dataclasses.replace(
            base,
            protocol=protocol,
            sequences=tuple(rows),
            reference=reference,
            charging_s=(0.0,) * len(rows),
            rf_energy_joule=({},) * len(rows),
        ),
        register,
        wide_console(),
    )


def sequence(events):
    return PulseSequence(tick_s=wide_console().tick_s, events=tuple(events), name="made up")


#: few different lengths, amplitudes and phases: a program has 44 parameters of each kind
LENGTHS = (21, 40, 333, 2000, 12_345, 9_999_999)
SCALES = (0.03, 0.5, 0.987654321, 1.0, 1.7)


def ticks():
    return st.sampled_from(LENGTHS)


@st.composite
def pulses(draw, nucleus=None, *, quarters=True):
    """Return a pulse whose angle, length and amplitude belong together."""
    isotope = nucleus or draw(st.sampled_from(NUCLEI))
    scale = draw(st.sampled_from(SCALES))
    length = draw(st.sampled_from(LENGTHS[:4]))
    console = wide_console()
    turned = scale * length * console.tick_s / console.channel(isotope).pulse_90_s
    sign = draw(st.sampled_from([1.0, -1.0]))
    phases = st.sampled_from([0.0, 90.0, 180.0, 270.0] if quarters else [0.0, 36.87, 90.0, 359.99])
    phase = draw(phases)
    return Pulse(
        nucleus=isotope,
        ticks=length,
        angle_rad=sign * math.pi / 2.0 * turned,
        phase_rad=math.radians(phase),
        amplitude_scale=scale,
        label="made up",
    )


@st.composite
def simple_events(draw, *, quarters=True):
    """Return one event that is neither loop nor segment nor acquisition."""
    isotope = draw(st.sampled_from(NUCLEI))
    kind = draw(st.integers(0, 8))
    if kind == 0:
        return Crusher(ticks=draw(ticks()))
    if kind == 1:
        return Saturation(nucleus=isotope, ticks=draw(ticks()))
    if kind == 2:
        return Inversion(
            nucleus=isotope,
            ticks=draw(ticks()),
            efficiency=0.9,
            power_watt=draw(st.sampled_from([0.3, 50.0])),
        )
    if kind == 3:
        return SpinLock(
            nuclei=NUCLEI, ticks=draw(ticks()), nutation_hz=draw(st.sampled_from([777.0, 5e3]))
        )
    if kind == 8:
        return DummyPulses(
            nucleus=isotope,
            count=draw(st.integers(0, 3)),
            on_ticks=draw(st.sampled_from([40, 2000])),
            off_ticks=draw(st.sampled_from([40, 333])),
            amplitude_scale=draw(st.sampled_from([0.03, 0.5])),
            nutation_hz=1e4,
            offset_hz=draw(st.sampled_from([1.5e5, 199_187.6])),
        )
    if kind == 4:
        both = [draw(pulses(nucleus=n, quarters=quarters)) for n in NUCLEI]
        return SimultaneousPulses(pulses=tuple(draw(st.permutations(both))))
    if kind == 5:
        return draw(pulses(quarters=quarters))
    return Delay(ticks=draw(st.one_of(st.just(0), ticks())))


def bodies(*, quarters=True):
    """Return strategies of a few events with loops in loops and segments."""
    simple = simple_events(quarters=quarters)

    def nested(inner):
        body = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Loop, count=st.integers(0, 5), body=body),
            st.builds(
                Segment,
                label=st.just("segment"),
                body=body,
                action=st.just((1.0, 0.0, 0.0, 1.0)),
            ),
        )

    return st.lists(st.recursive(simple, nested, max_leaves=5), max_size=5)


@st.composite
def legal_experiments(draw, *, quarters=True):
    """Return compiled protocols: rows that share a shape, or not, with a reference, or not."""
    console = wide_console()
    dead = Delay(ticks=draw(st.integers(40, 1000)), label="dead time")
    acquire = Acquire(nucleus="31P", points=64, dwell_ticks=draw(st.integers(200, 4000)),
                      decoupled=draw(st.sampled_from([(), ("1H",)])))  # fmt: skip
    read = Pulse(
        nucleus="31P",
        ticks=console.ticks(14e-6),
        angle_rad=math.pi / 2,
        phase_rad=math.pi / 2,
        label="read",
    )
    tail = [*draw(bodies(quarters=quarters)), *([read] if draw(st.booleans()) else [])]
    tail += [dead, acquire]
    prepare = draw(bodies(quarters=quarters))
    reference = None
    if draw(st.booleans()):
        reference = sequence([*draw(bodies(quarters=quarters)), *tail[-3:]])
    kind = draw(st.sampled_from(["cycles", "delay", "anything"]))
    if kind == "cycles":
        first, body = draw(bodies(quarters=quarters)), draw(bodies(quarters=quarters))
        body = (*body, Delay(ticks=20))
        counts = draw(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True))
        apart = draw(st.booleans())
        rows = []
        for n in counts:
            middle = [Loop(count=n, body=body)] if n else []
            if apart and n:
                rest = [Loop(count=n - 1, body=body)] if n > 1 else []
                middle = [*first, *body, *rest]
            rows.append(sequence([*prepare, *middle, *tail]))
        return made_up(rows, reference, Sweep(key="cycles", values=tuple(map(float, counts))))
    count = draw(st.integers(1, 4))
    if kind == "delay":
        around = draw(bodies(quarters=quarters))
        lengths = draw(st.lists(st.one_of(st.just(0), ticks()), min_size=count, max_size=count))
        rows = [sequence([*prepare, Delay(ticks=t), *around, Delay(ticks=3 * t), *tail])
                for t in lengths]  # fmt: skip
        values = tuple(t * console.tick_s for t in lengths)
    else:
        rows = [sequence([*draw(bodies(quarters=quarters)), *tail]) for _ in range(count)]
        values = tuple(map(float, range(count)))
    return made_up(rows, reference, Sweep(key="cycle.0.delay", values=values, unit="s"))
