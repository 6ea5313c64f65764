"""The annotations of an exported program, by which the reader of its data sets itself up."""

from __future__ import annotations

from nmrqb.files.pulse_programs.job import Job
from nmrqb.files.pulse_programs.text import harmless, version
from nmrqb.protocol.steps import Reenergise

NOT_RUN = "NOT RUN ON HARDWARE: read the checklist, and try it at low power first"


def notes_of(job: Job, channels: dict[str, str], listed: str) -> dict[str, str]:
    """Return key -> value on one line each; users' text made harmless.

    Parameters
    ----------
    job : Job
    channels : dict
        Nucleus -> the console's name of its channel.
    listed : str
        Kind of list that holds the axis itself ("vc", "vd", "vp"), or "".
    """
    protocol, program = job.compiled.protocol, job.program
    waits = [f"{s.delay_s:.12g}" for s in protocol.cycle if isinstance(s, Reenergise)]
    register = job.register
    loads = () if register.load is None else (register.load,)
    species = (register.battery, register.charger, *loads)
    order = " ".join(str(row) for row in program.rows)
    found = {
        "title": harmless(protocol.name),
        "description": harmless(protocol.description),
        "register": harmless(job.register.name),
        "spectrometer": harmless(job.spectrometer.name),
        "written_by": f"nmrqb {version()}",
        "hash": job.digest,
        "dimensions": f"{len(job.axis)} rows, {job.acquire.points} complex points",
        "roles": " ".join(f"{channels[s.isotope]}={s.isotope}={s.role}" for s in species),
        "axis": harmless(job.axis_name),
        "axis_unit": job.axis_unit,
        "axis_values": " ".join(f"{v:.12g}" for v in job.axis),
        "list": listed,
        "reference_row": "" if program.reference is None else "0",
        "row_times_s": " ".join(f"{t:.12g}" for t in job.row_times_s),
        "row_order": f"random, seed {job.seed}, rows of the protocol: {order}",
        "phase_cycle": f"{len(job.cycle)} step(s), the receiver with the read pulse",
        "mirrored_phases": " ".join(mirrored_nuclei(job)),
        "delta_s": " ".join(waits),
    }
    return {key: value for key, value in found.items() if value}


def mirrored_nuclei(job: Job) -> tuple[str, ...]:
    """Return the nuclei whose phases are negated on the console (gamma < 0)."""
    return tuple(n for n in job.nuclei if job.spectrometer.channel(n).is_phase_mirrored)
