"""Measure the battery models beside QuTiP: rewrites benchmarks/models.md and models.png.

Ratios are taken in one run on one machine.  Timings are never tests.
"""

import dataclasses
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import qutip
import scipy

mpl.use("Agg")
import matplotlib.pyplot as plt

from nmrqb import DephasedStar
from nmrqb.models.choice import factorised_star, solver_of

PAGE = Path(__file__).with_name("models.md")
FIGURE = Path(__file__).with_name("models.png")
OPTIONS = {"atol": 1e-8, "rtol": 1e-6, "nsteps": 1_000_000}
RATES = np.geomspace(0.1, 10.0, 60)
TIMES = np.linspace(0.0, 20.0, 101)


def timed(action):
    """Return the wall-clock seconds of one call, and its value; nothing is kept from before."""
    solver_of.cache_clear()
    factorised_star.cache_clear()
    start = time.perf_counter()
    value = action()
    return time.perf_counter() - start, value


def best(action, repeats=3):
    """Return the shortest of some times."""
    return min(timed(action)[0] for _ in range(repeats))


def sweep(star, rates=RATES):
    """Energy curves of one star at many dephasing rates."""
    return np.array([dataclasses.replace(star, dephasing=g).energy(TIMES) for g in rates])


def qutip_curve(star, times=TIMES):
    """The same curve by mesolve on the operators that the star hands over."""
    hamiltonian, collapse, start = star.to_qutip()
    dims = hamiltonian.dims[0]
    number = [
        qutip.tensor([qutip.num(d) if k == place else qutip.qeye(d) for k, d in enumerate(dims)])
        for place in range(1, len(dims))
    ]
    solved = qutip.mesolve(
        hamiltonian, start, times, collapse, e_ops=[sum(number)], options=OPTIONS
    )
    return np.asarray(solved.expect[0])


def qutip_piqs(star, times=TIMES):
    """A star of N batteries with local emission by PIQS' Dicke space times the charger."""
    from qutip.piqs.piqs import Dicke, jspin

    n = star.batteries
    loss = 1.0 / star.battery_t1
    local = Dicke(N=n, emission=loss).liouvillian()
    jx, jy, jz = (jspin(n, axis) for axis in "xyz")
    down = jx - 1j * jy
    low = qutip.destroy(2)
    size = jz.shape[0]
    one = qutip.qeye(size)
    ladder = qutip.Qobj(down.full())
    hamiltonian = star.collective_coupling * (
        qutip.tensor(low.dag(), ladder) + qutip.tensor(low, ladder.dag())
    ) + star.drive * qutip.tensor(low + low.dag(), one)
    charger = np.sqrt(star.dephasing) * qutip.tensor(qutip.num(2), one)
    total = qutip.liouvillian(hamiltonian, [charger])
    # the local part acts on the battery alone: 1 (x) L on the reordered operator space
    start = qutip.tensor(qutip.fock_dm(2, 0), qutip.Qobj(_piqs_ground(n, size)))
    number = qutip.tensor(qutip.qeye(2), qutip.Qobj(jz.full())) + n / 2
    whole = total + _on_battery(local, size)
    solved = qutip.mesolve(whole, start, times, [], e_ops=[number], options=OPTIONS)
    return np.asarray(solved.expect[0])


def _piqs_ground(n, size):
    rho = np.zeros((size, size))
    rho[n, n] = 1.0  # PIQS lists the J = N/2 ladder first, m falling
    return rho


def _on_battery(local, size):
    """Return a battery superoperator (column-stacked) on charger (x) battery."""
    data = local.full().reshape(size, size, size, size)  # [col', row', col, row]
    one = np.eye(2)
    whole = np.einsum("ij,kl,dbca->idkbjcla", one, one, data)
    whole = whole.reshape((4 * size * size,) * 2)
    dims = [[[2, size], [2, size]]] * 2
    return qutip.Qobj(whole, dims=dims).to("CSR")


def against_qutip(lines):
    """Sweeps of 60 rates in the symmetric space, and local noise in the full one."""
    lines += [
        "",
        "## A sweep of 60 dephasing rates, 101 times to 20/g, F/g = 0.5",
        "",
        (
            "QuTiP: `mesolve` on charger and Dicke states, its leanest formulation (atol 1e-8, "
            "rtol 1e-6). `off resonance` is our general engine, exact to rounding. For both, 3 of "
            "the 60 rates are timed and scaled."
        ),
        "",
        "| N | nmrqb, s | nmrqb off resonance, s | QuTiP, s | ratio | off resonance | differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    rows, few = [], RATES[[5, 30, 55]]
    for n in (1, 2, 4, 8, 16, 32):
        star = DephasedStar(batteries=n)
        ours = best(lambda s=star: sweep(s), 2)
        off = dataclasses.replace(star, drive_detuning=0.1)
        general = timed(lambda s=off: sweep(s, few))[0] * 20.0
        seconds, curves = timed(
            lambda s=star: [qutip_curve(dataclasses.replace(s, dephasing=g)) for g in few]
        )
        theirs = 20.0 * seconds
        error = np.abs(np.array(curves) - sweep(star, few)).max()
        rows.append((n, ours, theirs))
        lines.append(
            f"| {n} | {ours:.3g} | {general:.3g} | {theirs:.3g} | {theirs / ours:.3g} | "
            f"{theirs / general:.3g} | {error:.1e} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        "## T1 and T2 on every spin, 11 times to 2/g",
        "",
        (
            "QuTiP: `mesolve` in the full space of 2^(N + 1) states, and PIQS (Dicke space with "
            "local emission) times the charger."
        ),
        "",
        "| N | nmrqb, s | QuTiP full space, s | ratio | PIQS, s | ratio | differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    times = np.linspace(0.0, 2.0, 11)
    local_rows = []
    for n in (2, 4, 6, 8):
        star = DephasedStar(batteries=n, battery_t1=5.0)
        ours, mine = timed(lambda s=star: s.energy(times))
        ours = min(ours, best(lambda s=star: s.energy(times)))
        full, theirs = timed(lambda s=star: qutip_curve(s, times))
        error = np.abs(theirs - mine).max()
        piqs = piqs_ratio = ""
        if n <= 6:
            seconds, other = timed(lambda s=star: qutip_piqs(s, times))
            assert np.abs(other - mine).max() < 1e-4
            piqs, piqs_ratio = f"{seconds:.3g}", f"{seconds / ours:.3g}"
        local_rows.append((n, ours, full))
        lines.append(
            f"| {n} | {ours:.3g} | {full:.3g} | {full / ours:.3g} | {piqs} | {piqs_ratio} | "
            f"{error:.1e} |"
        )
        print(lines[-1], flush=True)
    return rows, local_rows


def limits(lines):
    """The times that the project promises."""
    lines += ["", "## Promised times", "", "| what | limit, s | s |", "|---|---|---|"]

    def row(what, limit, action, repeats=5):
        lines.append(f"| {what} | {limit} | {best(action, repeats):.3g} |")
        print(lines[-1], flush=True)

    times = np.linspace(0.0, 100.0, 200)
    for drive in (0.5, 10.0):
        star = DephasedStar(batteries=1000, drive=drive)

        def steady(s=star):
            state = s.steady_state()
            return state.energy, state.ergotropy, state.populations

        row(f"N = 1000, F/g = {drive:g}: steady state, energy, ergotropy, populations", 1, steady)
        row(
            f"N = 1000, F/g = {drive:g}: energy at 200 times",
            3,
            lambda s=star: s.energy(times),
        )
        row(
            f"N = 1000, F/g = {drive:g}: energy and ergotropy at 200 times",
            "",
            lambda s=star: s.charging_curve(times),
            1,
        )
        lines.append(
            f"| (its energy error is at most {solver_of(star).solution.error:.1e} omega) |||"
        )

    def figure_six():
        for n in range(1, 11):
            for drive in (10.0, 0.5, 0.2):
                star = DephasedStar(batteries=n, drive=drive)
                lowest = 1.0 / star.optimal_dephasing("slowest-mode").charging_time.value
                for rate in np.geomspace(0.2, 20.0, 60) * lowest:
                    one = dataclasses.replace(star, dephasing=float(rate))
                    for definition in ("threshold", "fit", "slowest-mode"):
                        try:
                            one.charging_time(definition)
                        except ValueError:  # a curve that no damped cosine fits
                            assert definition == "fit"

    row("Fig. 6: N = 1..10, 60 rates, three drives, three charging times", 60, figure_six, 1)
    relaxing = DephasedStar(
        batteries=36, coupling=np.pi * 7.0, normalisation="per-battery", drive=0.0,
        dephasing=0.0, battery_t1=3.3, battery_t2=3.0, charger_t1=115.4, charger_t2=10.0,
        temperature=50.0, start="thermal",
    )  # fmt: skip
    row("N = 36, T1 and T2 on every spin, 0.1 s of J = 7 Hz", 1, lambda: relaxing.energy([0.1]))
    driven = dataclasses.replace(relaxing, drive=20.0, dephasing=20.0, start="empty")
    row("the same, driven and dephased", "", lambda: driven.energy([0.1]), 1)


def peak_memory():
    """Return the peak resident GiB of a fresh process that does the N = 1000 jobs."""
    code = (
        "import numpy as np, resource; from nmrqb import DephasedStar; "
        "s = DephasedStar(batteries=1000, drive=10.0); s.steady_state().ergotropy; "
        "s.energy(np.linspace(0, 100, 200)); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return int(run.stdout) / 2**20


def cost(lines):
    """Cost against N of the exact solution and of the relaxing engine."""
    lines += ["", "## Cost against N", "", "| engine | N | s |", "|---|---|---|"]
    exact, relaxing = [], []
    for n in (1, 3, 10, 30, 100, 300, 1000, 3000):
        star = DephasedStar(batteries=n)
        seconds = best(lambda s=star: s.energy(np.linspace(0.0, 100.0, 200)), 2)
        exact.append((n, seconds))
        lines.append(f"| resonant, energy at 200 times | {n} | {seconds:.3g} |")
    for n in (1, 2, 4, 8, 12, 18, 24, 36):
        star = DephasedStar(batteries=n, battery_t1=5.0)
        seconds = timed(lambda s=star: s.energy([1.0]))[0]
        relaxing.append((n, seconds))
        lines.append(f"| T1 on every spin, driven, to 1/g | {n} | {seconds:.3g} |")
        print(lines[-1], flush=True)
    return exact, relaxing


def draw(rows, local_rows, exact, relaxing):
    """Save the figure."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for data, label, style in (
        (rows, "sweep of 60 rates", "o"),
        (local_rows, "T1 on every spin", "s"),
    ):
        n, ours, theirs = np.array(data).T
        left.loglog(n, ours, f"C0-{style}", label=f"nmrqb, {label}")
        left.loglog(n, theirs, f"C3--{style}", label=f"QuTiP, {label}")
    right.loglog(*np.array(exact).T, "C0-o", label="resonant, energy at 200 times")
    right.loglog(*np.array(relaxing).T, "C2-s", label="T1 on every spin, to 1/g")
    for axis in (left, right):
        axis.set(xlabel="batteries N", ylabel="seconds")
        axis.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        axis.grid(alpha=0.3)
    figure.savefig(FIGURE, dpi=110)


def main():
    """Measure and write the page."""
    lines = [
        "# Benchmarks of the battery models",
        "",
        (
            f"Made by `make bench` on {platform.machine()}, Python {platform.python_version()}, "
            f"numpy {np.__version__}, scipy {scipy.__version__}, qutip {qutip.__version__}; "
            f"one thread, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
        ),
        "",
        "![cost against N](models.png)",
    ]
    limits(lines)
    lines.append(f"| N = 1000, F/g = 10, both: peak memory | 1 GiB | {peak_memory():.2f} GiB |")
    rows, local_rows = against_qutip(lines)
    exact, relaxing = cost(lines)
    draw(rows, local_rows, exact, relaxing)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines += ["", f"Peak memory of this whole run: {peak:.2f} GiB."]
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
