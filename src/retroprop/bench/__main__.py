"""`python -m retroprop.bench`: the benchmark without the packages of the command line."""

import argparse
import sys
from pathlib import Path

from retroprop.bench import FULL, QUICK, STANDARD, chosen, read, run, to_json
from retroprop.bench.render import markdown, text
from retroprop.bench.result_tables import headline, reports, tables, warning
from retroprop.persistence.files import write_whole
from retroprop.training.progress import on_terminal


def main(arguments: list[str] | None = None) -> int:
    """Measure, or read stored results; print the tables; return the exit status."""
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
        networks=options.networks,
        backends=options.backends,
        optimizer=options.optimizer,
        dtype=options.dtype,
        seconds=options.seconds,
        peers=options.peers,
    )
    results = run(settings, on_terminal(transient=True))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.json, to_json(results).encode())
    if not options.quiet:
        shown = ["\n".join([headline(results), *reports()]), *map(text, tables(results, wide=False)), warning(results)]
        print("\n\n".join(filter(None, shown)))
    return 130 if results.interrupted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m retroprop.bench", description=__doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="small networks only")
    extent.add_argument(
        "--full", action="store_true", help="everything: more sizes, both dtypes, parts of a step, memory"
    )
    parser.add_argument("--networks", default="", help='of your choice, as "784-100-10@128,256x9@256"')
    parser.add_argument("--backends", default="", help='as "numpy,torch:cpu"; by default all available ones')
    parser.add_argument("--optimizer", help="sgd, adam or both")
    parser.add_argument("--dtype", help="float32, float64 or both")
    parser.add_argument("--seconds", type=float, help="for all rounds together")
    parser.add_argument("--peers", action="store_true", help="time PyTorch, JAX, Thinc and scikit-learn too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="print stored results as Markdown")
    parser.add_argument("--quiet", action="store_true", help="print no tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
