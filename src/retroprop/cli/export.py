"""`retroprop export`: a saved model as a file of ONNX or torch."""

from pathlib import Path
from typing import Annotated

import typer

from retroprop.cli.destinations import check_destination
from retroprop.cli.errors import CommandError
from retroprop.cli.predict import check_model


def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A file retroprop train or rp.save wrote.", show_default=False)
    ],
    *,
    onnx: Annotated[
        Path | None,
        typer.Option(help="Write an ONNX file; of the model of a table, one that takes raw rows.", show_default=False),
    ] = None,
    torch: Annotated[
        Path | None,
        typer.Option(help="Write the state dict of torch's layers; of the network alone.", show_default=False),
    ] = None,
) -> None:
    """Write a saved MODEL as a file for ONNX runtimes or for torch."""
    from retroprop.interop.onnx_export import onnx_bytes
    from retroprop.interop.torch_files import torch_bytes
    from retroprop.interop.torch_layers import to_torch
    from retroprop.persistence import TABULAR_KEY, load_with_metadata
    from retroprop.persistence.files import write_whole
    from retroprop.tabular import load as load_table

    if onnx is None and torch is None:
        raise CommandError("nothing to write: give --onnx model.onnx, --torch model.pt, or both.")
    for path, option in ((onnx, "--onnx"), (torch, "--torch")):
        if path is not None:
            check_destination(path, option=option, not_over=str(model))
    if onnx is not None and torch is not None and onnx.absolute() == torch.absolute():
        raise CommandError(f'--onnx and --torch name one file, "{onnx}".')
    check_model(model)
    net, metadata = load_with_metadata(model, backend="numpy")
    files: list[tuple[Path, bytes, str]] = []
    if onnx is not None:
        of_table = TABULAR_KEY in metadata
        content = onnx_bytes(load_table(model, backend="numpy") if of_table else net)
        takes = "raw rows" if of_table else f"x (m, {net.layer_sizes[0]})"
        files.append((onnx, content, f"ONNX, opset 18, takes {takes}"))
    if torch is not None:
        layers = ", ".join(map(str, to_torch(net)))
        files.append((torch, torch_bytes(net), f"a state dict of torch, for nn.Sequential({layers})"))
    for path, content, words in files:  # all or none: what has no such form was refused above
        write_whole(path, content)
        typer.echo(f"{path}: {words}", err=True)
