"""Value objects as labelled xarray data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.battery.charging import ChargingCurve
from nmrqb.models.observables import StarObservables
from nmrqb.signals.series import Series
from nmrqb.simulate.simulator import SimulatedSequence

if TYPE_CHECKING:
    import xarray as xr


def to_xarray(
    value: ChargingCurve | Series | SimulatedSequence | StarObservables,
) -> xr.Dataset:
    """Return a value as an xarray Dataset with coordinates and units.

    Raises
    ------
    TypeError
        For a value that has no labelled form.
    """
    import xarray as xr

    match value:
        case ChargingCurve():
            named = {
                "energy": (value.energy, value.energy_unit),
                "ergotropy": (value.ergotropy, value.energy_unit),
                "magnetisation": (value.magnetisation, "eps"),
                "energy_stderr": (value.energy_stderr, value.energy_unit),
                "ergotropy_stderr": (value.ergotropy_stderr, value.energy_unit),
                "ergotropy_upper95": (value.ergotropy_upper95, value.energy_unit),
                "magnetisation_stderr": (value.magnetisation_stderr, "eps"),
            }
            data = {k: ("time", v, {"unit": u}) for k, (v, u) in named.items() if v is not None}
            if value.covariance is not None:
                data["covariance"] = (("time", "time2"), value.covariance, {})  # type: ignore[assignment]
            coordinates = {"time": ("time", value.times, {"unit": value.time_unit})}
            if value.cycles is not None:
                coordinates["cycles"] = ("time", value.cycles, {})  # type: ignore[assignment]
            attributes = {
                "start": value.start,
                "ergotropy_kind": value.ergotropy_kind,
                "provenance": value.provenance,
            }
            return xr.Dataset(data, coords=coordinates, attrs=attributes)
        case Series():
            axis = value.axis
            return xr.Dataset(
                {"fid": (("row", "time"), value.fids), "scans": ("row", value.scans)},
                coords={
                    axis.name if axis.name not in ("row", "time") else f"{axis.name}_value": (
                        "row",
                        axis.values,
                        {"unit": axis.unit},
                    ),
                    "time": ("time", value.times_s, {"unit": "s"}),
                },
                attrs={
                    "nucleus": value.nucleus,
                    "carrier_hz": value.carrier_hz,
                    "carrier_ppm": value.carrier_ppm,
                    "axis_source": axis.source,
                    "provenance": value.provenance,
                },
            )
        case SimulatedSequence():
            return xr.Dataset(
                {
                    "battery_z": ("time", value.battery_z, {"unit": "eps, spin label"}),
                    "charger_z": ("time", value.charger_z, {"unit": "eps, spin label"}),
                },
                coords={"time": ("time", np.asarray(value.times_s), {"unit": "s"})},
                attrs={"engine": value.engine},
            )
        case StarObservables():
            of_time = {
                f.name: getattr(value, f.name)
                for f in dataclasses.fields(value)
                if f.name != "times" and getattr(value, f.name) is not None
            }
            of_time |= {
                name: getattr(value, name) for name in ("switching_cost", "efficiency", "power")
            }
            units = {"purity": "", "efficiency": "", "energy_variance": "omega^2"}
            return xr.Dataset(
                {k: ("time", v, {"unit": units.get(k, "omega")}) for k, v in of_time.items()},
                coords={"time": ("time", value.times, {"unit": "model"})},
            )
    raise TypeError(f"{type(value).__name__} has no xarray form")
