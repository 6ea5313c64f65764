"""Closed forms: ideal exchange of a star, the re-energised charging map."""
