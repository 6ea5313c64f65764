"""nmrqb: plan, predict, run and analyse quantum-battery experiments on NMR spectrometers.

Importing this package is light: every name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmrqb.analysis.curve_fit import fit_curve as fit_curve
    from nmrqb.analysis.series_fit import fit_series as fit_series
    from nmrqb.battery.charging import ChargingCurve as ChargingCurve
    from nmrqb.compiler.compile import compile_protocol as compile_protocol
    from nmrqb.files.convert import to_xarray as to_xarray
    from nmrqb.files.pulse_programs.export import export as export
    from nmrqb.files.toml import read_protocol as read_protocol
    from nmrqb.files.toml import read_register as read_register
    from nmrqb.files.toml import read_spectrometer as read_spectrometer
    from nmrqb.files.vendors import read_series as read_series
    from nmrqb.models.dephased_star import DephasedStar as DephasedStar
    from nmrqb.protocol.protocol import Protocol as Protocol
    from nmrqb.report.figures import draw as draw
    from nmrqb.simulate.simulator import simulate_sequence as simulate_sequence
    from nmrqb.spins.register import SpinRegister as SpinRegister
    from nmrqb.studies.compare import compare as compare
    from nmrqb.studies.run import run as run

__version__ = "0.1.0"

_HOMES = {
    "ChargingCurve": "nmrqb.battery.charging",
    "DephasedStar": "nmrqb.models.dephased_star",
    "Protocol": "nmrqb.protocol.protocol",
    "SpinRegister": "nmrqb.spins.register",
    "compare": "nmrqb.studies.compare",
    "compile_protocol": "nmrqb.compiler.compile",
    "draw": "nmrqb.report.figures",
    "export": "nmrqb.files.pulse_programs.export",
    "fit_curve": "nmrqb.analysis.curve_fit",
    "fit_series": "nmrqb.analysis.series_fit",
    "read_protocol": "nmrqb.files.toml",
    "read_register": "nmrqb.files.toml",
    "read_series": "nmrqb.files.vendors",
    "read_spectrometer": "nmrqb.files.toml",
    "run": "nmrqb.studies.run",
    "simulate_sequence": "nmrqb.simulate.simulator",
    "to_xarray": "nmrqb.files.convert",
}

__all__ = [  # noqa: PLE0604 -- the names are the keys above
    "__version__",
    *_HOMES,
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nmrqb' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
