"""Figures and numbers of the papers from entries that are data (``nmrqb reproduce``)."""
