"""Bad input: one line that names file, key, value and limit; exit code 2; nothing lost."""

import dataclasses
import json
import os

import numpy as np
import pytest

from nmrqb.compiler.compile import compile_protocol
from nmrqb.files.results import output_folder
from nmrqb.files.shipped import find_file
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.plan import make_plan

TTSS = "protocols/asymptotic_ttss.toml"
CHLOROFORM = "protocols/asymptotic_chloroform.toml"

#: (what is wrong, source, changes, words that the one line must hold)
PROTOCOLS = [
    ("unknown key", TTSS, [(r"^scans = 4", "scanz = 4")], ["scanz", "did you mean scans?"]),
    ("unknown step key", TTSS, [(r'^delay = "10 s"', 'dealy = "10 s"')],
     ["cycle.0.dealy", "unknown key", "delay", "recovery"]),
    ("bare number", TTSS, [(r'^delay = "10 s"', "delay = 10")], ["cycle.0.delay", "3.3 s", "10"]),
    ("wrong unit", TTSS, [(r'^delay = "10 s"', 'delay = "10 Hz"')],
     ["cycle.0.delay", "time", "'10 Hz'"]),
    ("negative time", TTSS, [(r'^delay = "10 s"', 'delay = "-1 s"')],
     ["cycle.0.delay", "at least 0 s", "-1 s"]),
    ("absurd time", TTSS, [(r'^delay = "10 s"', 'delay = "1e300 s"')],
     ["cycle.0.delay", "at most 1e+06 s"]),
    ("overflowing time", TTSS, [(r'^delay = "10 s"', 'delay = "1e999 s"')],
     ["cycle.0.delay", "finite"]),
    ("unknown kind of step", TTSS,
     [(r'^kind = "crush"\n\n\[\[readout', 'kind = "crash"\n\n[[readout')],
     ["cycle.2.kind", "crash", "exchange, crush, re-energise"]),
    ("unknown recovery", TTSS, [(r'^recovery = "left"', 'recovery = "lost"')],
     ["cycle.0.recovery", "'left'", "'saturated'", "'flipped-back'", "'lost'"]),
    ("transfer and duration", TTSS, [(r"^transfer = 0.3", 'transfer = 0.3\nduration = "1 ms"')],
     ["cycle.1", "either `duration` or `transfer`"]),
    ("transfer that no star reaches", TTSS, [(r"^transfer = 0.3", "transfer = 1.5")],
     ["cycle.1", "`transfer` must be 0 to 1.28", "1.5"]),
    ("transfer that this star does not reach", CHLOROFORM, [(r"^transfer = 0.5", "transfer = 1.1")],
     ["`transfer` must be 0 to 1.0000 for 1 satellites", "1.1"]),
    ("exchange that is not there", TTSS, [(r'^exchange = "ideal"', 'exchange = "magic"')],
     ["cycle.1.exchange", "'ideal'", "'native'", "'hartmann-hahn'", "'magic'"]),
    ("native exchange without steps", TTSS, [(r'^exchange = "ideal"', 'exchange = "native"')],
     ["cycle.1", "`steps` must be given"]),
    ("ideal exchange with steps", TTSS, [(r"^transfer = 0.3", "transfer = 0.3\nsteps = 4")],
     ["cycle.1", "`steps` must be given for exchange = \"native\", and only there"]),
    ("no steps at all", TTSS, [(r'^exchange = "ideal".*', 'exchange = "native"\nsteps = 0')],
     ["cycle.1", "`steps` must be 1 to 200, but is 0"]),
    ("more steps than fit", TTSS, [(r'^exchange = "ideal".*', 'exchange = "native"\nsteps = 200')],
     ["`cycle.1.steps` must be smaller", "200 steps"]),
    ("native exchange without relaxation", TTSS,
     [(r'^exchange = "ideal".*', 'exchange = "native"\nsteps = 2'),
      (r"^relax_during_exchange = true", "relax_during_exchange = false")],
     ["cycle.1", "`relax_during_exchange` must be true"]),
    ("spin lock without a field", TTSS, [(r'^exchange = "ideal"', 'exchange = "hartmann-hahn"')],
     ["cycle.1", "`spin_lock` must be given"]),
    ("spin lock in seconds", TTSS,
     [(r'^exchange = "ideal".*', 'exchange = "hartmann-hahn"\nspin_lock = "3 ms"')],
     ["cycle.1.spin_lock", "frequency", "'3 ms'"]),
    ("dephasing in hertz", "protocols/driven_thermal_trimethyl_phosphate.toml",
     [(r'^dephasing = "293 /s"', 'dephasing = "293 Hz"')],
     ["cycle.0.dephasing", "rate", "/s", "'293 Hz'"]),
    ("adiabatic pulse that is not measured", CHLOROFORM,
     [(r'^recovery = "', 'pulse = "adiabatic"\nrecovery = "'),
      (r'^spectrometer = .*', 'spectrometer = "bare.toml"')],
     ["lists no adiabatic inversion of 1H", "`inversions`"]),
    ("even number of fields", TTSS, [(r"^seed = .*", "seed = 1\nb1_points = 4")],
     ["simulation", "`b1_points` must be odd and 1 to 31, but is 4"]),
    ("pulse angle instead of a length", "protocols/pulse_calibration_trimethyl_phosphate.toml",
     [(r'^length = "12 us"', 'angle = "90 deg"'), (r'^key = .*', 'key = "cycles"'),
      (r"^values = .*", "values = [1]")],
     ["cycle.0.angle", "unknown key"]),
    ("echo shorter than its pulses", "protocols/coupling_trimethyl_phosphate.toml",
     [(r'"1 ms", "5 ms"', '"10 us", "5 ms"')], ["sweep.values.0", "`cycle.0.duration`", "10 us"]),
    ("nutation of a charging", TTSS,
     [(r"^\[sweep\]", '[analysis]\nmodel = "nutation"\n\n[sweep]')],
     ["`analysis.model` nutation needs a swept `length`", "sweeps cycles"]),
    ("recovery of cycles", TTSS, [(r"^\[sweep\]", '[analysis]\nmodel = "recovery"\n\n[sweep]')],
     ["`analysis.model` recovery needs a swept time, but sweeps cycles"]),
    ("charging without a read-out pulse", TTSS,
     [(r"^points = 1024", 'points = 1024\nexcitation = "none"')],
     ["`excitation` = \"none\" belongs to the nutation model"]),
    ("too many places in the sample", TTSS,
     [(r"^seed = .*", "seed = 1\nb1_points = 31\noffset_points = 31")],
     ["`b1_points`^2 x `offset_points` must be at most 1000"]),
    ("sweep beyond the star", TTSS,
     [(r'^key = "cycles"', 'key = "cycle.1.transfer"'), (r"^values = .*", "values = [0.3, 1.26]")],
     ["sweep.values.1", "`transfer` must be 0 to 1.2517", "1.26"]),
    ("signal below the noise", TTSS, [(r"^reference_snr = .*", "reference_snr = 0.2")],
     ["simulation.reference_snr", "at least 5 standard errors"]),
    ("model that is not there", TTSS, [(r"^\[sweep\]", '[analysis]\nmodel = "magic"\n\n[sweep]')],
     ["analysis.model", "charging, recovery, nutation, coupling", "magic"]),
    ("flip back of chargers on +z", TTSS, [(r'^recovery = "left"', 'recovery = "flipped-back"')],
     ["cycle.0.recovery", "left or saturated", "flipped-back"]),
    ("unknown register", TTSS, [(r'^register = "ttss"', 'register = "tts"')],
     ["register", "'tts'", "ttss"]),
    ("no register", TTSS, [(r'^register = "ttss"\n', "")], ["register", "missing"]),
    ("no reference", TTSS, [(r'^\[reference\]\nkind = "thermal"\n', "")], ["reference", "thermal"]),
    ("no read-out", TTSS, [(r'^kind = "fid"', 'kind = "crush"'), (r"^spectral_width.*\n", ""),
                           (r"^points.*\n", ""), (r"^carrier.*\n", "")], ["readout", "fid"]),
    ("sweep of nothing", TTSS, [(r"^values = .*", "values = []")], ["sweep.values", "1 to 4096"]),
    ("sweep of a half cycle", TTSS, [(r"^values = .*", "values = [1, 2.5]")],
     ["sweep.values.1", "whole number", "2.5"]),
    ("sweep of a missing key", TTSS, [(r'^key = "cycles"', 'key = "cycle.7.delay"')],
     ["sweep.key", "cycle.0.delay", "cycle.7.delay"]),
    ("sweep with a wrong unit", "protocols/asymptotic_ttss_delta.toml", [(r'"5 s"', '"5 K"')],
     ["sweep.values.1", "'5 K'"]),
    ("escape sequences in a text", TTSS,
     [(r"^description = .*", r'description = "\\u001b[31mred\\u0007"')],
     ["description", "control characters"]),
    ("a line outside the spectrum", TTSS, [(r"^carrier = .*", 'carrier = "500 ppm"')],
     ["readout.carrier", "-135 ppm", "spectral width 1000 Hz"]),
    ("negative seed", TTSS, [(r"^seed = .*", "seed = -1")], ["simulation", "`seed`", "-1"]),
    ("absurd signal-to-noise", TTSS, [(r"^reference_snr = .*", "reference_snr = 1e9")],
     ["simulation", "0.1 to 1e6"]),
    ("text for a number", TTSS, [(r"^scans = 4", 'scans = "four"')],
     ["scans", "whole number", "four"]),
    ("true for a number", TTSS, [(r"^scans = 4", "scans = true")],
     ["scans", "whole number", "True"]),
    ("no scans", TTSS, [(r"^scans = 4", "scans = 0")], ["`scans`", "1 to 1000000", "0"]),
    ("too few points", TTSS, [(r"^points = .*", "points = 8")], ["readout.1", "64", "8"]),
    ("line outside the spectrum", TTSS, [(r'^carrier = .*', 'carrier = "0 ppm"')],
     ["carrier", "-135 ppm", "spectral width"]),
    ("wrong schema", TTSS, [(r"nmrqb/protocol/1", "nmrqb/register/1")],
     ["schema", "nmrqb/protocol/1"]),
    ("broken TOML", TTSS, [(r"^scans = 4", "scans = = 4")], ["not valid TOML", "line 5"]),
    ("engine that is not there", TTSS, [(r"^seed = .*", 'engine = "magic"')],
     ["simulation.engine", "'auto'", "'symmetric'", "'magic'"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "changes", "words"), [p[1:] for p in PROTOCOLS], ids=[p[0] for p in PROTOCOLS]
)
def test_a_bad_protocol_gets_one_line_and_leaves_nothing(
    nmrqb, edited, tmp_path, source, changes, words
):
    path = edited(source, *changes, name="p.toml")
    # a spectrometer that lists no measured inversion, for who asks for it
    edited(
        "data/spectrometers/generic.toml",
        (r'(?s)\[\[channels.inversions\]\].*?power = "[^"]*"\n', ""),
        name="bare.toml",
    )
    outcome = nmrqb("run", path, "-o", tmp_path / "out", "--json")
    assert outcome.code == 2
    for word in ("p.toml", *words):
        assert word in outcome.complaint
    assert outcome.json["status"] == "error"
    assert outcome.json["schema"] == "nmrqb/run/1"
    assert set(outcome.json["error"]) == {"message", "file", "key", "value", "limit"}
    assert {p.name for p in tmp_path.iterdir()} == {"p.toml", "bare.toml"}


TWO = 't1_fast = "1 s", t1_slow = "9 s", fast_share = "20 %"'


def after_field(line):
    return r"^(field = .*)", rf"\1\n{line}"


def after_role(role, line):
    return rf'^(role = "{role}")', rf"\1\n{line}"


REGISTERS = [
    ("T2 above 2 T1", [(r't2 = \{ value = "10 s"', 't2 = { value = "300 s"')],
     ["center", "`t2` must be at most 2 T1 = 230.8 s", "300 s"]),
    ("T2* above T2", [(r't2_star = \{ value = "0.3 s", nominal = true \}\nshift = "-135',
                       't2_star = { value = "30 s", nominal = true }\nshift = "-135')],
     ["center", "`t2_star`", "10 s", "30 s"]),
    ("no source", [(r', source = "Joshi and Mahesh, Phys. Rev. A 106, 042601 \(2022\)"', "")],
     ["center.t1", "`source` or `nominal = true`"]),
    ("source and nominal", [(r'"115.4 s", source', '"115.4 s", nominal = true, source')],
     ["center.t1", "not both"]),
    ("unknown isotope", [(r'isotope = "29Si"', 'isotope = "28Si"')], ["center", "28Si", "29Si"]),
    ("two batteries", [(r'role = "charger"', 'role = "battery"')], ["battery", "charger"]),
    ("no satellites", [(r"satellites = 36", "satellites = 0")], ["`satellites`", "1 to 200", "0"]),
    ("bare number", [(r'coupling = \{ value = "2.5 Hz"', "coupling = { value = 2.5")],
     ["coupling", "frequency", "2.5"]),
    ("bare value", [(r'coupling = \{.*', 'coupling = "2.5 Hz"')], ["coupling", "must be a table"]),
    ("infinite T1", [(r'"115.4 s"', '"inf s"')], ["center.t1", "'inf s'"]),
    ("zero field", [(r'"9.4 T"', '"0 T"')], ["field", "more than 0 T"]),
    ("missing species", [(r"(?s)\[satellite\].*", "")], ["satellite", "missing"]),
    ("dipolar share above all",
     [after_field('dipolar_share = { value = "140 %", nominal = true }')],
     ["dipolar_share", "at most 100 %", "140 %"]),
    ("dipolar share without a unit",
     [after_field("dipolar_share = { value = 0.4, nominal = true }")],
     ["dipolar_share", "%", "0.4"]),
    ("concentration in grams", [after_field('concentration = { value = "3 g/L", nominal = true }')],
     ["concentration", "mol/L", "'3 g/L'"]),
    ("T1rho above T1", [after_role("charger", 't1_rho = { value = "30 s", nominal = true }')],
     ["satellite", "`t1_rho` must be T2 to T1", "30 s"]),
    ("recovery of a battery", [after_role("battery", f"recovery = {{ {TWO}, nominal = true }}")],
     ["center", "`recovery` belongs to the charger"]),
    ("recovery half given",
     [after_role("charger", 'recovery = { t1_fast = "1 s", nominal = true }')],
     ["satellite.recovery", "either `t1_fast`"]),
    ("unknown key", [(r"^satellites = 36", "satellites = 36\nprotons = 36")],
     ["protons", "unknown key", "coupling"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"), [r[1:] for r in REGISTERS], ids=[r[0] for r in REGISTERS]
)
def test_a_bad_register_gets_one_line(nmrqb, edited, changes, words):
    edited("data/registers/ttss.toml", *changes, name="r.toml")
    path = edited(TTSS, (r'^register = "ttss"', 'register = "r.toml"'), name="p.toml")
    outcome = nmrqb("plan", path)
    assert outcome.code == 2
    for word in ("r.toml", *words):
        assert word in outcome.complaint


def test_all_problems_of_a_file_are_reported_at_once(nmrqb, edited):
    path = edited(
        TTSS,
        (r'^delay = "10 s"', "delay = 10"),
        (r'^recovery = "left"', 'recovery = "lost"'),
        (r"^points = 1024", "points = 1024\ncolour = 3"),
        (r"^seed = .*", 'seed = "x"'),
        (r'^kind = "battery-saturated"', 'kind = "battery-full"'),
    )
    complaint = nmrqb("plan", path).complaint
    assert "5 problems" in complaint
    for key in ("cycle.0.delay", "cycle.0.recovery", "readout.1.colour", "simulation.seed",
                "prepare.0.kind"):  # fmt: skip
        assert key in complaint


def set_parameter(folder, key, value, file="acqus"):
    path = folder / file
    lines = path.read_text().splitlines()
    lines = [f"##${key}= {value}" if x.startswith(f"##${key}=") else x for x in lines]
    path.write_text("\n".join(lines) + "\n")


DATA = [
    ("truncated ser", lambda d: (d / "ser").write_bytes((d / "ser").read_bytes()[:100_000]),
     ["ser", "truncated", "100000"]),
    ("ser longer than its parameters", lambda d: (d / "ser").write_bytes(
        (d / "ser").read_bytes() + bytes(4096)), ["ser", "another data set"]),
    ("empty ser", lambda d: (d / "ser").write_bytes(b""), ["ser", "truncated"]),
    ("zeros", lambda d: (d / "ser").write_bytes(bytes((d / "ser").stat().st_size)),
     ["ser", "only zeros"]),
    ("no acqus", lambda d: (d / "acqus").unlink(), ["no Bruker data set"]),
    ("empty acqus", lambda d: (d / "acqus").write_text(""), ["acqus"]),
    ("binary acqus", lambda d: (d / "acqus").write_bytes(bytes(range(256)) * 9), ["acqus"]),
    ("wrong nucleus", lambda d: set_parameter(d, "NUC1", "<off>"), ["acqus", "NUC1", "off"]),
    ("negative width", lambda d: set_parameter(d, "SW_h", "-1"), ["acqus", "SW_h", "-1"]),
    ("words for a width", lambda d: set_parameter(d, "SW_h", "<wide>"), ["acqus", "SW_h", "wide"]),
    ("odd points", lambda d: set_parameter(d, "TD", "8191"), ["acqus", "TD", "8191"]),
    ("absurd group delay", lambda d: set_parameter(d, "GRPDLY", "1e9"), ["acqus", "GRPDLY"]),
    ("contradicting frequencies", lambda d: set_parameter(d, "SFO1", "300.1"),
     ["acqus", "SFO1", "contradict"]),
    ("short list", lambda d: (d / "vdlist").write_text("1s\n2s\n"), ["vdlist", "2 entries for 10"]),
    ("list of words", lambda d: (d / "vdlist").write_text("soon\nlater\n"),
     ["vdlist", "line 1", "soon"]),
    ("no list", lambda d: (d / "vdlist").unlink(), ["axis", "--axis"]),
    ("damaged regions", lambda d: (d / "pdata/1/intrng").write_text("A 1.0\n4.3 nonsense\n"),
     ["intrng", "line 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), [d[1:] for d in DATA], ids=[d[0] for d in DATA])
def test_a_damaged_data_set_gets_one_line(nmrqb, inversion_recovery, damage, words):
    damage(inversion_recovery)
    outcome = nmrqb("fit", inversion_recovery, "--model", "recovery", "--json")
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint
    assert outcome.json["error"]["file"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--region", "4:3"], "LOW below HIGH"),
        (["--region", "abc"], "LOW:HIGH"),
        (["--region", "40:50"], "points of the spectrum"),
        (["--axis", "nowhere.txt"], "nowhere.txt"),
        (["--model", "magic"], "--model"),
        (["--nonsense"], "--nonsense"),
        (["--model", "charging"], "--register"),
        (["--model", "charging", "--register", "ttss", "--reference", "row:0"], "29Si"),
        (["--model", "charging", "--register", "nobody"], "acetonitrile_13c, chloroform_13c, tms"),
    ],
)
def test_a_bad_option_gets_one_line(nmrqb, realdata, words, said):
    model = [] if "--model" in words else ["--model", "recovery"]
    outcome = nmrqb("fit", realdata / "bruker_ir_cyclosporin", *model, *words)
    assert outcome.code == 2
    assert said in outcome.complaint


def test_missing_files_and_commands_get_one_line(nmrqb, tmp_path):
    for words in (
        ["run", tmp_path / "none.toml", "-o", tmp_path / "x"],
        ["run", "none", "-o", tmp_path / "x"],
        ["run", "asymptotic_ttss"],
        ["fit", tmp_path / "none", "--model", "recovery"],
        ["fit", tmp_path, "--model", "recovery"],
        ["dance"],
        ["run"],
    ):
        outcome = nmrqb(*words)
        assert outcome.code == 2
        assert "Traceback" not in outcome.err
        assert outcome.complaint


def test_a_folder_that_is_not_empty_is_kept(nmrqb, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years")
    for words in ([], ["--overwrite"]):
        outcome = nmrqb("run", "asymptotic_chloroform", "-o", folder, *words)
        assert outcome.code == 2
        assert "not empty" in outcome.complaint
        assert (folder / "thesis.txt").read_text() == "ten years"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


def test_only_a_former_result_is_overwritten(nmrqb, tmp_path):
    out = tmp_path / "out"
    assert nmrqb("run", "asymptotic_chloroform", "-o", out, "--seed", 1).code == 0
    before = (out / "result.json").read_text()
    assert nmrqb("run", "asymptotic_chloroform", "-o", out, "--seed", 2).code == 2
    assert (out / "result.json").read_text() == before
    assert nmrqb("run", "asymptotic_chloroform", "-o", out, "--seed", 2, "--overwrite").code == 0
    assert json.loads((out / "result.json").read_text())["seed"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_failure_halfway_leaves_the_old_result_and_no_partial_folder(tmp_path):
    out = tmp_path / "out"
    with output_folder(out, overwrite=False) as partial:
        (partial / "a").write_text("first")

    def fail_halfway():
        with output_folder(out, overwrite=True) as partial:
            (partial / "a").write_text("second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert (out / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_partial_folder_of_somebody_else_is_not_removed(nmrqb, tmp_path):
    other = tmp_path / "out.partial"
    other.mkdir()
    (other / "data").write_text("mine")
    outcome = nmrqb("run", "asymptotic_chloroform", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert (other / "data").read_text() == "mine"


def test_a_reference_lost_in_noise_is_said(nmrqb, edited, tmp_path):
    path = edited(CHLOROFORM, (r"^reference_snr = .*", "reference_snr = 0.2"))
    outcome = nmrqb("run", path, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "reference" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_noise_only_data_are_refused_by_name(nmrqb, inversion_recovery):
    rng = np.random.default_rng(0)
    (inversion_recovery / "ser").write_bytes(
        rng.integers(-50, 50, size=81920).astype("<i4").tobytes()
    )
    (inversion_recovery / "pdata/1/intrng").unlink()
    outcome = nmrqb("fit", inversion_recovery, "--model", "recovery")
    assert outcome.code == 2
    assert "no line stands out" in outcome.complaint


def test_a_folder_that_another_run_writes_is_left_alone(nmrqb, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    # the parent of this process is alive for as long as the test runs
    (partial / ".nmrqb-partial").write_text(f"{os.getppid()}\n")
    outcome = nmrqb("run", "asymptotic_ttss", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "is being written by another nmrqb" in outcome.complaint
    assert partial.is_dir()


def test_the_remains_of_a_killed_run_are_replaced(nmrqb, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / ".nmrqb-partial").write_text("999999999\n")  # beyond the largest process number
    outcome = nmrqb("simulate", "inversion_recovery", "-o", tmp_path / "out", "--json")
    assert outcome.code == 0
    assert not partial.exists()


def test_a_folder_name_too_long_for_the_disk_gets_one_line(nmrqb, tmp_path):
    outcome = nmrqb("run", "asymptotic_ttss", "-o", tmp_path / ("a" * 300))
    assert outcome.code == 2
    assert "-o" in outcome.complaint


def test_a_byte_order_mark_and_windows_line_ends_are_read(nmrqb, tmp_path):
    text = find_file("protocol", "asymptotic_ttss").read_text().replace("\n", "\r\n")
    (tmp_path / "p.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert nmrqb("plan", tmp_path / "p.toml").code == 0


def test_a_register_for_a_recovery_is_refused_and_not_ignored(nmrqb, tmp_path):
    outcome = nmrqb("fit", tmp_path, "--model", "recovery", "--register", "ttss")
    assert outcome.code == 2
    assert "--register: belongs to --model charging" in outcome.complaint


def test_a_hundred_thousand_cycles_are_one_map_that_became_stationary():
    plan = make_plan("asymptotic_ttss")
    protocol = dataclasses.replace(plan.protocol, sweep=None, cycles=100_000)
    sequence = compile_protocol(protocol, plan.register, plan.spectrometer).sequences[0]
    simulator = StarSimulator(plan.register)
    p = simulator.simulate(sequence).battery_z
    p_star = simulator.fixed_point(plan.compiled.cycle, sequence.tick_s)
    assert len(p) > 100_000
    assert p[1000:100_000] == pytest.approx(p_star, abs=1e-9)
