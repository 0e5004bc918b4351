"""The report on a training, printed as tables."""

from collections.abc import Mapping
from shlex import quote

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retroprop.cli.errors import ARGUMENTS, as_typed
from retroprop.cli.printed_tables import rows_table
from retroprop.cli.search_report import search_table
from retroprop.tabular.errors import printable
from retroprop.tabular.report import PARTS, Report


def show(console: Console, report: Report, files: Mapping[str, str | None]) -> None:
    """Print a report: the network and its training, the scores, and the files written.

    Parameters
    ----------
    console : Console
        Where to print.
    report : Report
        The results.
    files : mapping of str to str or None
        The "data" as the user typed them, the "model" file, and the "picture" if there is one.
    """

    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style), soft_wrap=True, highlight=False)

    if report.numbers.get("search") is not None:
        console.print(search_table(report.numbers["search"]))
    console.print(rows_table(f"Trained on {report.numbers['data']}", report.overview()))
    for remark in report.lines():
        line(as_typed(remark, ARGUMENTS))
    console.print(_table(report.score_table(), bold=PARTS[report.part]))
    classes = report.class_table()
    if classes:
        console.print(_table(classes))
    if report.verdict:
        line(report.verdict, "bold red")
    line(f"Model    {files['model']}")
    if files["picture"] is not None:
        line(f"Picture  {files['picture']}")
    if files.get("search_picture") is not None:
        line(f"Search   {files['search_picture']}")
    line(f"Next     retroprop predict {quote(str(files['model']))} {quote(str(files['data']))}")


def _table(rows: list[list[str]], *, bold: str = "") -> Table:
    """Return rows of texts, the titles first, as a table; the row that begins with `bold` stands out."""
    titles, *others = rows
    table = Table(box=box.ROUNDED, header_style="bold")
    for i, title in enumerate(titles):
        table.add_column(Text(title), justify="right" if i else "left", overflow="fold")
    for row in others:
        table.add_row(*map(Text, row), style="bold green" if bold and row[0] == bold else "")
    return table
