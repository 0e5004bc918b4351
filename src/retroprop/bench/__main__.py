"""`python -m retroprop.bench`: a run on NumPy alone, without the packages of the command line."""

import argparse
import sys
from pathlib import Path

from retroprop.bench import FULL, QUICK, STANDARD, chosen, read, run, to_json
from retroprop.bench.progress import display
from retroprop.bench.render import markdown, text
from retroprop.bench.report import headline, tables, warning
from retroprop.bench.results import Results
from retroprop.persistence.files import write_whole


def main(arguments: list[str] | None = None) -> int:
    """Measure, or read what was measured; print tables; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _report(options.report) if options.report else _measure(options)
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    except (ValueError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _report(paths: list[Path]) -> int:
    print("\n".join(markdown(read(path)) for path in paths))
    return 0


def _measure(options: argparse.Namespace) -> int:
    settings = chosen(
        QUICK if options.quick else FULL if options.full else STANDARD,
        networks=_listed(options.networks),
        backends=_listed(options.backends),
        optimizer=options.optimizer,
        dtype=options.dtype,
        seconds=options.seconds,
        peers=options.peers,
    )
    results = run(settings, display())
    _save(results, options.json)
    if not options.quiet:
        shown = [headline(results), *map(text, tables(results, wide=False)), warning(results)]
        print("\n\n".join(filter(None, shown)))
    return 130 if results.interrupted else 0


def _save(results: Results, path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json(results).encode())


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m retroprop.bench", description=__doc__)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="small networks alone")
    form.add_argument(
        "--full", action="store_true", help="everything: more sizes, both dtypes, parts of a step, memory"
    )
    parser.add_argument("--networks", default="", help='of your choice, as "784-100-10@128,256x9@256"')
    parser.add_argument("--backends", default="", help='as "numpy,torch:cpu"; by default all that are here')
    parser.add_argument("--optimizer", help="sgd, adam or both")
    parser.add_argument("--dtype", help="float32, float64 or both")
    parser.add_argument("--seconds", type=float, help="for all rounds together")
    parser.add_argument("--peers", action="store_true", help="time PyTorch, JAX, Thinc and scikit-learn too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="print such files as Markdown")
    parser.add_argument("--quiet", action="store_true", help="print no tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
