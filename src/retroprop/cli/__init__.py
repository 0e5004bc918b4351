"""The command line: arguments in, one call, text and pictures out."""

import sys


def main() -> None:
    """Run the command line; where typer or rich is missing, say in one line what to install."""
    try:
        from retroprop.cli.app import run
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("typer", "rich", "click"):
            raise
        sys.exit(f'retroprop: the command line needs {missing}: pip install "retroprop[cli]"')
    run()
