"""Data sets of every vendor, written from the published formats: what the reader tests read.

Every function writes the FIDs it is given (complex, rising frequency towards higher ppm) the way
the vendor's console stores them, so that the reader must give them back.
"""

import struct

import numpy as np

WIDTH_HZ, POINTS = 4000.0, 512
CARRIER_PPM = 5.0
DELAYS_S = np.array([0.1, 0.2, 0.4, 0.8, 1.6, 3.2])


def lines_fids(rows=1, points=POINTS, width_hz=WIDTH_HZ, delay_points=0.0, dead_s=0.0):
    """Lines at -45 %, 0.5 % and +45 % of the width, phase zero at the start of the precession.

    Row k has the amplitude of an inversion recovery.  Values are whole numbers, as receivers give.
    """
    t = (np.arange(points) - delay_points) / width_hz + dead_s
    offsets = np.array([-0.45, 0.005, 0.45]) * width_hz
    line = np.where(t >= 0.0, (np.exp((2j * np.pi * offsets[:, None] - 12.0) * t)).sum(0), 0.0)
    amplitude = 1.0 - 1.9 * np.exp(-DELAYS_S[:rows] / 0.9) if rows > 1 else np.ones(1)
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(rows, points)) + 1j * rng.normal(size=(rows, points))
    fids = 2.0e5 * amplitude[:, None] * line + 20.0 * noise
    return np.rint(fids.real) + 1j * np.rint(fids.imag)


def write_bruker(folder, fids, *, order="<", kind="i4", grpdly=67.98, extra=(), program=None,
                 lists=(), nucleus="1H", mhz=400.0, scans=8):  # fmt: skip
    """TopSpin: ``ser`` in rows of whole kibibytes (or ``fid``), parameters as JCAMP-DX."""
    rows, points = fids.shape
    folder.mkdir(parents=True)
    row_bytes = -(-points * 2 * int(kind[1]) // 1024) * 1024
    padded = np.zeros((rows, row_bytes // int(kind[1])), dtype=order + kind)
    padded[:, : 2 * points] = fids.view(float)
    if rows == 1:
        (folder / "fid").write_bytes(padded[:, : 2 * points].tobytes())
    else:
        (folder / "ser").write_bytes(padded.tobytes())
        (folder / "acqu2s").write_text(parameters({"TD": rows, "FnMODE": 1}))
    carrier = mhz * (1 + CARRIER_PPM * 1e-6)
    table = {
        "BF1": mhz, "BYTORDA": int(order == ">"), "DATE": 1_600_000_000, "DECIM": 2500,
        "DIGMOD": 1, "DSPFVS": 20, "DTYPA": {"i4": 0, "f8": 2}[kind], "GRPDLY": grpdly, "NC": 0,
        "NS": scans, "NUC1": f"<{nucleus}>", "O1": (carrier - mhz) * 1e6, "PULPROG": "<t1ir>",
        "RG": 64, "SFO1": repr(carrier), "SW": repr(WIDTH_HZ / carrier), "SW_h": WIDTH_HZ,
        "TD": 2 * points, "AQ_mod": 3, "BF2": mhz, "NUC2": "<off>",
    } | dict(extra)  # fmt: skip
    (folder / "acqus").write_text(parameters(table))
    (folder / "pdata/1").mkdir(parents=True)
    (folder / "pdata/1/procs").write_text(parameters({"SF": mhz}))
    (folder / "pulseprogram").write_text(program or "1 ze\n2 d1\nvd\ngo=2\nwr #0 if #0 ivd\n")
    for name, text in lists or ([("vdlist", vdlist(rows))] if rows > 1 else []):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def vdlist(rows):
    return "".join(f"{v:g}s\n" for v in DELAYS_S[:rows])


def parameters(table):
    lines = ["##TITLE= Parameter file, TopSpin", "##JCAMPDX= 5.0"]
    return "\n".join([*lines, *(f"##${k}= {v}" for k, v in sorted(table.items())), "##END=", ""])


def procpar_entry(name, subtype, basic, values):
    shown = " ".join(f"{v:.12g}" for v in values) if basic == 1 else f'"{values[0]}"'
    return f"{name} {subtype} {basic} 1e9 -1e9 0 2 1 0 1 64\n{len(values)} {shown} \n0 \n"


def write_varian(folder, fids, *, array="d2", arrays=(), kind=">i4", scans=4, extra=(),
                 mhz=161.9):  # fmt: skip
    """VnmrJ: ``fid`` with its 32 and 28 byte headers, turned the other way round; ``procpar``."""
    rows, points = fids.shape
    folder.mkdir(parents=True)
    numbers = np.conj(fids).copy().view(float).astype(kind)
    size = numbers.dtype.itemsize
    status = 0x1 | (0x8 if kind[1] == "f" else 0x4 if size == 4 else 0) | 0x40
    block = 2 * points * size + 28
    parts = [struct.pack(">6i2hi", rows, 1, 2 * points, size, block - 28, block, 0, status, 1)]
    for k, row in enumerate(numbers):
        parts += [struct.pack(">4hi4f", 0, status, k + 1, 0, scans, 0, 0, 0, 0), row.tobytes()]
    (folder / "fid").write_bytes(b"".join(parts))
    table = {
        "np": (7, 1, [2 * points]), "sw": (1, 1, [WIDTH_HZ]), "at": (1, 1, [points / WIDTH_HZ]),
        "sfrq": (1, 1, [mhz]), "tn": (2, 2, ["P31"]), "dn": (2, 2, ["H1"]),
        "dfrq": (5, 1, [mhz / 0.4048]), "gain": (1, 1, [40]), "nt": (7, 1, [scans]),
        "d1": (3, 1, [2.0]), "array": (2, 2, [array if rows > 1 else ""]),
        "arraydim": (7, 1, [rows]), "rfp": (1, 1, [0.0]),
        "rfl": (1, 1, [WIDTH_HZ / 2 - CARRIER_PPM * mhz]),
        "time_run": (2, 2, ["20200102T030405"]),
    }  # fmt: skip
    if rows > 1 and not arrays:
        table["d2"] = (3, 1, list(DELAYS_S[:rows]))
    table |= dict(arrays) | dict(extra)
    (folder / "procpar").write_text(
        "".join(procpar_entry(name, *value) for name, value in table.items())
    )
    return folder


def jeol_record(order, name, value, scale=0):
    if isinstance(value, str):
        body, kind = struct.pack("16s", value.encode()), 0
    else:
        body, kind = struct.pack(order + "d8x", value), 2
    return (
        struct.pack(order + "4sh10s", b"", scale, b"")
        + body
        + struct.pack(order + "i28s", kind, name.encode())
    )


def write_jeol(path, fids, *, order="<", f32=False, listed=False, extra=(), mhz=399.78):
    """Delta: 1360 bytes of header (big-endian), parameter records, points; planes in tiles."""
    rows, points = fids.shape
    edge = 32
    y = 1 if rows == 1 else -(-rows // edge) * edge
    table = {
        "x_sweep": WIDTH_HZ, "x_freq": mhz * 1e6, "x_offset": CARRIER_PPM, "x_domain": "Proton",
        "scans": 8.0, "total_scans": 8.0, "recvr_gain": 50.0, "orders": "2 54 73",
        "factors": "8 2", "filter_factor": 16.0, "digital_filter": "TRUE", "acq_delay": 2e-5,
        "field_strength": 9.389766, "actual_start_time": 1.0e9,
    } | dict(extra)  # fmt: skip
    records = b"".join(jeol_record(order, k, v) for k, v in table.items())
    section = struct.pack(order + "4I", 64, 0, len(table) - 1, 64 * len(table)) + records
    listing = DELAYS_S[:rows].astype(order + "f8").tobytes() if listed else b""
    planes = np.zeros((2, y, points))
    planes[0, :rows], planes[1, :rows] = fids.real, -fids.imag
    if rows > 1:
        tiles = planes.reshape(2, y // edge, edge, points // edge, edge).transpose(0, 1, 3, 2, 4)
        planes = np.ascontiguousarray(tiles)
    data = planes.astype(order + ("f4" if f32 else "f8")).tobytes()
    list_start = 1360 + len(section)
    data_start = -(-(list_start + len(listing)) // 64) * 64

    def eight(code, values, fill=0):
        return struct.pack(">8" + code, *values, *[fill] * (8 - len(values)))

    header = bytearray(1360)

    def put(offset, data):
        header[offset : offset + len(data)] = data

    is_plane = rows > 1
    put(0, b"JEOL.NMR")
    put(8, struct.pack(">bBHB", order == "<", 1, 2, 1 + is_plane))
    put(13, bytes([0x80 | 0x40 * is_plane, (0x40 if f32 else 0) | (2 if is_plane else 1), 0]))
    put(24, eight("b", [3, 1] if is_plane else [3]))
    put(32, bytes([1, 28, 1, 28] if is_plane else [1, 28]))
    put(172, bytes([0x01 if listed else 0x00, 0, 0, 0]))
    put(176, eight("I", [points, y], 1))
    put(208, eight("I", [0, 0]))
    put(240, eight("I", [points - 1, rows - 1]))
    put(272, eight("d", [0.0, DELAYS_S[0]]))
    put(336, eight("d", [(points - 1) / WIDTH_HZ, DELAYS_S[min(rows, 6) - 1]]))
    put(1064, eight("d", [mhz]))
    put(1212, struct.pack(">II", 1360, len(section)))
    put(1220, eight("I", [list_start, list_start]))
    put(1252, eight("I", [0, len(listing)]))
    put(1284, struct.pack(">IIIII", data_start, 0, len(data), 0, 0))
    put(1320, struct.pack(">II", 0, data_start + len(data)))
    body = bytes(header) + section + listing
    path.write_bytes(body + bytes(data_start - len(body)) + data)
    return path


def write_magritek(folder, fids, *, kind=501, extra=(), drop=(), mhz=43.45):
    """Spinsolve: 32 bytes of header, float32 points turned the other way round; ``acqu.par``."""
    rows, points = fids.shape
    folder.mkdir(parents=True)
    head = struct.pack("<4s4s4s5i", b"SORP", b"ATAD", b"1.1V", kind, points, rows, 1, 1)
    body = np.conj(fids).copy().view(float).astype("<f4").tobytes()
    if kind == 504:
        body = (np.arange(points) * 1e3 / WIDTH_HZ).astype("<f4").tobytes() + body
    (folder / ("data.1d" if rows == 1 else "data.2d")).write_bytes(head + body)
    table = {
        "b1Freq": f"{mhz}d", "b1Freq1H": mhz, "bandwidth": WIDTH_HZ / 1e3,
        "dwellTime": 1e6 / WIDTH_HZ, "experiment": '"T1"', "expName": '"200102-030405 T1 (x)"',
        "lowestFrequency": CARRIER_PPM * mhz - WIDTH_HZ / 2, "nrPnts": points, "nrScans": 4,
        "nucleus": '"1H"', "rxGain": 31, "nrSteps": rows, "minDelay": 100.0, "maxDelay": 3200.0,
        "delaySpacing": '"log"',
    } | dict(extra)  # fmt: skip
    lines = [f"{k} = {v}" for k, v in table.items() if k not in drop]
    (folder / "acqu.par").write_text("\n".join(lines) + "\n")
    return folder


def write_nmrpipe(path, fids, *, order="<", delay=0.0, extra=(), mhz=400.0, label=b"1H"):
    """NMRPipe: 512 numbers of header, each row as real points, then imaginary ones."""
    rows, points = fids.shape
    header = np.zeros(512, dtype=order + "f4")
    header[[1, 2]] = float.fromhex("-0x1.dddddep+94"), 2.345
    table = {9: 1 if rows == 1 else 2, 40: delay, 41: -1 if delay else 0, 55: 1, 66: CARRIER_PPM,
             99: points, 100: WIDTH_HZ, 119: mhz, 219: rows, 386: points}  # fmt: skip
    table[101] = CARRIER_PPM * mhz - WIDTH_HZ * (points / 2 - 1) / points
    table |= dict(extra)
    for place, value in table.items():
        header[place] = value
    raw = bytearray(header.tobytes())
    raw[64 : 64 + len(label)] = label
    planes = np.stack([fids.real, fids.imag], axis=1).astype(order + "f4")
    path.write_bytes(bytes(raw) + planes.tobytes())
    return path


def write_jcampdx(path, fids, *, form="affn", extra=(), mhz=400.0, delay=None):
    """JCAMP-DX 5.01: one NTUPLES block for each FID, X++(R..R) and X++(I..I)."""
    blocks = []
    for k, fid in enumerate(fids):
        real, imag = fid.real.astype(int), fid.imag.astype(int)
        records = {
            "TITLE": f"row {k}", "JCAMP-DX": "5.01", "DATA TYPE": "NMR FID",
            "DATA CLASS": "NTUPLES", "ORIGIN": "Bruker BioSpin GmbH", "OWNER": "nobody",
            ".OBSERVE FREQUENCY": mhz * (1 + CARRIER_PPM * 1e-6), ".OBSERVE NUCLEUS": "^1H",
            ".AVERAGES": 8, "$BF1": mhz, "$SW_h": WIDTH_HZ,
            "NTUPLES": "NMR FID", "VAR_NAME": "TIME, FID/REAL, FID/IMAG, PAGE NUMBER",
            "SYMBOL": "X, R, I, N", "VAR_DIM": f"{len(fid)}, {len(fid)}, {len(fid)}, 2",
            "FIRST": f"0, {real[0]}, {imag[0]}, 1",
            "LAST": f"{(len(fid) - 1) / WIDTH_HZ!r}, {real[-1]}, {imag[-1]}, 2",
            "MIN": f"0, {real.min()}, {imag.min()}, 1",
            "MAX": f"{(len(fid) - 1) / WIDTH_HZ!r}, {real.max()}, {imag.max()}, 2",
            "FACTOR": f"{1 / WIDTH_HZ!r}, 1, 1, 1",
        }  # fmt: skip
        if delay is not None:
            records["$GRPDLY"] = delay
        if len(fids) > 1:
            records["$AXISVALUE"], records["$AXISUNIT"] = repr(float(DELAYS_S[k])), "s"
        records |= dict(extra)
        text = "".join(f"##{key}= {value}\n" for key, value in records.items())
        for page, symbol, values in ((1, "R", real), (2, "I", imag)):
            text += f"##PAGE= N={page}\n##DATA TABLE= (X++({symbol}..{symbol})), XYDATA\n"
            text += "\n".join(table_lines(values, form)) + "\n"
        blocks.append(text + "##END NTUPLES= NMR FID\n##END=\n")
    if len(blocks) > 1:
        head = f"##TITLE= all\n##JCAMP-DX= 5.01\n##DATA TYPE= LINK\n##BLOCKS= {len(blocks)}\n"
        blocks = [head, *blocks, "##END=\n"]
    path.write_text("".join(blocks))
    return path


def table_lines(values, form, per_line=8):
    """Lines of a table: plain numbers, or squeezed first ordinates with differences and checks."""
    if form == "affn":
        return [
            f"{k} " + " ".join(str(v) for v in values[k : k + per_line])
            for k in range(0, len(values), per_line)
        ]
    lines, k = [], 0
    while k < len(values):
        chunk = values[k : k + per_line]
        squeezed = ("@ABCDEFGHI" if chunk[0] >= 0 else "@abcdefghi")[int(str(abs(chunk[0]))[0])]
        text = f"{k}{squeezed}{str(abs(chunk[0]))[1:]}"
        for step in np.diff(chunk):
            digits = str(abs(step))
            letter = ("%JKLMNOPQR" if step >= 0 else "%jklmnopqr")[int(digits[0])]
            text += letter + digits[1:]
        lines.append(text)
        k += len(chunk) if len(chunk) == 1 else len(chunk) - 1
        if k == len(values) - 1:  # only the check of the last ordinate is left
            letter = ("@ABCDEFGHI" if values[k] >= 0 else "@abcdefghi")[int(str(abs(values[k]))[0])]
            lines.append(f"{k}{letter}{str(abs(values[k]))[1:]}")
            break
    return lines
