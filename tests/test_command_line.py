"""The front door: light to open, one JSON object, pictures and tables of every value."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nmrqb as package
from nmrqb.files.shipped import shipped_names

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numpy", "scipy", "matplotlib", "lmfit", "nmrglue", "pydantic", "xarray", "qutip")


def loaded_by(code):
    """Return which heavy packages a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import nmrqb") == []


def test_help_loads_nothing_heavy():
    code = (
        "from nmrqb.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0"
    )
    assert loaded_by(code) == []


def test_every_public_name_is_there():
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        _ = package.no_such_name


@pytest.mark.parametrize(
    "command", ["run", "plan", "compile", "simulate", "fit", "registers", "reproduce"]
)
def test_every_command_has_help(nmrqb, command):
    outcome = nmrqb(command, "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out


def test_registers_are_listed(nmrqb):
    table = nmrqb("registers", "--json").json
    assert table["schema"] == "nmrqb/registers/1"
    assert [r["name"] for r in table["results"]] == list(shipped_names("register"))
    assert "29Si + 36 1H" in nmrqb("registers").out


@pytest.mark.parametrize("name", shipped_names("protocol"))
def test_every_shipped_protocol_has_a_plan(nmrqb, name):
    plan = nmrqb("plan", name, "--json")
    assert plan.code == 0
    assert plan.json["schema"] == "nmrqb/plan/1"
    assert len(plan.json["results"]) == len(plan.json["rf_energy_joule"])


def readme_blocks(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def readme_commands():
    return [
        line.split("#")[0].split()
        for block in readme_blocks("sh")
        for line in block.splitlines()
        if line.startswith("nmrqb ")
    ]


@pytest.mark.parametrize("words", readme_commands(), ids=" ".join)
def test_every_command_of_the_readme_runs(nmrqb, realdata, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("protocols", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "my_data").symlink_to(realdata / "bruker_ir_cyclosporin")
    template = (ROOT / "data" / "templates" / "register.toml").read_text(encoding="utf-8")
    # the T1 measured there is 1.4 s: the template's T2 must stay below twice that
    (tmp_path / "my_register.toml").write_text(template.replace('"3 s"', '"0.3 s"'))
    if words[1] in ("fit", "compare") and any(w.startswith("first-run") for w in words):
        assert nmrqb("run", "asymptotic_ttss", "-o", "first-run").code == 0
    if words[1] == "compare":
        fit = ("fit", "first-run/data", "--model", "charging", "--register", "ttss")
        assert nmrqb(*fit, "-o", "my-charging").code == 0
    assert nmrqb(*words[1:]).code == 0


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = readme_blocks("python")
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 -- our own README
    assert "charging curve" in capsys.readouterr().out


def test_values_draw_convert_and_print():
    protocol = package.read_protocol("asymptotic_chloroform")
    register = package.read_register(protocol.register)
    compiled = package.compile_protocol(
        protocol, register, package.read_spectrometer(protocol.spectrometer)
    )
    simulated = package.simulate_sequence(compiled.sequences[-1], register)
    result = package.run(protocol)
    for value in (compiled.sequences[-1], simulated, result.series, result.measured):
        axes = package.draw(value)
        assert axes.has_data()
        axes.figure.canvas.draw()
    for value in (simulated, result.series, result.measured):
        assert package.to_xarray(value).sizes
    curve = package.to_xarray(result.measured)
    np.testing.assert_array_equal(curve["energy"], result.measured.energy)
    assert curve["energy"].attrs["unit"].startswith("hbar")
    for value in (
        protocol, register, compiled, compiled.sequences[-1], simulated, result,
        result.series, result.line, result.measured, result.fit, result.comparisons[0],
    ):  # fmt: skip
        text = str(value)
        assert "object at" not in text
        assert len(text.splitlines()) >= 1
    with pytest.raises(TypeError):
        package.draw(3)
    with pytest.raises(TypeError):
        package.to_xarray(3)


def test_python_dash_m_works():
    done = subprocess.run(
        [sys.executable, "-m", "nmrqb", "registers", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["status"] == "ok"
