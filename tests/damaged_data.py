"""Damaged data sets of every vendor, from one seed: cut, flipped, contradicting, hostile.

``damaged(folder, number)`` writes data set `number` and returns what was done to it.
"""

import os
import shutil

import numpy as np
from vendor_files import (
    lines_fids,
    write_bruker,
    write_jcampdx,
    write_jeol,
    write_magritek,
    write_nmrpipe,
    write_varian,
)

COUNT = 300
SEED = 20201118
ROWS, POINTS = 3, 256
JEOL_DELAY = 0.5 * (53 / 16 + 72 / 2)

#: kind -> (writer, delay of the FIDs, file of points, file of parameters or None, header bytes)
KINDS = {
    "bruker": (write_bruker, 67.98, "ser", "acqus", 0),
    "varian": (write_varian, 0.0, "fid", "procpar", 60),
    "jeol": (write_jeol, JEOL_DELAY, None, None, 1360 + 16 + 64 * 14),
    "magritek": (write_magritek, 0.0, "data.2d", "acqu.par", 32),
    "jcampdx": (lambda p, f: write_jcampdx(p, f, delay=67.98), 67.98, None, None, 580),
    "nmrpipe": (lambda p, f: write_nmrpipe(p, f, delay=67.98), 67.98, None, None, 2048),
}
#: what each format states once only: a flipped digit of it that stays in range is nobody's fault
STATED_ONCE = {
    "bruker": {"scans", "gain", "time_origin_s", "carrier_ppm", "recorded_unix_s", "axis", "dead"},
    "varian": {"gain", "recorded_unix_s", "axis", "carrier_ppm", "carrier_hz", "scans"},
    "jeol": {"gain", "recorded_unix_s", "carrier_ppm", "carrier_hz", "axis", "dead_time_s",
             "scans", "time_origin_s"},
    "magritek": {"gain", "recorded_unix_s", "axis", "carrier_ppm", "carrier_hz", "scans"},
    "jcampdx": {"gain", "scans", "carrier_ppm", "carrier_hz", "axis", "time_origin_s"},
    "nmrpipe": {"time_origin_s", "carrier_ppm", "carrier_hz"},
}  # fmt: skip


def write_sound(folder, kind):
    """Write an undamaged data set; return its path, its file of points, of parameters."""
    writer, delay, points, parameters, _ = KINDS[kind]
    fids = lines_fids(rows=ROWS, points=POINTS, delay_points=delay)
    path = writer(folder / ("set.jdf" if kind == "jeol" else "set"), fids)
    if kind == "nmrpipe":
        path.with_suffix(".axis").write_text("# delay, s\n0.1\n0.2\n0.4\n")
    return path, path / points if points else path, path / parameters if parameters else path


def damaged(folder, number):
    """Write damaged data set `number` (0 to COUNT - 1); return (path, kind, what was done)."""
    rng = np.random.default_rng([SEED, number])
    kind = list(KINDS)[number % len(KINDS)]
    path, points, parameters = write_sound(folder, kind)
    turn = number // len(KINDS)
    if turn < 18:  # every power of two from 1 byte on
        what = _cut(points, 2**turn)
    elif turn < 34:
        what = _flip(points, parameters, KINDS[kind][4], kind, rng)
    else:
        damages = [*COMMON, *OWN.get(kind, [])]
        damage = damages[(turn - 34) % len(damages)]
        what = damage(path, points, parameters, rng)
    return path, kind, what


def _cut(points, size):
    data = points.read_bytes()
    if size >= len(data):
        points.write_bytes(data + bytes(size % 1000 + 1))
        return f"{size % 1000 + 1} bytes more"
    points.write_bytes(data[:size])
    return f"cut at {size}"


def _flip(points, parameters, header, kind, rng):
    file = parameters if header == 0 or (points != parameters and rng.random() < 0.5) else points
    data = bytearray(file.read_bytes())
    place = int(rng.integers(min(header, len(data)) if file == points and header else len(data)))
    bit = int(rng.integers(8))
    data[place] ^= 1 << bit
    file.write_bytes(bytes(data))
    return f"bit {bit} of byte {place} of {file.name} flipped"


def _empty(path, points, parameters, rng):
    points.write_bytes(b"")
    return "points empty"


def _missing(path, points, parameters, rng):
    parameters.unlink()
    return "parameters missing"


def _folder_for_a_file(path, points, parameters, rng):
    points.unlink()
    points.mkdir()
    return "a folder in place of the points"


def _fifo(path, points, parameters, rng):
    points.unlink()
    os.mkfifo(points)
    return "a pipe that never answers in place of the points"


def _device(path, points, parameters, rng):
    parameters.unlink()
    parameters.symlink_to("/dev/zero")
    return "a link to a device without end"


def _loop(path, points, parameters, rng):
    parameters.unlink()
    parameters.symlink_to(parameters.name)
    return "a link to itself"


def _outside(path, points, parameters, rng):
    outside = path.parent / "outside"
    shutil.move(points, outside)
    points.symlink_to(outside)
    return "points linked from outside"


def _noise(path, points, parameters, rng):
    points.write_bytes(rng.bytes(20_000))
    return "random bytes for points"


def _parameters_of_noise(path, points, parameters, rng):
    parameters.write_bytes(rng.bytes(5_000))
    return "random bytes for parameters"


COMMON = [_empty, _missing, _folder_for_a_file, _fifo, _device, _loop, _outside, _noise,
          _parameters_of_noise]  # fmt: skip


def _text(old, new):
    def damage(path, points, parameters, rng):
        text = parameters.read_text()
        assert old in text, old
        parameters.write_text(text.replace(old, new, 1))
        return f"{old!r} became {new!r}"

    return damage


def _nan(offset, code):
    def damage(path, points, parameters, rng):
        data = bytearray(points.read_bytes())
        nan = np.array([np.nan], code).tobytes()
        data[offset : offset + len(nan)] = nan
        points.write_bytes(bytes(data))
        return "NaN"

    return damage


def _list(text):
    def damage(path, points, parameters, rng):
        (path / "vdlist").write_text(text)
        return f"list {text[:20]!r}"

    return damage


OWN = {
    "bruker": [
        _text("##$SW_h= 4000.0", "##$SW_h= 8000.0"), _text("##$TD= 512", "##$TD= 1024"),
        _text("##$BYTORDA= 0", "##$BYTORDA= 1"), _list("1\n2\n"), _list("1\nnan\n3\n"),
        _text("##$NUC1= <1H>", "##$NUC1= <../../x>"), _list("1e999\n1\n2\n"),
    ],
    "varian": [
        _text("sw 1 1", "sw 2 1"), _text("1 4000 ", "1 8000 "), _text('"d2"', '"d7"'),
        _text("3 0.1 0.2 0.4", "2 0.1 0.2"), _text("nt 7", "nt seven"), _text("1 512", "1 510"),
    ],
    "jeol": [_nan(4000, "<f8"), _nan(336, ">f8"), _nan(1064, ">f8")],
    "magritek": [
        _nan(400, "<f4"), _text("nrPnts = 256", "nrPnts = 255"),
        _text("dwellTime = 250", "dwellTime = 125"), _text("minDelay = 100", "minDelay = 9000"),
        _text("nrSteps = 3", "nrSteps = 4"), _text("b1Freq = 43.45d", "b1Freq = 999.99"),
    ],
    "jcampdx": [
        _text("##BLOCKS= 3", "##BLOCKS= 4"), _text("256, 256, 256", "256, 128, 256"),
        _text("(X++(R..R))", "(XY..XY)"), _text("##$SW_h= 4000.0", "##$SW_h= 2000.0"),
    ],
    "nmrpipe": [_nan(2060, "<f4"), _nan(4 * 100, "<f4"), _nan(4 * 119, "<f4")],
}  # fmt: skip
