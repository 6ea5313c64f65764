"""``python -m nmrqb``."""

from nmrqb.cli.main import main

main()
