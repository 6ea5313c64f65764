"""What a measured battery holds, row by row: polarisation, energy, ergotropy and its parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.battery.bloch_estimate import ErgotropyEstimate, estimated_ergotropy
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.energy import NMR_ENERGY_UNIT, incoherent_bias, incoherent_ergotropy

Array = NDArray[np.float64]

_TWO_SIDED = float(stats.norm.ppf(0.975))
_ONE_SIDED = float(stats.norm.ppf(0.95))
_NO_TRANSVERSE = "needs the transverse read-out: r_x and r_y were not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryQuantities:
    """Energy and ergotropy of every row in the NMR unit (from the identity level).

    Attributes
    ----------
    times_s : ndarray, shape (rows,)
    r : ndarray, shape (rows, 3)
        Energy label, units of eps; NaN where not measured.
    stderr : ndarray, shape (rows, 3)
        Reference included.
    incoherent : tuple of ErgotropyEstimate
        2 max(0, -r_z).
    coherent, total : tuple of ErgotropyEstimate, or None
        |r| - |r_z| and |r| - r_z; None without a transverse read-out.
    batteries : int
        Equivalent batteries of a molecule: r is their mean.
    """

    times_s: Array
    r: Array
    stderr: Array
    incoherent: tuple[ErgotropyEstimate, ...]
    coherent: tuple[ErgotropyEstimate, ...] | None
    total: tuple[ErgotropyEstimate, ...] | None
    batteries: int

    @property
    def kind(self) -> str:
        """Which ergotropy the numbers are, in words."""
        part = (
            "the populations' part (incoherent)"
            if self.total is None
            else "that of the Bloch vector (incoherent and coherent part)"
        )
        if self.batteries == 1:
            return f"{part} of one battery, for which local and collective are the same"
        return (
            f"{part} of the mean of {self.batteries} batteries: local, a lower bound of the "
            "collective one, which needs tomography or the model"
        )

    def with_ergotropy(self, curve: ChargingCurve) -> ChargingCurve:
        """Return the curve with the ergotropy of the Bloch vector, where that was measured."""
        if self.total is None:
            return curve
        found = self.total
        return replace(
            curve,
            ergotropy=np.array([e.value for e in found]),
            ergotropy_kind="local",
            ergotropy_stderr=np.array([np.nan if e.stderr is None else e.stderr for e in found]),
            ergotropy_upper95=np.array([e.upper95 for e in found]),
        )

    def words(self) -> list[str]:
        """Return energy and ergotropy of the fullest row, and what kind they are."""
        k = int(np.argmin(self.r[:, 2]))
        parts = {"incoherent": self.incoherent, "coherent": self.coherent, "whole": self.total}
        found = [
            f"{name} {_in_words(estimates[k])}"
            for name, estimates in parts.items()
            if estimates is not None
        ]
        spread = f"{-self.r[k, 2]:.4g} +- {self.stderr[k, 2]:.2g}"
        where = f"at {self.times_s[k]:.4g} s: energy {spread}, ergotropy {', '.join(found)}"
        return [f"{where} ({NMR_ENERGY_UNIT})", f"ergotropy: {self.kind}"]

    def to_result(self) -> dict[str, Any]:
        """Return the rows for result.json."""
        rows = []
        for k, t in enumerate(self.times_s):
            spread = float(self.stderr[k, 2])
            rows.append(
                {
                    "time_s": t,
                    "r": self.r[k],
                    "r_stderr": self.stderr[k],
                    "energy": -self.r[k, 2],
                    "energy_stderr": spread,
                    "incoherent_ergotropy": _shown(self.incoherent[k]),
                    "incoherent_bias": float(incoherent_bias(self.r[k, 2], spread)),
                    "coherent_ergotropy": _shown(self.coherent[k] if self.coherent else None),
                    "ergotropy": _shown(self.total[k] if self.total else None),
                }
            )
        return {"unit": NMR_ENERGY_UNIT, "ergotropy_is": self.kind, "rows": rows}


def _in_words(estimate: ErgotropyEstimate) -> str:
    if estimate.stderr is None:
        return f"below {estimate.upper95:.3g} (95 %)"
    return f"{estimate.value:.4g} +- {estimate.stderr:.2g}"


def _shown(estimate: ErgotropyEstimate | None) -> dict[str, Any]:
    if estimate is None:
        return {"value": None, "reason": _NO_TRANSVERSE}
    return {
        "value": estimate.value,
        "stderr": estimate.stderr,
        "ci95": list(estimate.ci95),
        "lower95": estimate.lower95,
        "upper95": estimate.upper95,
        "reason": None if estimate.stderr else "not above zero: the upper limit holds",
    }


def battery_quantities(
    times_s: Array,
    r_z: Array,
    own_stderr: Array,
    scale_error: float,
    *,
    batteries: int = 1,
    transverse: NDArray[np.complex128] | None = None,
    transverse_stderr: Array | None = None,
) -> BatteryQuantities:
    """Return energies and ergotropies of measured Bloch vectors.

    Parameters
    ----------
    times_s, r_z, own_stderr : ndarray, shape (rows,)
        Polarisations (energy label) with the errors of their own.
    scale_error : float
        Relative standard error of the reference, common to all.
    batteries : int
    transverse : ndarray of complex, shape (rows,), optional
        r_x + i r_y.
    transverse_stderr : ndarray, shape (rows,), optional
        Of each of r_x and r_y.
    """
    rows = len(r_z)
    r, stderr = np.full((rows, 3), np.nan), np.full((rows, 3), np.nan)
    r[:, 2], stderr[:, 2] = r_z, np.hypot(own_stderr, scale_error * r_z)
    incoherent = tuple(
        _incoherent(float(z), float(s)) for z, s in zip(r_z, stderr[:, 2], strict=True)
    )
    parts: dict[str, tuple[ErgotropyEstimate, ...] | None] = {"coherent": None, "total": None}
    if transverse is not None and transverse_stderr is not None:
        r[:, 0], r[:, 1] = transverse.real, transverse.imag
        for k in (0, 1):
            stderr[:, k] = np.hypot(transverse_stderr, scale_error * r[:, k])
        for part in ("coherent", "total"):
            parts[part] = tuple(
                estimated_ergotropy(
                    vector,
                    float(s_t),
                    float(s_z),
                    part="total" if part == "total" else "coherent",
                    scale_error=scale_error,
                )
                for vector, s_t, s_z in zip(r, transverse_stderr, own_stderr, strict=True)
            )
    return BatteryQuantities(
        times_s=np.asarray(times_s, float),
        r=r,
        stderr=stderr,
        incoherent=incoherent,
        coherent=parts["coherent"],
        total=parts["total"],
        batteries=batteries,
    )


def _incoherent(r_z: float, stderr: float) -> ErgotropyEstimate:
    """Return 2 max(0, -r_z) with limits that are those of r_z: the map is monotonic."""

    def at(shift: float) -> float:
        return float(incoherent_ergotropy(np.array(r_z + shift * stderr)))

    return ErgotropyEstimate(
        value=at(0.0),
        stderr=2.0 * stderr if -r_z > 2.0 * stderr else None,
        ci95=(at(_TWO_SIDED), at(-_TWO_SIDED)),
        lower95=at(_ONE_SIDED),
        upper95=at(-_ONE_SIDED),
    )
