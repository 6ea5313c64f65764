"""Write the results of a run, a simulation or a fit into an output folder, whole or not at all."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmrqb.battery.charging import ChargingCurve
from nmrqb.files.bruker import write_bruker
from nmrqb.files.results import output_folder, to_json, write_atomically, write_curve
from nmrqb.files.shipped import find_file
from nmrqb.studies.fit import FitResult
from nmrqb.studies.fit_report import fit_report
from nmrqb.studies.measurement import simulate_measurement, swept_list
from nmrqb.studies.plan import Plan, Prediction, predict
from nmrqb.studies.run import RunResult, run_plan
from nmrqb.studies.run_report import run_report

_PACKAGES = (
    "nmrqb",
    "numpy",
    "scipy",
    "lmfit",
    "emcee",
    "nmrglue",
    "matplotlib",
    "pydantic",
    "pybaselines",
)


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def deliver_run(
    plan: Plan, folder: Path, *, overwrite: bool, progress: Callable[[str], None]
) -> RunResult:
    """Carry out a plan and write report, result, curves, data and inputs into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        copy_inputs(plan, out)
        prediction = predict(plan, progress=progress)
        progress("writing, reading and fitting the FIDs")
        result = run_plan(plan, out / "data", prediction)
        progress("drawing the report")
        found = versions()
        write_atomically(out / "versions.json", to_json(found | {"seed": result.seed}))
        _write_curves(
            out,
            {
                "measured": result.measured,
                "predicted_exact": result.prediction.exact,
                "predicted_closed_map": result.prediction.closed,
            },
        )
        write_atomically(out / "report.html", run_report(result, found))
        write_atomically(out / "result.json", to_json(result.to_result()))
    return result


def deliver_plan(
    plan: Plan, prediction: Prediction, table: dict[str, Any], folder: Path, *, overwrite: bool
) -> None:
    """Write what a plan predicts, its result `table` and its inputs into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        copy_inputs(plan, out)
        _write_curves(
            out,
            {"predicted_exact": prediction.exact, "predicted_closed_map": prediction.closed},
        )
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "result.json", to_json(table))


def deliver_simulation(
    plan: Plan, folder: Path, *, seed: int, overwrite: bool
) -> dict[str, object]:
    """Simulate a plan and write its FIDs and predicted curves into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        copy_inputs(plan, out)
        prediction = predict(plan)
        series = simulate_measurement(plan, prediction, seed)
        write_bruker(
            out / "data" / "1",
            series,
            list_kind=swept_list(plan),
            register_name=plan.register.name,
            title=f"{plan.protocol.name}, simulated, seed {seed}",
        )
        _write_curves(
            out,
            {
                "predicted_exact": prediction.exact,
                "predicted_closed_map": prediction.closed,
            },
        )
        result: dict[str, object] = {
            "schema": "nmrqb/simulate/1",
            "status": "no" if plan.compiled.violations else "ok",
            "protocol": plan.protocol.name,
            "register": plan.register.name,
            "seed": seed,
            "results": [
                {"row": k, "time_s": t, "magnetisation": m, "energy": e, "ergotropy": w}
                for k, (t, m, e, w) in enumerate(
                    zip(
                        prediction.exact.times.tolist(),
                        (
                            prediction.exact.magnetisation
                            if prediction.exact.magnetisation is not None
                            else prediction.exact.energy
                        ).tolist(),
                        prediction.exact.energy.tolist(),
                        prediction.exact.ergotropy.tolist(),
                        strict=True,
                    )
                )
            ],
            "energy_unit": prediction.exact.energy_unit,
            "engine": prediction.exact.provenance,
            "violations": [str(v) for v in plan.compiled.violations],
            "warnings": list(plan.compiled.warnings),
        }
        write_atomically(out / "versions.json", to_json(versions() | {"seed": seed}))
        write_atomically(out / "result.json", to_json(result))
    return result


def deliver_fit(result: FitResult, folder: Path, *, overwrite: bool) -> None:
    """Write report and result of a fit into `folder`, and what goes into a register there."""
    with output_folder(folder, overwrite=overwrite) as out:
        curves = {
            f"measured_{k}": r.energies
            for k, r in enumerate(result.regions)
            if r.energies is not None
        }
        if curves:
            _write_curves(out, curves)
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "report.html", fit_report(result))
        write_atomically(out / "result.json", to_json(result.to_result()))
        if result.into is not None:
            result.into.write()


def _write_curves(out: Path, curves: Mapping[str, ChargingCurve | None]) -> None:
    (out / "curves").mkdir()
    for name, curve in curves.items():
        if curve is None:
            continue
        write_curve(out / "curves" / f"{name}.json", curve)


def copy_inputs(plan: Plan, out: Path) -> None:
    """Copy protocol, register and spectrometer of a plan into ``out/inputs``."""
    inputs = out / "inputs"
    inputs.mkdir()
    named = {
        "protocol": plan.file,
        "register": plan.protocol.register,
        "spectrometer": plan.protocol.spectrometer,
    }
    for kind, name in named.items():
        shutil.copyfile(find_file(kind, name), inputs / f"{kind}.toml")
