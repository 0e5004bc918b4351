"""The report on a training: its results as plain data, and as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retroprop.functions.names import in_words
from retroprop.tabular.errors import listed, printable, quoted

PARTS = {"training": "training", "validation": "validation", "held_out": "held-out"}
TITLES = {
    "accuracy": "Accuracy",
    "error": "Error",
    "balanced_accuracy": "Balanced",
    "roc_auc": "ROC AUC",
    "log_loss": "Log loss",
    "calibration_error": "Calib. error",
    "r2": "R²",
    "mean_absolute_error": "Mean abs. error",
    "root_mean_squared_error": "Root mean sq. error",
}
_FRACTIONS = ("accuracy", "error", "balanced_accuracy", "calibration_error")
_THREE_DECIMALS = ("r2", "roc_auc")
_ENDS = {
    "epochs": "all epochs",
    "early_stopping": "stopped early",
    "interrupted": "interrupted by Ctrl-C or SIGTERM",
    "converged": "converged",
    "stalled": "no lower cost was found",
    "diverged": "diverged; these are the last good parameters",
    "terminated": "ended by a signal",
}
_MOST_CLASSES = 12  # in the table of the classes; of more, those with the lowest recall
_MOST_LINES = 12  # of columns left out or filled


def figures(metric: str, value: float | None) -> str:
    """Format a metric: fractions in per cent, R² and AUC with three decimals, others with four digits; None as –."""
    if value is None:
        return "–"
    if metric in _FRACTIONS:
        return f"{100.0 * value:.1f} %"
    return f"{value:.3f}" if metric in _THREE_DECIMALS and abs(value) < 1e4 else f"{value:.4g}"


@dataclass(frozen=True)
class Report:
    """The results of a training.

    Attributes
    ----------
    numbers : dict
        All of it, as JSON can hold it: "rows", "features", "task", "classes", "scores" of the parts "training",
        "validation" and "held_out", "baseline", "verdict", "per_class", "calibration", "left_out", "filled", "remarks",
        the network and its training.
    """

    numbers: Mapping[str, Any]

    @property
    def scores(self) -> dict[str, dict[str, float | Any] | Any]:  # `Any` stands for None
        """The figures of each part by name; None for a part without rows."""
        found: dict[str, dict[str, float | Any] | Any] = self.numbers["scores"]
        return found

    @property
    def part(self) -> str:
        """The part that the figures to believe are from: held-out rows, else validation rows, else training rows."""
        return next(name for name in ("held_out", "validation", "training") if self.scores[name] is not None)

    @property
    def verdict(self) -> str | None:
        """A sentence where the model is no better than always saying the same; else None."""
        said: str | None = self.numbers["verdict"]
        return said

    @property
    def text(self) -> str:
        """The report as text, as `str` gives it."""
        return str(self)

    def overview(self) -> dict[str, str]:
        """Return the data, the network and its training as titled lines."""
        n = self.numbers
        layers = "-".join(map(str, n["layer_sizes"]))
        functions = [*filter(None, [in_words(n["hidden"])]), n["output"]]
        ended = _ENDS[n["stop_reason"]]
        if n["best_epoch"] is not None:
            ended += f", the best was epoch {n['best_epoch']}"
        speed = n["samples_per_second"]
        members = n.get("members")  # a model file of an earlier version has none
        many = f"{members} networks " if members is not None else ""
        weights = f", classes weighted ({n['class_weight']})" if n["class_weight"] else ""
        return {
            "Data": f"{n['rows']:,} rows, {n['features']:,} feature{'s' * (n['features'] != 1)}",
            "Task": self._task(),
            "Network": f"{many}{layers} ({', '.join(functions)}), {n['parameters']:,} parameters",
            "Learning": f"{n['loss']} by {n['optimizer']}, batches of {n['batch_size']}{weights}",
            "Backend": f"{n['backend']} on {n['device']}, {n['dtype']}",
            "Epochs": f"{n['epochs']} ({ended})",
            "Time": f"{n['seconds']:.2f} s" + (f", {speed:,.0f} samples/s" if speed else ""),
        }

    def _task(self) -> str:
        n = self.numbers
        if n["task"] == "regression":
            return f"regression of {quoted(n['target'])}"
        classes = n["classes"]
        return f"classification of {quoted(n['target'])}, {len(classes)} classes: {listed(map(str, classes), 10)}"

    def score_table(self) -> list[list[str]]:
        """Return the figures as rows of texts, the titles first; the last row is the constant prediction.

        Of an ensemble, the row before has the means over its members alone.
        """
        parts = {part: scores for part, scores in self.scores.items() if scores is not None}
        names = [name for name in next(iter(parts.values())) if name != "error"]
        rows = [["Part", "Rows", *(TITLES[name] for name in names)]]
        for part, scores in parts.items():
            shown = [figures(name, scores[name]) for name in names]
            rows.append([PARTS[part], f"{self.numbers['part_rows'][part]:,}", *shown])
        members = (self.numbers.get("member_scores") or {}).get(self.part)
        if members is not None:
            shown = [figures(name, members[name]) for name in names]
            rows.append([f"{PARTS[self.part]}, one alone", "", *shown])
        baseline = self.numbers["baseline"]
        shown = [figures(name, baseline[self.part][name]) for name in names]
        rows.append([f"always {baseline['words']}", "", *shown])
        return rows

    def class_table(self) -> list[list[str]]:
        """Return rows, precision and recall of the classes as texts, the titles first; empty for a regression."""
        classes = self.numbers["per_class"]
        if not classes:
            return []
        chosen = classes
        title = f"Class ({PARTS[self.part]} rows)"
        if len(classes) > _MOST_CLASSES:
            there = [row for row in classes if row["recall"] is not None]
            chosen = sorted(there, key=lambda row: row["recall"])[:_MOST_CLASSES]
            title = f"The {len(chosen)} of {len(classes)} classes with the lowest recall"
        return [
            [title, "Rows", "Precision", "Recall"],
            *(
                [
                    printable(str(row["class"]), 60),
                    f"{row['rows']:,}",
                    figures("accuracy", row["precision"]),
                    figures("accuracy", row["recall"]),
                ]
                for row in chosen
            ),
        ]

    def lines(self) -> list[str]:
        """Return the columns left out, the values filled and all other remarks, a line each."""
        n = self.numbers
        filled = n["filled"]
        dropped = [one["column"] for one in n["left_out"] if one["reason"] == "dropped"]
        lines = [f"Left out: {listed(dropped)}, as asked for"] if dropped else []
        lines += [
            f"Filled: {quoted(one['column'])}, {one['missing']:,} of {one['rows']:,} values missing, with {one['with']}"
            for one in filled[:_MOST_LINES]
        ]
        if len(filled) > _MOST_LINES:
            lines.append(f"Filled: missing values of {len(filled) - _MOST_LINES} more columns")
        return lines + [f"Note: {printable(remark)}" for remark in n["remarks"]]

    def __str__(self) -> str:
        """Return the report as text."""
        overview = _aligned([[title, words] for title, words in self.overview().items()], numeric=False)
        scores = _aligned(self.score_table(), numeric=True)
        classes = _aligned(self.class_table(), numeric=True)
        verdict = [printable(self.verdict)] if self.verdict else []
        blocks = [
            [f"Trained on {printable(str(self.numbers['data']))}"],
            overview,
            self.lines(),
            scores,
            classes,
            verdict,
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)


def _aligned(rows: list[list[str]], *, numeric: bool) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if numeric and i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
