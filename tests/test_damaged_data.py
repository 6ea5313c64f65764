"""300 damaged data sets: each a clear error, or a correct result, or one with a warning."""

import signal

import numpy as np
import pytest
from damaged_data import COUNT, KINDS, STATED_ONCE, damaged, write_sound

from nmrqb import read_series
from nmrqb.errors import InputError

NUMBERS = ("dwell_s", "time_origin_s", "dead_time_s", "carrier_hz", "carrier_ppm", "gain")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The undamaged series of every kind."""
    folder = tmp_path_factory.mktemp("sound")
    found = {}
    for kind in KINDS:
        (folder / kind).mkdir()
        found[kind] = read_series(write_sound(folder / kind, kind)[0])
    return found


def differences(series, whole):
    """Names of what differs from the undamaged series (rows at the end may be missing)."""
    rows = series.rows
    found = {n for n in NUMBERS if not np.isclose(getattr(series, n), getattr(whole, n), rtol=1e-6)}
    if series.fids.shape[1:] != whole.fids.shape[1:] or not np.array_equal(
        series.fids, whole.fids[:rows]
    ):
        found.add("fids")
    if rows != whole.rows:
        found.add("rows")
    if not np.allclose(series.axis.values, whole.axis.values[:rows]) or (
        series.axis.unit != whole.axis.unit
    ):
        found.add("axis")
    if series.nucleus != whole.nucleus:
        found.add("nucleus")
    if not np.array_equal(series.scans, whole.scans[:rows]):
        found.add("scans")
    if series.recorded_unix_s != whole.recorded_unix_s:
        found.add("recorded_unix_s")
    return found


def read_or_refuse(path):
    try:
        return read_series(path), None
    except InputError as error:
        return None, error


@pytest.mark.parametrize("start", range(0, COUNT, 25))
def test_a_damaged_data_set_ends_as_a_clear_error_or_a_correct_result(tmp_path, sound, start):
    def too_long(*_):
        raise TimeoutError("reading hangs")

    previous = signal.signal(signal.SIGALRM, too_long)
    try:
        for number in range(start, start + 25):
            folder = tmp_path / str(number)
            folder.mkdir()
            path, kind, what = damaged(folder, number)
            before = sorted(str(p) for p in tmp_path.rglob("*"))
            signal.alarm(10)
            series, refusal = read_or_refuse(path)
            signal.alarm(0)
            if series is None:
                message = str(refusal)
                assert message.isprintable(), (number, kind, what)
                assert len(message) < 1000, (number, kind, what, message)
                assert refusal.problems[0].file, (number, kind, what, message)
            else:
                new = set(series.warnings) - set(sound[kind].warnings)
                silent = differences(series, sound[kind]) - STATED_ONCE[kind]
                assert new or not silent, (number, kind, what, silent)
            assert sorted(str(p) for p in tmp_path.rglob("*")) == before, (number, what)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def test_the_judge_of_damage_can_fail(sound):
    import dataclasses

    for kind, whole in sound.items():
        wrong = dataclasses.replace(whole, dwell_s=2.0 * whole.dwell_s)
        assert differences(wrong, whole) - STATED_ONCE[kind] == {"dwell_s"}
        assert differences(whole, whole) == set()


def test_the_damages_are_of_many_kinds_and_the_same_every_time(tmp_path):
    first = [damaged_in(tmp_path / "a", k) for k in range(0, COUNT, 7)]
    again = [damaged_in(tmp_path / "b", k) for k in range(0, COUNT, 7)]
    assert first == again
    assert len(set(first)) > 35


def damaged_in(folder, number):
    folder = folder / str(number)
    folder.mkdir(parents=True)
    return damaged(folder, number)[1:]
