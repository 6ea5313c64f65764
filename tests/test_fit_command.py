"""``nmrqb fit`` from FIDs to numbers: signs, units, one table of models."""

import click
import numpy as np
import pytest
from numbered_experiments import set_array, write_experiments

from nmrqb.analysis.nutation import nutation
from nmrqb.cli.main import commands
from nmrqb.studies.fit_models import MODELS

PULSES_US = 4.0 * np.arange(1, 17)
LINE = ["--region", "0.35:0.85"]


def test_the_command_offers_the_models_of_the_table():
    (option,) = (p for p in commands.commands["fit"].params if p.name == "model")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(MODELS)


@pytest.fixture
def turning(tmp_path):
    """A nutation recorded pulse by pulse: the pulse length is P[1] of each experiment."""
    curve = nutation(1e-6 * PULSES_US, 20e3, 5e3, 50.0)
    data = write_experiments(tmp_path / "turn", [1] * 16, curve)
    for k, length in enumerate(PULSES_US):
        set_array(data / str(k + 1), "P", [0, length, 0])
    return data


def test_a_nutation_keeps_its_signs_and_its_microseconds(nmrqb, turning, tmp_path):
    outcome = nmrqb("fit", turning, "--model", "nutation", "--axis", "P[1]", *LINE,
                    "-o", tmp_path / "out", "--json")  # fmt: skip
    assert outcome.code == 0
    assert outcome.json["axis"]["name"] == "pulse length"
    np.testing.assert_allclose(outcome.json["axis"]["values"], 1e-6 * PULSES_US)
    region = outcome.json["results"][0]
    low, high = region["parameters"]["frequency"]["ci95"]
    assert low <= 20e3 <= high
    assert region["parameters"]["frequency"]["unit"] == "Hz"
    low, high = region["parameters"]["decay"]["ci95"]
    assert low <= 2e-4 <= high
    # pulses below 180 degrees (25 us) positive, the next half turn negative
    amplitudes = np.array(region["amplitudes"])
    assert (amplitudes[PULSES_US < 24] > 0).all()
    assert (amplitudes[(PULSES_US > 26) & (PULSES_US < 49)] < 0).all()
    assert region["parameters"]["M0"]["value"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "frequency (Hz)" in page
    assert "decay (s)" in page


def test_a_decay_is_upright_though_its_last_row_is_noise(nmrqb, tmp_path):
    counts = [1, 2, 4, 8, 16, 32, 48]
    curve = 20.0 * np.exp(-0.25 * np.array(counts) / 1.0)
    for seed in range(6):  # the sign of the last row is anything
        data = write_experiments(tmp_path / str(seed), counts, curve, seed=seed)
        region = nmrqb("fit", data, "--model", "decay", *LINE, "--json").json["results"][0]
        assert region["amplitudes"][0] > 0
        assert region["parameters"]["M0"]["value"] > 0
        assert region["parameters"]["T2"]["value"] == pytest.approx(1.0, rel=0.2)


def test_words_on_the_terminal_say_t_beta_and_why(nmrqb, tmp_path):
    counts = [1, 2, 4, 8, 16, 32, 48]
    curve = 200.0 * (1.0 - np.exp(-((0.25 * np.array(counts) / 3.0) ** 0.6)))
    data = write_experiments(tmp_path / "d", counts, curve)
    outcome = nmrqb("fit", data, "--model", "buildup", *LINE)
    assert outcome.code == 0
    assert "beta = 0.6" in outcome.out or "beta = 0.59" in outcome.out
    assert "NOT mono-exponential" in outcome.out
