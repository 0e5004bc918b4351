"""The options that several commands share, with their help texts; names are those of the tables."""

from typing import Annotated

import typer

from retroprop.cli.network_options import choices
from retroprop.functions import activations, initializers, losses
from retroprop.training import optimizers

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits, iris, wine, breast_cancer, diabetes, a .csv, .tsv, .txt, .data, .parquet, .npz or .npy file, or "
        '"-" for standard input.',
        show_default=False,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(help='Where to compute: "numpy", "cupy", "torch:cuda:0", ... (see retroprop info).'),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line of a text file holds names; found out in training, remembered by the model.",
    ),
]
Separator = Annotated[
    str | None, typer.Option(help='Of a text file: "," ";" "tab" "|" or "space"; found out by default.')
]
Encoding = Annotated[
    str | None, typer.Option(help="Of a text file, as latin-1; by default UTF-8, or what its BOM says.")
]
MaxMemory = Annotated[
    float | None,
    typer.Option(
        help="The most memory in GiB that the data may take; by default a quarter of it, at most 4.", show_default=False
    ),
]
Features = Annotated[str | None, typer.Option(help="The array of an .npz file with the features (default X).")]
# The names that these options accept are those of the tables.
HiddenActivation = Annotated[
    str,
    typer.Option(
        help=f"Activation of the hidden layers: {choices(activations.elementwise_names())}; one for all, or one for "
        "each, as relu,tanh."
    ),
]
Initializer = Annotated[
    str, typer.Option(help=f"Distribution of the initial parameters: {choices(initializers.INITIALIZERS)}.")
]
LossOfTask = Annotated[
    str | None,
    typer.Option(help=f"{choices(losses.LOSSES)}; by default cross_entropy for classes, squared_error for numbers."),
]
OptimizerName = Annotated[str, typer.Option(help=f"{choices(optimizers.OPTIMIZERS)}.")]
DType = Annotated[str, typer.Option(help="float32 or float64.")]
L2 = Annotated[float, typer.Option(help="The weight λ of the penalty λ/2 ‖Θ‖².")]
L1 = Annotated[float, typer.Option(help="The weight λ of the penalty λ ‖Θ‖₁.")]
Seed = Annotated[int, typer.Option(help="Draws the split, the parameters, the batches and the masks.")]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact", help="Write classes as they are, also those that a spreadsheet program would run as formulas."
    ),
]
