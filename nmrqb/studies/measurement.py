"""The simulated measurement of a plan: FIDs as a receiver gives them, their axis and region."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.protocol.protocol import COUNTED
from nmrqb.signals.series import Axis, Series
from nmrqb.simulate.acquisition import (
    acquisition,
    noise_for_snr,
    noise_free_fid,
    receiver_noise,
)
from nmrqb.studies.plan import Plan, Prediction, row_times

Array = NDArray[np.float64]

#: half width of the fitted region in line widths 1/(pi T2*)
REGION_WIDTHS = 40.0


def simulate_measurement(plan: Plan, prediction: Prediction, seed: int) -> Series:
    """Return the noisy FIDs of the reference (row 0) and of every row, as a receiver gives them.

    One SeedSequence is spawned for each row, so that a row's noise does not depend on the others.
    """
    compiled, register = plan.compiled, plan.register
    assert compiled.reference is not None
    assert prediction.reference is not None
    acquire = acquisition(compiled.reference)
    species = register.species(acquire.nucleus)
    carrier_ppm, offset = plan.carrier_ppm, plan.line_offset_hz
    base_hz = species.nucleus.larmor_hz(register.field_tesla.value)
    dwell = acquire.dwell_ticks * plan.spectrometer.tick_s
    children = np.random.SeedSequence(seed).spawn(plan.protocol.rows + 2)
    phase = float(np.random.default_rng(children[-1]).uniform(0.0, 2.0 * np.pi))
    pairs = [
        (prediction.reference, compiled.reference),
        *zip(prediction.simulated, compiled.sequences, strict=True),
    ]
    fids = np.array(
        [
            noise_free_fid(result, sequence, register, offset_hz=offset, receiver_phase_rad=phase)
            for result, sequence in pairs
        ]
    )
    scans = plan.protocol.scans
    snr = plan.protocol.simulation.reference_snr
    amplitude = float(np.abs(fids[0, 0]))
    if plan.protocol.start == "pseudo-pure":
        # the reference that sets the noise is the thermal one; the pseudo-pure signal is smaller,
        # and the half of the scans that is subtracted holds none of it
        fids = fids * pseudo_pure_signal(plan)
    if snr is not None:
        sigma = noise_for_snr(amplitude, snr, dwell, species.t2_star_s.value)
        noise = [
            receiver_noise(fids.shape[1:], sigma, np.random.default_rng(child))
            for child in children[: len(fids)]
        ]
        fids = fids + np.array(noise)
    axis, name = _axis(plan)
    return Series(
        fids=fids * scans,
        dwell_s=dwell,
        time_origin_s=0.0,
        carrier_hz=base_hz * (1.0 + carrier_ppm * 1e-6),
        carrier_ppm=carrier_ppm,
        nucleus=acquire.nucleus,
        axis=Axis(name=name, unit=_axis_unit(plan), values=axis, source="protocol"),
        scans=np.full(len(fids), scans),
        reference_row=0,
        row_times_s=np.concatenate([[0.0], row_times(plan)]),
        provenance=f"simulation of {plan.protocol.name}",
    )


def pseudo_pure_signal(plan: Plan) -> float:
    """Return the pseudo-pure signal of a scan over the thermal one of the battery.

    Half of the scans are without the preparation and subtracted: they add noise only.
    """
    register = plan.register
    return 0.5 * register.pseudo_pure_amplitude / register.equilibrium_ratio


def observed_region(plan: Plan, series: Series) -> tuple[float, float]:
    """Return the region of the observed line: 40 line widths to either side, within the band."""
    species = plan.observed
    width = REGION_WIDTHS / (np.pi * species.t2_star_s.value)
    middle = float(series.offset_hz(species.shift_ppm))
    edge = 0.48 * series.spectral_width_hz
    low, high = max(middle - width, -edge), min(middle + width, edge)
    ends = series.ppm(np.array([low, high]))
    return float(ends[0]), float(ends[1])


def swept_list(plan: Plan) -> Literal["vc", "vd"]:
    """Return the kind of list that holds the plan's axis: loop counts or delays."""
    sweep = plan.protocol.sweep
    counted = sweep is None or sweep.key.rsplit(".", 1)[-1] in COUNTED | {"cycles"}
    return "vc" if counted else "vd"


def _axis(plan: Plan) -> tuple[Array, str]:
    """Return the axis with the reference's entry first (0 cycles, or 0 s), and its name."""
    sweep = plan.protocol.sweep
    if sweep is None:
        return np.array([0.0, float(plan.protocol.cycles)]), "cycles"
    return np.concatenate([[0.0], sweep.values]), plan.protocol.axis_name()


def _axis_unit(plan: Plan) -> str:
    return plan.protocol.sweep.unit if plan.protocol.sweep else ""
