"""Quantities of the entries refuse what has no value, naming the argument and its limit."""

import pytest

from nmrqb import DephasedStar
from nmrqb.studies.reproduce.table import QUANTITIES

PAIR = DephasedStar(batteries=1)
RUNS = {"picture": "noisy-field", "seed": 1, "runs": 4, "duration": 1.0, "points": 3}


@pytest.mark.parametrize(
    ("name", "star", "arguments", "message"),
    [
        ("gap-function", None, {"y": -9.0}, "`y` must be -4 to"),
        ("contour-energy", None, {"relative_batteries": 0.0}, "`relative_batteries` must be"),
        ("gap-at-crossover-exponent", None, {"first": 5, "last": 5}, "`last` must be at least 6"),
        ("gap-width", None, {"drive_over_coupling": 0.1}, "`drive_over_coupling` must be at least"),
        ("gap-width-exponent", None, {"first": 4.0, "last": 2.0}, "`first` must be"),
        ("timing-spread", PAIR, {"time": 1.0, "jitter": 1.5}, "`jitter` must lie"),
        ("mean-energy", PAIR, {"duration": 0.0}, "stretch of time must be positive"),
        ("locked-share", DephasedStar(batteries=1, drive=0.0), {}, "nothing is stored"),
        ("gap-over-energy", DephasedStar(batteries=1, drive=0.0), {}, "nothing is stored"),
        ("deviation-of-runs", PAIR, RUNS | {"seed": -1}, "`seed` must be at least 0"),
        ("deviation-of-runs", PAIR, RUNS | {"points": 1}, "`points` must be at least 2"),
        ("charging-seconds", PAIR, {"coupling_hz": 0.0}, "`coupling_hz` must be positive"),
        (
            "remembered-point",
            None,
            {"chargers": 3, "transfer": 7.0, "delay_s": 1.0, "charger_t2_s": 1.0, "cycles": 2},
            "`transfer` must be 0 to",
        ),
    ],
)
def test_a_number_without_a_value_is_refused(name, star, arguments, message):
    with pytest.raises(ValueError, match=message):
        QUANTITIES[name].number(star, arguments)


@pytest.mark.parametrize(
    ("name", "star", "arguments", "message"),
    [
        ("scaled-gap", None, {"drive_over_coupling": 0.01}, "`drive_over_coupling` must be"),
        (
            "relative-energy",
            None,
            {"drive_over_coupling": 1.0, "time": 1.0, "largest": 2.0, "points": 0},
            "`points` must be at least 2",
        ),
        (
            "quality-against-speed",
            PAIR,
            {"lowest": 2.0, "highest": 1.0, "points": 5},
            "`lowest` must be positive and below",
        ),
        ("single-run", PAIR, RUNS | {"which": 4}, "`which` must be 0 to 3"),
    ],
)
def test_a_profile_without_a_point_is_refused(name, star, arguments, message):
    with pytest.raises(ValueError, match=message):
        QUANTITIES[name].profile(star, arguments)
