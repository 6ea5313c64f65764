"""The one quantum engine: operators, permutation symmetry in Liouville space, propagation."""
