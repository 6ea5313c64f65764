"""Measure reading and writing of data: `make bench` rewrites benchmarks/readers.md.

Timings are never tests.  Promised: 64 FIDs of 16384 complex points in less than 0.2 s.
"""

import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import vendor_files

from nmrqb import read_series

RESULTS = Path(__file__).with_name("readers.md")
ROWS, POINTS = 64, 16384
WRITERS = {
    "Bruker int32": lambda p, f: vendor_files.write_bruker(p, f, lists=[("vdlist", DELAYS)]),
    "Bruker float64": lambda p, f: vendor_files.write_bruker(
        p, f, kind="f8", lists=[("vdlist", DELAYS)]
    ),
    "Varian int32": lambda p, f: vendor_files.write_varian(
        p, f, arrays={"d2": (3, 1, [0.01 * k for k in range(1, ROWS + 1)])}
    ),
    "JEOL float64": lambda p, f: vendor_files.write_jeol(p.with_suffix(".jdf"), f),
    "Magritek float32": vendor_files.write_magritek,
    "NMRPipe float32": lambda p, f: vendor_files.write_nmrpipe(p.with_suffix(".fid"), f),
}
DELAYS = "".join(f"{0.01 * k:g}s\n" for k in range(1, ROWS + 1))


def seconds(path, axis):
    """Return the shortest of five readings, s."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        read_series(path, axis=axis)
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    """Write every format once and read it."""
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**20), 2**20, size=(ROWS, POINTS, 2)).astype(float)
    fids = values.view(complex)[..., 0]
    how = (
        f"{ROWS} FIDs of {POINTS} complex points, shortest of five readings, Python "
        f"{platform.python_version()}, numpy {np.__version__}."
    )
    lines = ["# Reading", "", how, "", "| format | s |", "|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            path = write(Path(folder) / name.replace(" ", "-"), fids)
            axis = "row" if "NMRPipe" in name else None
            lines.append(f"| {name} | {seconds(path, axis):.3f} |")
            print(lines[-1])
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
