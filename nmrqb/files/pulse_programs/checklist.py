"""The operator's checklist beside an exported program."""

from __future__ import annotations

import textwrap

from nmrqb.compiler.limits import rf_duty
from nmrqb.files.pulse_programs.job import Job
from nmrqb.files.pulse_programs.notes import NOT_RUN, mirrored_nuclei
from nmrqb.files.pulse_programs.tables import longest_quarter_s
from nmrqb.files.pulse_programs.text import harmless, version
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.units import format_quantity

#: of warnings, which hold numbers at their ends
_LONGEST_NOTE = 600
_BRUKER = {
    "calibrated": "P1/PLW1 (f1) and P3/PLW2 (f2)",
    "install": (
        "copy pp/ to the user's pulse programs and lists/ to the user's lists; make a 2D data set "
        "(pseudo-2D, FnMODE QF) and set every parameter of *.parameters.txt"
    ),
    "look": "look at every branch in the pulse program display",
    "low": (
        "divide PLW1 and PLW2 by 100 (20 dB): every other power of the program follows from them"
    ),
    "gain": "RG",
    "scan": "NS = 1",
}
_VARIAN = {
    "calibrated": "pw90/tpwr (observe) and pp/pplvl (decoupler)",
    "install": (
        "copy psglib/ and maclib/ to your vnmrsys, run seqgen, set every parameter of "
        "*.parameters.txt, then run the macro of the arrays"
    ),
    "look": "look at every array element with dps",
    "low": "lower tpwr and pplvl by 20: every other level of the sequence follows from them",
    "gain": "gain",
    "scan": "nt = 1",
}


def checklist(jobs: tuple[Job, ...], target: str, notes: tuple[str, ...]) -> str:
    """Return the checklist of one export.

    Parameters
    ----------
    jobs : tuple of Job
    target : {"bruker", "varian"}
    notes : tuple of str
        Warnings and roundings.
    """
    words = _BRUKER if target == "bruker" else _VARIAN
    job = jobs[0]
    compiled, console = job.compiled, job.spectrometer
    longest = format_quantity(max(s.duration_s for s in compiled.sequences), "time")
    limits = []
    for nucleus in job.nuclei:
        channel = console.channel(nucleus)
        duty = max(rf_duty(s).get(nucleus, 0.0) for s in compiled.sequences)
        limits.append(
            f"{nucleus}: planned 90 degrees {format_quantity(channel.pulse_90_s, 'time')} at "
            f"{channel.pulse_power_watt:g} W; never above {channel.maximum_power_watt:g} W, so a "
            f"90 degree pulse of at most {1e6 * longest_quarter_s(job, nucleus):.4g} us; duty "
            f"{duty:.2g} of {channel.maximum_duty:g}"
        )
    steps = f"""
        Install: {words["install"]}.

        The plan assumes the spectrometer {harmless(console.name)}: compare its limits (below).

        Tune, lock, shim; then calibrate {words["calibrated"]} on this sample. Lengths in the
        program stay as planned, all powers follow from the calibrated pulse. If your pulse
        differs by more than 10 %, put it into the spectrometer file and export again.

        Put both carriers on their lines (see the table).

        Measured inversion pulses, where the program uses one: name your shape, and make sure that
        it was measured with the length and the peak power of the spectrometer file.

        {_phase_sense(job)}

        Before anything is transmitted: {words["look"]}.

        Low power first: {words["low"]}; {words["scan"]}, the shortest row, reflected power and
        temperature in view. Then 10 dB more, then the planned power. Stop where the lock or the
        temperature moves.

        Set {words["gain"]} on row 0 (the fully relaxed reference, if there is one) and never
        change it: all rows are compared with row 0.

        The decoupler is on during acquisition only. Some consoles switch it on when the wait
        before the receiver begins: that wait must not be longer than the table says.

        Do not sort, skip or repeat rows: their order is random on purpose, and the lists, the
        annotations and the reference row belong together.

        Time: the longest scan lasts {longest}; console overheads (switching, housekeeping of 30 ms
        a scan on Bruker) come on top, before the relaxation delay, where they do no harm.
    """.strip().split("\n\n")
    steps += _more_steps(job, target)
    programs = [
        f"{j.stem}: rows of the sweep {', '.join(map(str, j.program.rows))} in this order"
        for j in jobs
    ]
    lines = [
        f"Operator's checklist: {harmless(compiled.protocol.name)}, by nmrqb {version()}",
        NOT_RUN,
        "",
        "The timing was read back and compared with the plan tick by tick.",
        "Nothing here was ever run on a spectrometer: you are the first.",
        "",
        *(_wrapped(f"{k:>2}. ", step) for k, step in enumerate(steps, start=1)),
        "",
        "Limits:",
        *(_wrapped("  - ", limit) for limit in limits),
        "Programs:",
        *(_wrapped("  - ", program) for program in programs),
        "Roundings and warnings:",
        *(_wrapped("  - ", harmless(note, _LONGEST_NOTE)) for note in notes or ("none",)),
        "",
    ]
    return "\n".join(lines)


def _more_steps(job: Job, target: str) -> list[str]:
    """Return the steps that only some programs need."""
    found = []
    if job.flipped is not None:
        how = (
            "the program moves its phase lists on itself (^, ipp, rpp, goscnp)"
            if target == "bruker"
            else "a real-time table, indexed by ct, gives the phases (getelem): ss must stay 0"
        )
        found.append(
            f"Flipped frames: every scan has phases of its own on {job.flipped}; {how}. Compare "
            "the first scans of two rows with flip_patterns.txt in the display before you "
            "transmit. Do not change the number of scans, and start an aborted row again."
        )
    if any(isinstance(event, DummyPulses) for event in job.program.events[0]):
        found.append(
            "Dummy pulses (the train at the start of the relaxation delay) are sent far off "
            "resonance: look at the reflected power there, and compare the signal of row 0 with "
            "and without them once; it must not change."
        )
    return found


def _phase_sense(job: Job) -> str:
    mirrored = ", ".join(mirrored_nuclei(job)) or "no nucleus"
    return (
        "Sense of the phases: y of a nucleus with gamma < 0 is -y of one with gamma > 0 on a "
        f"console that treats its channels alike; so phases of {mirrored} are negated here. Test "
        "it once for the pair of channels: one refocused INEPT (protocol inept_*) must give the "
        "predicted sign; with the wrong sense it has the opposite one, and an exchange becomes a "
        "double-quantum one that charges where it should discharge. Then say reversed_phase = true "
        "for one of the two channels in the spectrometer file, and export again."
    )


def _wrapped(mark: str, text: str) -> str:
    words = " ".join(text.split())
    return textwrap.fill(words, 92, initial_indent=mark, subsequent_indent=" " * len(mark))
