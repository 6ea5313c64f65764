"""Export a compiled protocol: programs, lists, tables and a checklist, read back before use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from nmrqb.compiler.compile import CompiledProtocol
from nmrqb.compiler.hazards import rf_energy
from nmrqb.compiler.limits import check_limits, rf_duty
from nmrqb.errors import LimitError, NmrqbError, Problem
from nmrqb.files.pulse_programs.bruker_timeline import BrukerProgram
from nmrqb.files.pulse_programs.bruker_writer import BrukerWriter
from nmrqb.files.pulse_programs.checklist import checklist
from nmrqb.files.pulse_programs.flip_residue import FlipResidue, flip_residue
from nmrqb.files.pulse_programs.flips import flip_notes, pattern_seed, pattern_table, patterns_of
from nmrqb.files.pulse_programs.job import Job, digest_of
from nmrqb.files.pulse_programs.notes import mirrored_nuclei
from nmrqb.files.pulse_programs.rows import phase_deg, programs_of
from nmrqb.files.pulse_programs.sequence_timeline import SequenceClock
from nmrqb.files.pulse_programs.tables import bruker_table, varian_table
from nmrqb.files.pulse_programs.timeline import Timeline, first_difference
from nmrqb.files.pulse_programs.varian_timeline import VarianProgram
from nmrqb.files.pulse_programs.varian_writer import VarianWriter
from nmrqb.files.results import output_folder, to_json, write_atomically
from nmrqb.sequence.events import Pulse, PulseSequence, Saturation, SimultaneousPulses
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister

Target = Literal["bruker", "varian"]
Reader: TypeAlias = BrukerProgram | VarianProgram


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Programs for a console, complete and read back.

    Attributes
    ----------
    target : {"bruker", "varian"}
    jobs : tuple of Job
        One for each program.
    files : dict
        Path below the folder -> text.
    notes : tuple of str
        What an operator should know: warnings and what the export changed.
    residues : dict
        Row of the sweep -> what its patterns of flips leave; empty without flips.
    """

    target: Target
    jobs: tuple[Job, ...]
    files: Mapping[str, str]
    notes: tuple[str, ...]
    residues: Mapping[int, FlipResidue]

    @property
    def digest(self) -> str:
        """Hash of protocol, register and spectrometer."""
        return self.jobs[0].digest

    @property
    def duration_s(self) -> float:
        """Wall-clock time of all programs, every one with the reference, all scans."""
        return duration_s(self.jobs)

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        job = self.jobs[0]
        compiled = job.compiled
        return {
            "schema": "nmrqb/compile/1",
            "status": "ok",
            "target": self.target,
            "protocol": compiled.protocol.name,
            "register": job.register.name,
            "spectrometer": job.spectrometer.name,
            "hash": self.digest,
            "duration_s": self.duration_s,
            "results": [_program_result(j, self.residues) for j in self.jobs],
            "files": [
                {"file": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}
                for name, text in self.files.items()
            ],
            "roundings": [str(r) for r in compiled.roundings],
            "warnings": list(self.notes),
            "violations": [],
        } | ({"flip_seed": pattern_seed(compiled, job.seed)} if self.residues else {})

    def write(
        self, folder: Path, *, overwrite: bool = False, more: Mapping[str, bytes] | None = None
    ) -> None:
        """Write everything into `folder`, whole or not at all; `more` holds other files."""
        with output_folder(folder, overwrite=overwrite) as out:
            for name, text in self.files.items():
                path = out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="ascii")
            for name, raw in (more or {}).items():
                path = out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(raw)
            write_atomically(out / "result.json", to_json(self.to_result()))

    def __str__(self) -> str:
        compiled = self.jobs[0].compiled
        head = (
            f"exported {compiled.protocol.name} for {self.target}: {len(self.jobs)} program(s), "
            f"hash {self.digest[:8]}, {self.duration_s / 3600:.3g} h; not run on hardware"
        )
        lines = [head]
        for job in self.jobs:
            rows = ", ".join(map(str, job.program.rows))
            lines.append(f"  {job.stem}: rows in the order {rows}")
        lines += [f"  rounding: {r}" for r in compiled.roundings]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def export(
    compiled: CompiledProtocol,
    register: SpinRegister,
    spectrometer: Spectrometer,
    target: Target,
) -> Export:
    """Return pulse programs of a compiled protocol for TopSpin or VnmrJ.

    Rows that console lists can drive share a program; the others have one each.  Every program is
    read back by a reader that does not know the writer, and its timeline compared with the sequence
    of every row and every step of the phase cycle.

    Raises
    ------
    LimitError
        Where a limit of the spectrometer is violated (every one is listed), or for events that
        exist in simulation only.
    ValueError
        For an unknown `target`.
    """
    if target not in get_args(Target):
        raise ValueError(f"`target` must be one of {get_args(Target)}, but is {target!r}")
    refuse_violations(compiled, spectrometer)
    seed = int(digest_of(compiled, register, spectrometer)[:8], 16)
    programs = programs_of(compiled, seed)
    flip_seed = pattern_seed(compiled, seed)
    patterns = patterns_of(compiled, programs, flip_seed, spectrometer.maximum_phase_list)
    jobs = tuple(
        Job(
            compiled=compiled,
            register=register,
            spectrometer=spectrometer,
            program=program,
            seed=seed,
            patterns=tuple(patterns[row] for row in program.rows),
        )
        for program in programs
    )
    total, most = duration_s(jobs), spectrometer.maximum_duration_s
    if total > most:
        raise LimitError(
            f"the whole experiment must be at most {most / 3600:.4g} h, but {len(jobs)} programs "
            f"with their references take {total / 3600:.4g} h",
            key="the whole experiment",
            value=f"{total / 3600:.4g} h",
            limit=f"at most {most / 3600:.4g} h",
        )
    files: dict[str, str] = {}
    for job in jobs:
        written = _bruker_files(job) if target == "bruker" else _varian_files(job)
        _read_back(job, written, target)
        files |= written
    residues = {
        row: flip_residue(compiled.sequences[row], found, register)
        for row, found in patterns.items()
        if found is not None
    }
    if residues:
        files["flip_patterns.txt"] = pattern_table(jobs, flip_seed)
    notes = (*compiled.warnings, *_notes(jobs), *flip_notes(jobs, flip_seed, residues))
    roundings = tuple(str(r) for r in compiled.roundings)
    files["checklist.txt"] = checklist(jobs, target, (*roundings, *notes))
    return Export(target=target, jobs=jobs, files=files, notes=notes, residues=residues)


def refused(compiled: CompiledProtocol, target: Target, error: LimitError) -> dict[str, Any]:
    """Return the object of result.json of an export that limits forbid."""
    return {
        "schema": "nmrqb/compile/1",
        "status": "no",
        "target": target,
        "protocol": compiled.protocol.name,
        "results": [],
        "files": [],
        "violations": [
            {"what": p.key, "value": p.value, "limit": p.limit, "message": p.message}
            for p in error.problems
        ],
        "roundings": [str(r) for r in compiled.roundings],
        "warnings": list(compiled.warnings),
    }


def refuse_violations(compiled: CompiledProtocol, spectrometer: Spectrometer) -> None:
    """Raise LimitError that lists every limit a compiled protocol breaks."""
    violations = check_limits(_sequences(compiled), compiled.protocol.scans, spectrometer)
    if violations:
        raise LimitError(
            [
                Problem(message=str(v), key=v.what, value=v.value, limit=v.limit)
                for v in dict.fromkeys([*compiled.violations, *violations])
            ]
        )


def reader_of(job: Job, files: Mapping[str, str], target: Target) -> Reader:
    """Return the reader of one program among the files of an export."""
    table = files[f"{job.stem}.parameters.txt"]
    if target == "varian":
        return VarianProgram(
            files[f"psglib/{job.stem}.c"], files[f"maclib/{job.stem}_arrays"], table
        )
    lists = {n.removeprefix("lists/"): t for n, t in files.items() if n.startswith("lists/")}
    return BrukerProgram(files[f"pp/{job.stem}"], lists, table)


def duration_s(jobs: tuple[Job, ...]) -> float:
    """Return the time that programs take, all scans."""
    compiled = jobs[0].compiled
    reference = compiled.reference.duration_s if compiled.reference else 0.0
    rows = sum(s.duration_s for s in compiled.sequences)
    return (rows + len(jobs) * reference) * compiled.protocol.scans


def _sequences(compiled: CompiledProtocol) -> list[PulseSequence]:
    reference = [] if compiled.reference is None else [compiled.reference]
    return [*compiled.sequences, *reference]


def _bruker_files(job: Job) -> dict[str, str]:
    writer = BrukerWriter(job)
    files = {f"pp/{job.stem}": writer.text, f"{job.stem}.parameters.txt": bruker_table(writer)}
    return files | {f"lists/{name}": text for name, text in writer.lists.items()}


def _varian_files(job: Job) -> dict[str, str]:
    writer = VarianWriter(job)
    return {
        f"psglib/{job.stem}.c": writer.text,
        f"maclib/{job.stem}_arrays": writer.macro,
        f"{job.stem}.parameters.txt": varian_table(writer),
    }


def _read_back(job: Job, files: Mapping[str, str], target: Target) -> None:
    """Raise unless what was written does, tick by tick, what the sequences say."""
    compiled = job.compiled
    wanted = [compiled.sequences[row] for row in job.program.rows]
    patterns = list(job.patterns)
    if compiled.reference is not None:
        wanted.insert(0, compiled.reference)
        patterns.insert(0, None)
    clocks = [
        SequenceClock(s, job.spectrometer, switch_off_ticks=job.switch_off_ticks) for s in wanted
    ]

    def compare(row: int, scan: int, found: Timeline) -> None:
        known = patterns[row]
        step = job.cycle[scan % len(job.cycle)]
        expected = clocks[row].scan(
            read_shift_deg=90.0 * step, flips=() if known is None else known.flips[scan].tolist()
        )
        difference = first_difference(found, expected)
        if difference:
            raise NmrqbError(
                f"row {row} of the exported program is not the sequence ({difference}); "
                "nothing was written",
                key=job.stem,
            )

    reader = reader_of(job, files, target)
    for scan in range(len(job.cycle)):
        timelines = list(reader.rows(scan))
        if len(timelines) != len(wanted):
            raise NmrqbError(f"the program has {len(timelines)} rows, not {len(wanted)}")
        for row, timeline in enumerate(timelines):
            compare(row, scan, timeline)
    if job.flipped is not None:
        read = 0
        for row, scan, timeline in reader.every_scan():
            compare(row, scan, timeline)
            read += patterns[row] is not None
        meant = compiled.protocol.scans * sum(p is not None for p in patterns)
        if read != meant:
            raise NmrqbError(f"the program has {read} scans with flips, not {meant}", key=job.stem)


def _notes(jobs: tuple[Job, ...]) -> list[str]:
    job, found = jobs[0], []
    scans = job.compiled.protocol.scans
    if len(jobs) > 1:
        found.append(
            f"{len(jobs)} programs, each with the reference: console lists drive loop counts, "
            "delays and pulse lengths, but not what these rows differ by (powers, numbers of steps)"
        )
    if len(job.cycle) == 1:
        why = "the scans are odd in number" if scans % 2 else "the rows detect what they made"
        found.append(f"no phase cycle: {why}")
    if any(isinstance(e, Saturation) for s in _sequences(job.compiled) for e, _ in s.walk()):
        off_us = 1e6 * job.switch_off_ticks * job.spectrometer.tick_s
        found.append(
            f"a saturation ends {off_us:.4g} us early: its RF is switched off in that time"
        )
    mirrored = mirrored_nuclei(job)
    if 0 < len(mirrored) < len(job.nuclei):
        found.append(
            f"phases of {', '.join(mirrored)} are negated: its gyromagnetic ratio has the other "
            "sign, or the spectrometer file says that the channel is reversed; test it (checklist)"
        )
    found += _off_resonance(job)
    found += _unequal_heating(job)
    if any(
        abs(100.0 * phase - round(100.0 * phase)) > 1e-6
        for phase in (phase_deg(p.phase_rad) for p in _pulses(job.compiled))
    ):
        found.append("phases are rounded to 0.01 degrees")
    if job.compiled.reference is None:
        found.append("no reference row: the protocol has no [reference]")
    return found


def _off_resonance(job: Job) -> list[str]:
    """Say so where the receiver's carrier is not on the line: pulses share it."""
    said = job.compiled.protocol.fid.carrier_ppm
    species = job.register.species(job.acquire.nucleus)
    if said is None or said == species.shift_ppm:
        return []
    base_hz = species.nucleus.larmor_hz(job.register.field_tesla.value)
    offset_hz = (species.shift_ppm - said) * base_hz * 1e-6
    words = (
        f"the carrier lies {abs(offset_hz):.3g} Hz from the {species.isotope} line, and pulses and "
        "spin locks share it with the receiver: the simulation has them on resonance"
    )
    return [words]


def _unequal_heating(job: Job) -> list[str]:
    """Say so where the rows send different RF energies to the probe."""
    energies = [rf_energy(s, job.spectrometer) for s in job.compiled.sequences]
    found = []
    for nucleus in job.nuclei:
        joules = [energy.get(nucleus, 0.0) for energy in energies]
        low, high = min(joules), max(joules)
        if high > 1.01 * low:
            found.append(
                f"RF heating differs between rows: {nucleus} {low:.3g} to {high:.3g} J a scan"
            )
    return found


def _pulses(compiled: CompiledProtocol) -> Iterator[Pulse]:
    for sequence in _sequences(compiled):
        for event, _ in sequence.walk():
            if isinstance(event, Pulse):
                yield event
            elif isinstance(event, SimultaneousPulses):
                yield from event.pulses


def _program_result(job: Job, residues: Mapping[int, FlipResidue]) -> dict[str, Any]:
    compiled = job.compiled
    return {
        "program": job.stem,
        "phase_cycle_steps": len(job.cycle),
        "axis": {"name": job.axis_name, "unit": job.axis_unit, "values": list(job.axis)},
        "reference_row": None if job.program.reference is None else 0,
        "rows": [
            {
                "row": row,
                "scan_s": compiled.sequences[row].duration_s,
                "charging_s": compiled.charging_s[row],
                "rf_energy_joule": rf_energy(compiled.sequences[row], job.spectrometer),
                "rf_duty": rf_duty(compiled.sequences[row]),
            }
            | ({"flips": _flips_result(job, row, residues[row])} if row in residues else {})
            for row in job.program.rows
        ],
    }


def _flips_result(job: Job, row: int, residue: FlipResidue) -> dict[str, Any]:
    patterns = job.patterns[job.program.rows.index(row)]
    assert patterns is not None
    return {
        "nucleus": patterns.nucleus,
        "flips_of_a_scan": patterns.flips.shape[1],
        "patterns": "all" if patterns.is_complete else "random",
        **residue.to_result(),
    }
