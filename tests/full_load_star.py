"""A star with a load in the full space of all its spins, from QuTiP's operators alone."""

import itertools
import math

import numpy as np
import qutip
from scipy.sparse.linalg import expm_multiply

from nmrqb.sequence.events import (
    Crusher,
    Delay,
    Exchange,
    LoadExchange,
    Loop,
    Pulse,
    Segment,
    SimultaneousPulses,
)


class FullLoadStar:
    """Centre, N satellites, load: density matrices, thermal Lindbladian, pulses that last.

    Polarisations are absolute; `polarisation` is the chargers' equilibrium.
    """

    def __init__(self, register, polarisation):
        load = register.load
        self.species = [register.center, *[register.satellite] * register.satellites, load]
        self.count = len(self.species)
        unit = polarisation / abs(register.charger.nucleus.relative_gamma)
        self.equilibrium = [unit * s.nucleus.relative_gamma for s in self.species]
        self.x, self.y, self.z = (
            [self.on(k, single / 2) for k in range(self.count)]
            for single in (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz())
        )
        x, y, z = self.x, self.y, self.z
        charging, loading = (
            2 * math.pi * j for j in (register.coupling_hz.value, load.coupling_hz.value)
        )
        chargers = range(1, self.count - 1)
        self.hamiltonians = {
            "free": loading * z[0] * z[-1] + charging * sum(z[0] * z[k] for k in chargers),
            "exchange": charging * sum(x[0] * x[k] + y[0] * y[k] for k in chargers),
            "zero": loading * (x[0] * x[-1] + y[0] * y[-1]),
            "double": loading * (x[0] * x[-1] - y[0] * y[-1]),
        }
        self.losses = [c for k in range(self.count) for c in self.losses_of(k)]
        self.generators = {}
        levels = np.array(list(itertools.product((0.5, -0.5), repeat=self.count)))
        orders = np.stack([levels[:, 0], levels[:, 1:-1].sum(axis=1), levels[:, -1]], axis=1)
        self.survives = (orders[:, None, :] == orders[None, :, :]).all(axis=2)
        single = [(qutip.qeye(2) + p * qutip.sigmaz()) / 2 for p in self.equilibrium]
        self.thermal = qutip.tensor(single).full()

    def on(self, spin, operator):
        parts = [qutip.qeye(2)] * self.count
        parts[spin] = operator
        return qutip.tensor(parts)

    def losses_of(self, spin):
        species, p = self.species[spin], self.equilibrium[spin]
        t1, t2 = species.t1_s.value, species.t2_s.value
        pure = max(0.0, 1 / t2 - 1 / (2 * t1))
        return [
            math.sqrt((1 + p) / (2 * t1)) * self.on(spin, qutip.sigmap()),
            math.sqrt((1 - p) / (2 * t1)) * self.on(spin, qutip.sigmam()),
            math.sqrt(pure / 2) * self.on(spin, qutip.sigmaz()),
        ]

    def propagate(self, key, hamiltonian, rho, seconds, *, relaxes=True):
        if not seconds:
            return rho
        if key not in self.generators:
            losses = self.losses if relaxes else []
            self.generators[key] = qutip.liouvillian(hamiltonian, losses).to("CSR").data.as_scipy()
        vector = rho.reshape(-1, order="F")
        return expm_multiply(self.generators[key] * seconds, vector).reshape(rho.shape, order="F")

    def pulsed(self, pulses, rho, tick_s):
        """RF, couplings and relaxation together; pulses of one length."""
        (ticks,) = {p.ticks for p in pulses}
        hamiltonian = self.hamiltonians["free"]
        for p in pulses:
            for k, species in enumerate(self.species):
                if species.isotope == p.nucleus:
                    axis = math.cos(p.phase_rad) * self.x[k] + math.sin(p.phase_rad) * self.y[k]
                    hamiltonian = hamiltonian + p.angle_rad / (ticks * tick_s) * axis
        return self.propagate(("pulse", pulses), hamiltonian, rho, ticks * tick_s)

    def apply(self, events, rho, tick_s):
        for event in events:
            seconds = event.ticks * tick_s
            match event:
                case Delay():
                    rho = self.propagate("free", self.hamiltonians["free"], rho, seconds)
                case Pulse():
                    rho = self.pulsed((event,), rho, tick_s)
                case SimultaneousPulses():
                    rho = self.pulsed(event.pulses, rho, tick_s)
                case Exchange() | LoadExchange():
                    kind = event.quanta if isinstance(event, LoadExchange) else "exchange"
                    rho = self.propagate(
                        (kind, event.relaxes),
                        self.hamiltonians[kind],
                        rho,
                        seconds,
                        relaxes=event.relaxes,
                    )
                case Crusher():
                    rho = np.where(self.survives, rho, 0.0)
                    rho = self.propagate("free", self.hamiltonians["free"], rho, seconds)
                case Loop():
                    for _ in range(event.count):
                        rho = self.apply(event.body, rho, tick_s)
                case Segment():
                    rho = self.apply(event.body, rho, tick_s)
                case _:
                    raise AssertionError(event)
        return rho

    def levels(self, rho):
        """Return <sigma_z> of centre, one satellite and load."""
        return np.array([2 * np.trace(self.z[k].full() @ rho).real for k in (0, 1, self.count - 1)])
