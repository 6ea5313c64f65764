"""Measured and simulated signals: one Series of free induction decays, whoever made them."""
