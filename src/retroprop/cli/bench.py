"""`retroprop bench`: measure this machine, or show stored results, as tables, a plot and JSON."""

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retroprop.bench import FULL, QUICK, STANDARD, Results, Settings, chosen, read, render, run, to_json
from retroprop.bench.parallel import measurement
from retroprop.bench.result_table import ResultTable
from retroprop.bench.result_tables import headline, reports, tables, warning
from retroprop.bench.settings import SHARED, SHARED_QUICK
from retroprop.cli.destinations import check_destination, check_picture
from retroprop.cli.error_handling import warnings_as_notes
from retroprop.cli.errors import CommandError
from retroprop.persistence.files import write_whole
from retroprop.tabular.errors import need
from retroprop.training.progress import on_terminal

# The options of a measurement
MEASURING = ("quick", "full", "networks", "backends", "optimizer", "dtype", "seconds", "peers", "json", "parallel")
# Those that do not go with --parallel, which times Adam in float32 on NumPy
OF_BACKENDS = ("full", "backends", "optimizer", "dtype")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """The options of `retroprop bench`, named as on the command line; see its help."""

    files: tuple[Path, ...]
    quick: bool
    full: bool
    networks: str | None
    backends: str | None
    optimizer: str | None
    dtype: str | None
    seconds: float | None
    peers: bool
    parallel: bool
    ranks: str | None
    report: bool
    json: Path | None
    plot: Path | None
    output: Path | None


def bench(options: BenchOptions) -> list[Results]:
    """Measure, or read stored results; write the requested files and print the tables; return the runs.

    Raises
    ------
    CommandError
        For options that exclude each other, or a file that cannot be read or written, before anything is measured.
    ValueError, BackendUnavailableError
        For an unknown network or backend.
    RuntimeError
        For a job of MPI that cannot start, or fails.
    """
    _check(options)
    runs = [read(path) for path in options.files] if options.report else [_measured(options)]
    if options.json is not None:
        write_whole(options.json, to_json(runs[0]).encode())
    if options.plot is not None:
        _plot(list(zip(_titles(options), runs, strict=True)), options.plot)
    text = "\n".join(map(render.markdown, runs))
    if options.output is not None:
        write_whole(options.output, text.encode())
    if options.report and options.output is None:
        print(text)
    elif not options.report:
        show(Console(), runs[0])
    _say_where(options)
    return runs


def _check(options: BenchOptions) -> None:
    if options.report and not options.files:
        raise CommandError("--report needs files: retroprop bench --report RESULTS.json")
    if options.files and not options.report:
        raise CommandError(f'"{options.files[0]}": stored results are read with --report only.')
    for option in MEASURING if options.report else ():
        if getattr(options, option):
            raise CommandError(f"--{option} is for a measurement; with --report nothing is measured.")
    for option in OF_BACKENDS if options.parallel else ():
        if getattr(options, option):
            raise CommandError(f"--{option} does not go with --parallel, which times Adam in float32 on NumPy.")
    if options.ranks is not None and not options.parallel:
        raise CommandError("--ranks goes with --parallel.")
    if options.quick and options.full:
        raise CommandError("--quick and --full: choose one.")
    for option, path in (("--json", options.json), ("--plot", options.plot), ("--output", options.output)):
        if path is not None:
            check_destination(path, option=option)
    if options.plot is not None:
        check_picture(options.plot, option="--plot")
        need("matplotlib", extra="plot", purpose="a plot")


def _measured(options: BenchOptions) -> Results:
    settings = chosen(
        _base(options),
        networks=options.networks,
        backends=options.backends,
        optimizer=options.optimizer,
        dtype=options.dtype,
        seconds=options.seconds,
        peers=options.peers,
        ranks=options.ranks,
    )
    if not options.parallel:
        return run(settings, on_terminal(transient=True))
    with warnings_as_notes({}, quiet=False):
        return measurement.run(settings, on_terminal(transient=True))


def _base(options: BenchOptions) -> Settings:
    if options.parallel:
        return SHARED_QUICK if options.quick else SHARED
    return QUICK if options.quick else FULL if options.full else STANDARD


def _plot(runs: list[tuple[str, Results]], path: Path) -> None:
    shared = [run for run in runs if run[1].shared]
    if not shared:
        from retroprop.bench.plots import draw

        draw(runs, path)
    elif len(shared) < len(runs):
        raise CommandError("--plot needs results that are all of backends, or all of --parallel.")
    else:
        from retroprop.cli.parallel_plot import draw_shared

        draw_shared(runs, path)


def _titles(options: BenchOptions) -> list[str]:
    return [path.stem for path in options.files] if len(options.files) > 1 else [""]


def _say_where(options: BenchOptions) -> None:
    console = Console(stderr=options.report)
    for name, path in (("Results", options.json), ("Plot", options.plot), ("Tables", options.output)):
        if path is not None:
            console.print(f"{name:8} {path}", soft_wrap=True, highlight=False, markup=False)


def show(console: Console, results: Results) -> None:
    """Print the tables of a run on a terminal."""
    for table in tables(results, wide=False):
        console.print(_rendered(table))
    console.print(Text("\n".join([headline(results), *reports()]), style="dim"))
    if warning(results):
        console.print(Text(warning(results), style="yellow"))


def _rendered(table: ResultTable) -> Table:
    table = render.grouped(table)
    shown = Table(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED,
        caption=table.note or None,
        caption_justify="left",
    )
    for at, name in enumerate(table.columns):
        words = at < table.words
        shown.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=words and at == 0)
    for at, row in enumerate(table.rows):
        network = len(row) > 1 and not any(row[1:])
        if network and at > 0:
            shown.add_section()
        shown.add_row(*map(Text, row), style="bold" if network else "")
    return shown
