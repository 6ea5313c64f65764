"""Commands, exit codes and one-line errors.

Exit codes: 0 done; 1 the science says no (the full result is printed); 2 bad input or usage (one
line on stderr, never a traceback).  With ``--json`` stdout holds one JSON object and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

import click

from nmrqb import __version__
from nmrqb.cli import comparing, measured, planning, reproducing, running
from nmrqb.cli.options import BAD, OK
from nmrqb.errors import NmrqbError, Problem, one_line


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nmrqb")
def commands() -> None:
    """Quantum-battery experiments on NMR spectrometers: plan, predict, fit, compare."""


for _command in (
    planning.plan,
    planning.compile_to,
    planning.verdict,
    planning.optimise,
    planning.registers,
    running.run,
    running.simulate,
    measured.fit,
    measured.process,
    measured.convert,
    comparing.compare,
    reproducing.reproduce,
):
    commands.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    words = sys.argv[1:] if arguments is None else arguments
    # thousands of small matrices: threads of linear algebra only wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = commands.main(args=words, prog_name="nmrqb", standalone_mode=False)
    except NmrqbError as error:
        code = _refuse(words, error.problems, str(error))
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        key = getattr(getattr(error, "param", None), "opts", [None])[0]
        message = one_line(error.format_message())
        code = _refuse(words, (Problem(message=message, key=key),), message)
    except (KeyboardInterrupt, click.Abort):
        message = "interrupted; nothing was changed"
        code = _refuse(words, (Problem(message=message),), message)
    except BrokenPipeError:
        sys.stderr.close()
        code = OK
    except OSError as error:
        message = f"{error.filename or 'output'}: {error.strerror or error}"
        code = _refuse(words, (Problem(message=message),), message)
    except MemoryError:
        message = "not enough memory for a problem of this size (satellites, points or rows)"
        code = _refuse(words, (Problem(message=message),), message)
    except Exception as error:
        if os.environ.get("NMRQB_DEBUG"):
            raise
        message = one_line(
            f"internal error, please report it ({type(error).__name__}: {error}); "
            "NMRQB_DEBUG=1 shows where"
        )
        code = _refuse(words, (Problem(message=message),), message)
    sys.exit(code if isinstance(code, int) else OK)


def _refuse(words: list[str], problems: tuple[Problem, ...], message: str) -> int:
    click.echo(f"nmrqb: {one_line(message)}", err=True)
    if "--json" in words:
        from nmrqb.files.results import error_object, to_json

        command = next((w for w in words if w in commands.commands), "nmrqb")
        # where stdout itself is what failed, the line on stderr has said so
        with contextlib.suppress(OSError):
            click.echo(to_json(error_object(command, problems)), nl=False)
    return BAD
