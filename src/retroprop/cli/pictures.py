"""The picture of a training: its learning curves beside a plot of its predictions."""

from pathlib import Path
from typing import Any

from retroprop.cli.errors import need
from retroprop.cli.evaluation import METRICS
from retroprop.cli.learning_curves import draw_cost, draw_metric
from retroprop.cli.outcome_plots import draw_agreement, draw_confusion
from retroprop.cli.printed_tables import TITLES, figures
from retroprop.cli.train import Trained
from retroprop.explain.style import LIGHT, new_figure, write
from retroprop.functions.names import in_words


def draw(trained: Trained, path: Path) -> None:
    """Write the picture of a training in the format of its suffix (.png, .svg, .pdf), completely or not at all.

    Raises
    ------
    CommandError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    need("matplotlib", extra="plot", purpose="a picture")
    write(compose(trained), path)


def compose(trained: Trained) -> Any:
    """Return the picture as a matplotlib Figure: learning curves at the left, predictions at the right."""
    figure = new_figure(12.0, 6.6)
    part, title, subtitle = _words(trained)
    figure.text(0.045, 0.945, title, fontsize=17, fontweight="bold", color=LIGHT.ink, va="center")
    figure.text(0.045, 0.895, subtitle, fontsize=10.5, color=LIGHT.muted, va="center")
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1.0, 1.12), left=0.07, right=0.975, top=0.80, bottom=0.09, wspace=0.3, hspace=0.48
    )
    watched = "validation" if trained.parts.validation.size else "held-out"
    draw_cost(figure.add_subplot(grid[0, 0]), trained.history, watched)
    metric = METRICS[trained.card.target.task][0]
    draw_metric(figure.add_subplot(grid[1, 0]), trained.history, metric, TITLES[metric], watched)
    axes = figure.add_subplot(grid[:, 1])
    rows = trained.rows(part)
    target = trained.card.target
    predicted = target.decode(trained.outputs)
    if target.task == "classification":
        draw_confusion(axes, target, predicted[rows], trained.encoded[rows], _called(part))
    else:
        true = trained.encoded * target.scale + target.mean
        behind = trained.rows("training") if part == "held_out" else rows[:0]
        shown, others = ((true[some], predicted[some]) for some in (rows, behind))
        draw_agreement(axes, target.name, shown, others, _called(part))
    return figure


def _called(part: str) -> str:
    return "held-out" if part == "held_out" else part


def _words(trained: Trained) -> tuple[str, str, str]:
    """Return the part of the rows whose predictions are plotted, the title, and the subtitle."""
    part = "held_out" if trained.parts.held_out.size else "training"
    scores = trained.scores(part) or {}
    name = METRICS[trained.card.target.task][0]
    n_rows = trained.rows(part).size
    title = f"{Path(trained.options.data).name}: {_score(name, scores[name])} on {n_rows:,} {_called(part)} rows"
    net, history = trained.net, trained.history
    functions = ", ".join(
        filter(None, (in_words([f.name for f in net.architecture.hidden]), net.architecture.output.activation.name))
    )
    subtitle = (
        f"{'-'.join(map(str, net.layer_sizes))} network ({functions}) · {net.n_parameters:,} parameters · "
        f"{net.architecture.output.loss.name} by {trained.options.optimizer} · {len(history)} epochs in "
        f"{sum(history.seconds):.2g} s on {net.backend}"
    )
    return part, title, subtitle


def _score(name: str, value: float) -> str:
    return f"R² = {value:.3f}" if name == "r2" else f"{figures(name, value)} right"
