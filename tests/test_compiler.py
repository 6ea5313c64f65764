"""The compiler: integer ticks, loops that stay loops, limits all at once."""

import dataclasses
import math

import pytest

from nmrqb import compile_protocol, read_protocol, read_register, read_spectrometer
from nmrqb.files.shipped import shipped_names
from nmrqb.sequence.events import Acquire, Crusher, Delay, Exchange, Loop, Pulse, PulseSequence


def compiled(name, **changes):
    protocol = dataclasses.replace(read_protocol(name), **changes)
    register = read_register(protocol.register)
    return compile_protocol(protocol, register, read_spectrometer(protocol.spectrometer))


@pytest.mark.parametrize("name", shipped_names("protocol"))
def test_every_duration_of_every_shipped_protocol_is_a_whole_number_of_ticks(name):
    result = compiled(name)
    assert not result.violations
    for sequence in (*result.sequences, result.reference):
        for event, times in sequence.walk():
            assert isinstance(event.ticks, int)
            assert event.ticks >= 0
            assert times >= 0


def test_cycles_are_one_hardware_loop():
    result = compiled("asymptotic_ttss")
    for sequence, cycles in zip(result.sequences, result.protocol.sweep.values, strict=True):
        loops = [e for e in sequence.events if isinstance(e, Loop)]
        assert [e.count for e in loops] == ([int(cycles)] if cycles else [])


def test_no_cycles_is_a_sequence_without_the_loop():
    first = compiled("asymptotic_ttss").sequences[0]
    assert not any(isinstance(e, Loop | Exchange) for e in first.events)
    assert isinstance(first.events[-1], Acquire)


def test_a_flip_back_acts_only_on_what_an_exchange_has_left():
    result = compiled("asymptotic_chloroform")
    four = result.sequences[4]
    flips = [
        (e.label, times) for e, times in four.walk() if isinstance(e, Pulse) and "flip" in e.label
    ]
    assert flips == [("flip the chargers back", 3)]
    loop = next(e for e in four.events if isinstance(e, Loop))
    assert loop.count == 3


def test_a_cycle_reads_as_the_protocol_says():
    body = compiled("asymptotic_ttss").cycle
    assert [type(e) for e in body] == [Delay, Exchange, Crusher]
    assert body[0].ticks * 50e-9 == pytest.approx(10.0, abs=50e-9)


def test_decoupling_acts_during_the_acquisition_only():
    for sequence in compiled("asymptotic_ttss").sequences:
        assert [e.decoupled for e, _ in sequence.walk() if isinstance(e, Acquire)] == [("1H",)]


def test_rounding_keeps_the_angle_and_is_reported():
    spectrometer = read_spectrometer("generic")
    coarse = dataclasses.replace(spectrometer, tick_s=7e-6, minimum_delay_s=7e-6)
    protocol = read_protocol("asymptotic_ttss")
    result = compile_protocol(protocol, read_register("ttss"), coarse)
    pulse = next(e for e, _ in result.sequences[0].walk() if isinstance(e, Pulse))
    # 15 us on a 7 us clock is 14 us: the angle stays, the amplitude follows
    assert pulse.angle_rad == math.pi / 2
    assert pulse.ticks * coarse.tick_s * pulse.amplitude_scale == pytest.approx(15e-6)
    assert any("29Si 90 degree pulse" in r.key for r in result.roundings)


def test_every_violated_limit_is_listed_with_the_nearest_legal_value():
    spectrometer = read_spectrometer("generic")
    channels = tuple(
        dataclasses.replace(c, maximum_pulse_s=1e-6, maximum_decoupling_s=0.1)
        for c in spectrometer.channels
    )
    tight = dataclasses.replace(
        spectrometer, channels=channels, maximum_points=100, maximum_list=3, maximum_duration_s=60.0
    )
    protocol = read_protocol("asymptotic_ttss")
    found = compile_protocol(protocol, read_register("ttss"), tight).violations
    text = "\n".join(str(v) for v in found)
    for part in ("at most 1 us", "at most 100 ms", "at most 100", "at most 3", "at most 0.01667 h"):
        assert part in text


def test_a_register_without_its_channel_is_refused():
    spectrometer = read_spectrometer("generic")
    silent = dataclasses.replace(
        spectrometer, channels=tuple(c for c in spectrometer.channels if c.nucleus != "29Si")
    )
    with pytest.raises(ValueError, match="no 29Si channel"):
        compile_protocol(read_protocol("asymptotic_ttss"), read_register("ttss"), silent)


def test_flipping_back_chargers_that_point_up_is_refused():
    protocol = read_protocol("asymptotic_ttss")
    step = dataclasses.replace(protocol.cycle[0], recovery="flipped-back")
    with pytest.raises(ValueError, match="flipped-back"):
        compiled("asymptotic_ttss", cycle=(step, *protocol.cycle[1:]))


def test_a_transfer_that_the_star_cannot_reach_is_refused():
    protocol = read_protocol("asymptotic_chloroform")
    step = dataclasses.replace(protocol.cycle[1], transfer=1.2)
    with pytest.raises(ValueError, match=r"0 to 1\.0000 for 1 satellites"):
        compiled("asymptotic_chloroform", cycle=(protocol.cycle[0], step, protocol.cycle[2]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Delay(ticks=1.5),
        lambda: Delay(ticks=-1),
        lambda: Pulse(nucleus="1H", ticks=0, angle_rad=1.0),
        lambda: Pulse(nucleus="1H", ticks=1, angle_rad=math.nan),
        lambda: Loop(count=-1, body=(Delay(ticks=1),)),
        lambda: Loop(count=1, body=()),
        lambda: Acquire(nucleus="1H", points=0, dwell_ticks=1),
        lambda: PulseSequence(tick_s=0.0, events=(Delay(ticks=1),)),
        lambda: PulseSequence(tick_s=1e-6, events=()),
    ],
)
def test_events_refuse_what_no_clock_can_do(make):
    with pytest.raises(ValueError, match=r"must"):
        make()


def test_a_sequence_prints_as_a_spectroscopist_reads_it():
    text = str(compiled("asymptotic_ttss").sequences[3])
    for part in ("loop 3 times", "ideal XY exchange", "crusher gradient", "acquire 29Si", "1H dec"):
        assert part in text
