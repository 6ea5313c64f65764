"""Unit strings: what a file says is what the program uses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmrqb.units import UNITS, Unit, file_key, format_quantity, parse_quantity

#: dimension and unit of every unit that a file may use
units = st.sampled_from([(d, u) for d, table in UNITS.items() for u in table])


@given(units, st.floats(min_value=-1e6, max_value=1e6, allow_nan=False))
def test_a_unit_string_is_the_number_times_its_unit(unit, number):
    dimension, name = unit
    value = parse_quantity(f"{number!r} {name}", dimension)
    assert value == pytest.approx(number * UNITS[dimension][name], rel=1e-15, abs=0)


@given(st.floats(min_value=1e-12, max_value=1e6))
def test_a_formatted_time_reads_back_to_six_digits(seconds):
    assert parse_quantity(format_quantity(seconds, "time"), "time") == pytest.approx(
        seconds, rel=1e-5
    )


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text())))
def test_a_bare_number_is_never_a_time(value):
    with pytest.raises(ValueError, match="with its unit"):
        parse_quantity(value, "time")


@given(st.text(max_size=40))
def test_any_text_is_a_finite_time_or_a_clear_error(text):
    try:
        value = parse_quantity(text, "time")
    except ValueError:
        with pytest.raises(ValueError, match="must be a"):
            parse_quantity(text, "time")
    else:
        assert math.isfinite(value)


@pytest.mark.parametrize("text", ["3.3", "3.3s", "s", "3,3 s", "1e s", "0x10 s", "١ s", "1 s s"])
def test_what_only_looks_like_a_time_is_refused(text):
    with pytest.raises(ValueError, match="must be a time"):
        parse_quantity(text, "time")


@pytest.mark.parametrize(
    ("unit", "inside", "outside"),
    [
        (Unit("time", above=0.0), "1 ns", "0 s"),
        (Unit("time", at_least=0.0), "0 s", "-1 ns"),
        (Unit("frequency", at_most=1e3), "1 kHz", "1.001 kHz"),
    ],
)
def test_limits_belong_to_the_interval_they_say(unit, inside, outside):
    unit.parse(inside)
    with pytest.raises(ValueError, match="must be"):
        unit.parse(outside)


def test_a_field_loses_its_unit_ending_in_a_file():
    assert [file_key(n) for n in ("t1_s", "coupling_hz", "shift_ppm", "satellites")] == [
        "t1", "coupling", "shift", "satellites",
    ]  # fmt: skip
