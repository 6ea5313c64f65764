"""Everything that touches the disk: TOML, vendor data, results, shipped files."""
