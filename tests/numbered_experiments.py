"""Synthetic build-ups recorded one by one, as folders 1, 2, 3, ... of a Bruker data set."""

import re

import numpy as np

from nmrqb.files.bruker import write_bruker
from nmrqb.signals.series import Axis, Series

PROGRAM = """; one experiment for each build-up time
define delay tbup
"tbup=l20*d20"
"p20=p4*2"
1 ze
2 d1
8 d20
lo to 8 times l20
go=2 ph31
exit
"""


def set_parameter(folder, key, value, file="acqus"):
    path = folder / file
    text, count = re.subn(
        rf"^##\${key}=.*(\n[^#].*)*", f"##${key}= {value}", path.read_text(), flags=re.MULTILINE
    )
    assert count == 1, key
    path.write_text(text)


def set_array(folder, key, values):
    words = " ".join(f"{v:g}" for v in values)
    set_parameter(folder, key, f"(0..{len(values) - 1})\n{words}")


def write_experiments(
    folder, counts, amplitudes, *, scans=None, sigma=1.0, seed=0, rows=1, d20_s=0.25, nucleus="13C"
):
    """Write experiments of build-up time counts[k] * d20_s with one line of amplitude per scan.

    With two rows the first holds twice the amplitude and the second the amplitude: their
    difference is the amplitude again.
    """
    rng = np.random.default_rng(seed)
    scans = np.full(len(counts), 8) if scans is None else np.asarray(scans)
    t = np.arange(512) * 1e-3
    line = np.exp((2j * np.pi * 60.0 - np.pi * 3.0) * t + 0.4j)
    for k, (count, amplitude, ns) in enumerate(zip(counts, amplitudes, scans, strict=True)):
        signal = np.outer([2.0, 1.0] if rows == 2 else [1.0], amplitude * line) * ns
        noise = rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape)
        fids = signal + sigma * np.sqrt(ns) * noise
        series = Series(
            fids=fids, dwell_s=1e-3, time_origin_s=0.0, carrier_hz=100e6, carrier_ppm=0.0,
            nucleus=nucleus, scans=np.full(rows, ns), gain=101.0,
            axis=Axis(name="delay", unit="s", values=np.arange(rows) + 1.0, source="test"),
        )  # fmt: skip
        one = folder / str(k + 1)
        write_bruker(one, series, list_kind="vd", register_name="r", title="t")
        (one / "vdlist").unlink()
        (one / "pulseprogram").write_text(PROGRAM)
        # the writer scales to 24 bits: NC says by which power of two, the points the rest
        power = int(np.ceil(np.log2(np.abs(fids.view(float)).max()))) - 23
        scaled = np.rint(fids.view(float) / 2.0**power).astype("<i4")
        padded = np.zeros((rows, -(-scaled.shape[1] // 256) * 256), "<i4")
        padded[:, : scaled.shape[1]] = scaled
        (one / "ser").write_bytes(padded.tobytes())
        set_parameter(one, "NC", power)
        text = (one / "acqus").read_text()
        d = " ".join(f"{v:g}" for v in [0, 1, *[0] * 18, d20_s, 0])
        counters = " ".join(str(v) for v in [*[1] * 20, count, 7])
        extra = (
            f"##$L= (0..21)\n{counters}\n##$D= (0..21)\n{d}\n"
            "##$P= (0..4)\n0 10 0 0 5\n##$CNST= (0..2)\n1 2 0.5\n"
        )
        (one / "acqus").write_text(text.replace("##END=", extra + "##END="))
    return folder
