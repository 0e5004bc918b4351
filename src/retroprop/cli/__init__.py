"""The command line: parses arguments, makes one library call, prints text and draws pictures."""

import sys


def main() -> None:
    """Run the command line; without typer or rich, end with one line that names the extra to install."""
    try:
        from retroprop.cli.app import run
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("typer", "rich", "click"):
            raise
        sys.exit(f'retroprop: the command line needs {missing}: pip install "retroprop[cli]"')
    run()
