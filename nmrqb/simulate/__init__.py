"""Exact simulation of pulse sequences on a star register, with T1 and T2 on every spin."""
