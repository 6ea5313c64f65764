"""Loads in files and commands: what is refused and why, exports, balances in results."""

import dataclasses
import math
import re

import numpy as np
import pytest
from exports import compiled

from nmrqb import compile_protocol, read_protocol, read_register
from nmrqb.errors import InputError, LimitError
from nmrqb.files.protocol_text import protocol_text
from nmrqb.files.pulse_programs.export import export
from nmrqb.files.toml import parse_register
from nmrqb.protocol.steps import ReadFid
from nmrqb.sequence.events import LoadExchange
from nmrqb.studies.channel_distance import channel_distance
from nmrqb.studies.plan import make_plan, predict
from nmrqb.studies.rungs import rungs_of

REGISTER = "data/registers/trimethyl_phosphorimidate_15n.toml"
STORAGE = "protocols/discharge_storage_phosphorimidate.toml"


@pytest.fixture
def complains(nmrqb, edited):
    """Return a function that plans the storage protocol with edited files: its one line."""

    def call(register=(), protocol=(), console=()):
        own = edited(REGISTER, *register)
        shipped = edited("data/spectrometers/generic.toml", *console)
        path = edited(
            STORAGE,
            (r'^register = ".*"', f'register = "{own}"'),
            (r'^spectrometer = ".*"', f'spectrometer = "{shipped}"'),
            *protocol,
        )
        outcome = nmrqb("plan", path)
        assert outcome.code == 2, outcome.out
        return outcome.complaint

    return call


def test_two_loads_are_refused(complains):
    line = complains([(r"^\[load\]", '[[load]]\nisotope = "13C"\n\n[[load]]')])
    assert re.search(r"load: must be one table, but lists 2: .*second one would share", line)


def test_a_load_that_is_coupled_to_the_chargers_is_refused(complains):
    line = complains(
        [(r'charger_coupling = \{ value = "0 Hz"', 'charger_coupling = { value = "2 Hz"')]
    )
    assert re.search(r"load: `charger_coupling` must be 0 Hz, but is 2 Hz: the chargers", line)


@pytest.mark.parametrize(
    ("register", "protocol", "console", "words"),
    [
        ([(r'isotope = "15N"', 'isotope = "1H"')], [], [],
         "`load.isotope` must be another nucleus"),
        ([(r"(?s)^\[load\].*", "")], [], [], "needs a load, but register .* has none"),
        ([(r'role = "battery"', 'role = "charger"'),
          (r'(\[satellite\]\nisotope = "1H"\nrole = )"charger"', r'\1"battery"')], [], [],
         "`load` must belong to a central battery"),
        ([(r"^satellites = 9", "satellites = 41")], [], [], "must be at most 40 beside a load"),
        ([(r'(?s)(\[load\].*)t2 = \{ value = "4 s"', r'\1t2 = { value = "41 s"')], [], [],
         "`t2` must be at most 2 T1 = 40 s"),
        ([], [], [(r'^nucleus = "15N"', 'nucleus = "19F"')], "has no 15N channel"),
        ([], [(r"^reference_snr = 40", "reference_snr = 40\nb1_points = 3")], [],
         "must be 1 with a load"),
        ([], [(r"^transfer = 1.0", "transfer = 1.1")], [], "`transfer` must be 0 to 1"),
        ([], [(r"^steps = 1$", "")], [], "`steps` must be given"),
        ([], [(r'kind = "store"', 'kind = "wait"')], [], "must be one of store, discharge, crush"),
        ([], [(r'battery-saturated', 'pseudo-pure')], [],
         "must be battery after a pseudo-pure start"),
    ],
)  # fmt: skip
def test_what_cannot_be_discharged_is_refused_in_one_line(
    complains, register, protocol, console, words
):
    assert re.search(words, complains(register, protocol, console))


def test_an_exchange_shorter_than_its_pulses_is_refused(complains):
    line = complains(protocol=[(r"^transfer = 1.0.*", 'duration = "50 us"')])
    assert re.search(r"`discharge.1` must exchange for longer: it leaves blocks", line)


def test_the_optimiser_charges_and_does_not_discharge(nmrqb, edited):
    target = '[target]\ngoal = "energy"\nwithin = "20 s"\n\n[sweep]'
    shorter = (r"(?s)^\[sweep\].*?values = [^\n]*", target.replace("\n\n[sweep]", ""))
    outcome = nmrqb("optimise", edited(STORAGE, shorter, (r"(?s)^\[analysis\].*", "")))
    assert outcome.code == 2
    assert "discharge: must be left out to be optimised" in outcome.complaint


def test_half_of_a_discharge_needs_a_coupling():
    text = (read := read_register("trimethyl_phosphorimidate_15n")).load
    assert text is not None
    silent = dataclasses.replace(text, coupling_hz=dataclasses.replace(text.coupling_hz, value=0.0))
    made, _, console = compiled("discharge_storage_phosphorimidate")
    with pytest.raises(ValueError, match=r"needs a coupling, but J of the load is 0 Hz"):
        compile_protocol(made.protocol, dataclasses.replace(read, load=silent), console)


def test_a_register_without_a_load_is_read_as_before():
    with pytest.raises(InputError, match="unknown key"):
        parse_register(b'schema = "nmrqb/register/1"\nloads = 1\n', "x")
    assert read_register("ttss").load is None


def test_a_vnmrj_program_has_two_channels_and_says_so(nmrqb, tmp_path):
    outcome = nmrqb("compile", STORAGE, "--to", "varian", "-o", tmp_path / "out")
    assert outcome.code == 1
    assert "has 2 channels, but this protocol needs 3: 15N, 31P, 1H" in outcome.out
    assert not (tmp_path / "out").exists()


def test_an_ideal_discharge_is_not_exported():
    made, register, console = compiled("discharge_storage_phosphorimidate")
    steps = list(made.protocol.discharge)
    steps[1] = dataclasses.replace(steps[1], exchange="ideal", steps=None)
    ideal = dataclasses.replace(made.protocol, discharge=tuple(steps))
    with pytest.raises(LimitError, match=r'exists in simulation only: use .* "native"'):
        export(compile_protocol(ideal, register, console), register, console, "bruker")


def test_a_battery_beside_a_load_is_read_with_both_partners_decoupled():
    made, register, console = compiled("discharge_storage_phosphorimidate")
    # what is left in the battery; both partners decoupled for 200 ms on f2 and f3
    readout = (*made.protocol.readout[:-1], ReadFid(spectral_width_hz=2000.0, points=400))
    left = dataclasses.replace(made.protocol, readout=readout)
    exported = export(compile_protocol(left, register, console), register, console, "bruker")
    (job,) = exported.jobs
    assert job.acquire.decoupled == ("1H", "15N")
    text = exported.files[f"pp/{job.stem}"]
    assert re.search(r"go=\d ph\d+ cpd2:f2 cpd3:f3|go=\d ph\d+ cpd3:f3 cpd2:f2", text)
    assert re.search(r"roles: .*f3=15N=load", text)


def test_the_load_shows_the_t1_of_the_battery(nmrqb, tmp_path):
    outcome = nmrqb("run", STORAGE, "-o", tmp_path / "out", "--json", "--seed", "5")
    assert outcome.code == 0, outcome.err
    found = outcome.json["results"][0]["parameters"]["T1"]
    # the 10 s of 31P, not the 20 s of 15N, within five standard errors
    assert abs(found["value"] - 10.0) < 5.0 * found["stderr"] < 2.0
    balance = outcome.json["energy_balance"]
    assert balance["energy_of_one_spin"]["load"] == pytest.approx(10.136767 / 40.480742)
    assert len(balance["rows"]) == 11
    for row, delay_s in zip(balance["rows"], outcome.json["axis"]["values"][1:], strict=True):
        kept = row["quantities"]["storage_efficiency"]["value"]
        assert kept == pytest.approx(math.exp(-delay_s / 10.0), rel=1e-9)
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Energy balance</h2>" in report


def test_the_load_fills_as_the_squared_sine_of_the_time_of_contact():
    plan = make_plan("discharge_time_phosphorimidate")
    prediction = predict(plan)
    jt = 40.0 * np.array(plan.protocol.sweep.values)
    b = np.sin(np.pi * jt) ** 2
    empty = -10.136767 / 100.0
    # the battery's energy of one second of store; relaxation of 4 s and 3 s over up to 50 ms of
    # blocks takes up to 2 % of what is exchanged
    at_contact = prediction.balances[0].value("at_discharge")
    assert prediction.exact.energy == pytest.approx(empty + b * (at_contact - empty), abs=0.02)
    assert prediction.closed is None
    # the detected load is the load of the balance; between them lie a crusher and the dead time
    ends = [b.value("energy_of_load") for b in prediction.balances]
    scale = 10.136767 / 40.480742
    assert np.array(ends) / scale == pytest.approx(prediction.exact.energy, abs=1e-3)


def test_the_ideal_target_of_a_verdict_is_the_squared_sine():
    plan = make_plan("discharge_time_phosphorimidate")
    target = rungs_of(plan)[0]
    assert any(isinstance(e, LoadExchange) for e in target.sequences[-1].events)
    energy = -target.polarisations(plan)
    jt = 40.0 * np.array(plan.protocol.sweep.values)
    empty, full = energy[0], energy[int(np.argmin(np.abs(jt - 0.5)))]
    # 1 ps of clock is 2e-10 rad; charging and storing are the same in every row
    assert energy == pytest.approx(empty + np.sin(np.pi * jt) ** 2 * (full - empty), abs=1e-8)
    assert full - empty > 0.5


def test_the_channel_of_a_battery_beside_a_load_is_refused():
    with pytest.raises(InputError, match=r"has a load besides: leave its \[load\] out"):
        channel_distance(make_plan("discharge_time_phosphorimidate"))


def test_a_protocol_with_a_discharge_is_written_and_read_back(tmp_path):
    protocol = read_protocol("discharge_storage_phosphorimidate")
    path = tmp_path / "again.toml"
    path.write_text(protocol_text(protocol), encoding="utf-8")
    assert read_protocol(path) == protocol
