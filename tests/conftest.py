"""What the tests share: measured data, a command line without a terminal, edited protocols."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from nmrqb.cli.main import main

# on a server the same examples every time: a landing does not hang on luck; at a desk new ones
settings.register_profile("server", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("server")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def realdata():
    """Return the folder of measured data sets, or skip (fail where nothing may be skipped)."""
    where = os.environ.get("NMRQB_REALDATA", "")
    if where and Path(where).is_dir():
        return Path(where)
    reason = "measured data sets are not here: set NMRQB_REALDATA to their folder"
    if os.environ.get("NMRQB_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    return pytest.skip(reason)


class Outcome:
    """What one call of the command line did."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        def refuse(constant):
            raise AssertionError(f"{constant} in JSON")

        return json.loads(self.out, parse_constant=refuse)

    @property
    def complaint(self):
        """The one line on stderr that is not progress."""
        lines = [line for line in self.err.splitlines() if line]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("nmrqb: ")
        return lines[0]


@pytest.fixture
def nmrqb(capsys):
    """Return a function that runs the command line in this process."""

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(w) for w in words])
        captured = capsys.readouterr()
        return Outcome(stop.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def edited(tmp_path):
    """Return a function that copies a shipped file with replacements and returns its path."""

    def copy(source, *changes, name=None):
        text = (ROOT / source).read_text(encoding="utf-8")
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count, f"{pattern!r} is not in {source}"
        path = tmp_path / (name or Path(source).name)
        path.write_text(text, encoding="utf-8")
        return path

    return copy


@pytest.fixture
def inversion_recovery(realdata, tmp_path):
    """Return a private, writable copy of the measured inversion recovery."""
    copy = tmp_path / "ir"
    shutil.copytree(realdata / "bruker_ir_cyclosporin" / "inversionRecovery2D" / "1", copy)
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    copy.chmod(0o755)
    return copy
