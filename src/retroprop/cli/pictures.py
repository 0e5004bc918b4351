"""The picture of a training: its learning curves beside a plot of its predictions."""

import warnings
from pathlib import Path
from typing import Any

from retroprop.cli.evaluation_plots import draw_classes, draw_residuals, draw_roc, draw_tolerance
from retroprop.cli.learning_curves import draw_cost, draw_metric
from retroprop.cli.outcome_plots import draw_agreement, draw_confusion
from retroprop.explain.style import LIGHT, new_figure, write
from retroprop.functions.names import in_words
from retroprop.tabular.errors import need, printable
from retroprop.tabular.model import TabularModel
from retroprop.tabular.report import PARTS, TITLES, Report, figures
from retroprop.tabular.training import WATCHED, Trained


def draw(model: TabularModel, path: Path) -> None:
    """Write the picture of a training in the format of its suffix (.png, .svg, .pdf), completely or not at all.

    Raises
    ------
    DataError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    need("matplotlib", extra="plot", purpose="a picture")
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the table on the terminal shows it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        write(compose(model), path)


def compose(model: TabularModel) -> Any:
    """Return the picture as a matplotlib Figure: learning curves, predictions, and the figures of each class."""
    assert model.training is not None
    assert model.report is not None
    figure = new_figure(12.0, 6.6)
    title, subtitle = _words(model.training, model.report)
    # A dollar sign in a name begins no formula.
    figure.text(0.045, 0.945, title, fontsize=17, fontweight="bold", color=LIGHT.ink, va="center", parse_math=False)
    figure.text(0.045, 0.895, subtitle, fontsize=10.5, color=LIGHT.muted, va="center", parse_math=False)
    grid = figure.add_gridspec(
        2, 3, width_ratios=(0.8, 1.12, 0.72), left=0.06, right=0.98, top=0.80, bottom=0.09, wspace=0.36, hspace=0.48
    )
    watched = "validation" if model.parts["validation"].n_rows else "held-out"
    draw_cost(figure.add_subplot(grid[0, 0]), model.training.history, watched)
    metric = WATCHED[model.task]
    draw_metric(figure.add_subplot(grid[1, 0]), model.training.history, metric, TITLES[metric], watched)
    axes, upper, lower = (figure.add_subplot(place) for place in (grid[:, 1], grid[0, 2], grid[1, 2]))
    called, part, target = PARTS[model.report.part], model.parts[model.report.part], model.card.target
    if target.classes:
        draw_confusion(axes, target, part.predicted, part.true, called)
        draw_classes(upper, model.report.numbers["per_class"])
        draw_roc(lower, part)
    else:
        shown = part.true, part.predicted
        behind = model.parts["training"]
        others = (behind.true, behind.predicted) if part is not behind else (shown[0][:0], shown[1][:0])
        draw_agreement(axes, target.name, shown, others, called)
        draw_residuals(upper, *shown)
        draw_tolerance(lower, *shown, model.report.numbers["baseline"][model.report.part]["mean_absolute_error"])
    return figure


def _words(training: Trained, report: Report) -> tuple[str, str]:
    """Return the title and the subtitle."""
    numbers, called = report.numbers, PARTS[report.part]
    name = WATCHED[numbers["task"]]
    scores = report.scores[report.part] or {}
    score = f"R² = {figures(name, scores[name])}" if name == "r2" else f"{figures(name, scores[name])} right"
    data = printable(Path(str(numbers["data"])).name, 50)
    title = f"{data}: {score} on {numbers['part_rows'][report.part]:,} {called} rows"
    if name != "r2":
        # Beside the score of a model that needs no data, which an accuracy alone flatters.
        always = numbers["baseline"]
        title += f" (always {printable(always['words'], 30)}: {figures(name, always[report.part][name])})"
    functions = ", ".join(filter(None, (in_words(numbers["hidden"]), numbers["output"])))
    layers, several = "-".join(map(str, numbers["layer_sizes"])), numbers["members"]
    networks = f"{layers} network" if several is None else f"{several} {layers} networks"
    subtitle = (
        f"{networks} ({functions}) · {numbers['parameters']:,} parameters · "
        f"{numbers['loss']} by {numbers['optimizer']} · {numbers['epochs']} epochs in "
        f"{numbers['seconds']:.2g} s on {training.network.backend}"
    )
    return title, subtitle
