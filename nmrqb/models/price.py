"""What a point of a charging curve costs in scans and in minutes of spectrometer time.

The noise is known from one measured scan: `reference_snr` is the signal-to-noise ratio of the
thermal reference of the battery.  An energy is wanted to `error`, in shares of the span from empty
to full, which is r_z from +1 to -1 of the polarisation that the start offers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmrqb.spins.register import FULL_RELAXATION, SpinRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPrice:
    """Scans of one point and the time they take.

    Attributes
    ----------
    scans : int
    scan_s : float
        Full relaxation and charging, seconds.
    """

    scans: int
    scan_s: float

    @property
    def minutes(self) -> float:
        """Spectrometer time of the point."""
        return self.scans * self.scan_s / 60.0


def thermal_price(
    register: SpinRegister, *, charging_s: float, error: float, reference_snr: float
) -> PointPrice:
    """Return the price of a point that starts from thermal equilibrium (re-energised charging).

    r_z = |p_eq| S/S_ref, in units of the chargers' polarisation, so that a scan has the error
    |p_eq|/SNR of r_z.

    Parameters
    ----------
    register : SpinRegister
    charging_s : float
        From the first exchange to the read-out.
    error : float
        Standard error of the energy over the span from empty to full.
    reference_snr : float
        Of one scan of the fully relaxed battery.
    """
    span = register.equilibrium_ratio / 2.0
    return _price(register, span, charging_s, error, reference_snr, multiple=1)


def pseudo_pure_price(
    register: SpinRegister, *, charging_s: float, error: float, reference_snr: float
) -> PointPrice:
    """Return the price of a point that starts pseudo-pure (the driven, dephased star).

    The pseudo-pure amplitude a is the unit of r_z, and half of the scans start saturated and are
    subtracted: (|p_eq|/(a error SNR))^2 scans.  Parameters as above.
    """
    span = register.equilibrium_ratio / register.pseudo_pure_amplitude
    return _price(register, span, charging_s, error, reference_snr, multiple=2)


def _price(
    register: SpinRegister,
    reference_over_span: float,
    charging_s: float,
    error: float,
    reference_snr: float,
    multiple: int,
) -> PointPrice:
    # `reference_over_span`: height of the reference over what lies between empty and full
    if not (np.isfinite(charging_s) and charging_s >= 0.0):
        raise ValueError(f"`charging_s` must be at least 0 s, but is {charging_s}")
    if not 0.0 < error < 1.0:
        raise ValueError(f"`error` must lie between 0 and 1, but is {error}")
    if not (np.isfinite(reference_snr) and reference_snr > 0.0):
        raise ValueError(f"`reference_snr` must be positive, but is {reference_snr}")
    one_scan = reference_over_span / reference_snr
    slowest = max(register.center.t1_s.value, register.satellite.t1_s.value)
    return PointPrice(
        scans=multiple * int(np.ceil((one_scan / error) ** 2 / multiple * (1.0 - 1e-12))),
        scan_s=FULL_RELAXATION * slowest + charging_s,
    )
