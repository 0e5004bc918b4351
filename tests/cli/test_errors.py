"""Error messages of the library, with the names of arguments replaced by options of the command line."""

import pytest

pytest.importorskip("rich", reason="the command line needs rich")

from retroprop.cli.errors import as_typed

OPTIONS = {"clip_norm": "--clip-norm", "l2": "--l2", "loss": "--loss", "seed": "--seed", "batch_size": "--batch-size"}


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("clip_norm must be above 0, or None, not 0.0.", "--clip-norm must be above 0, not 0.0."),
        ("batch_size must be None or 48 or above, not 10.", "--batch-size must be 48 or above, not 10."),
        ("Lower it, or pass clip_norm=1.0, or l2=0.1.", "Lower it, or pass --clip-norm 1.0, or --l2 0.1."),
        ("use loss='poisson', or loss=...", "use --loss poisson, or --loss ..."),
        ("it does not go with loss.", "it does not go with --loss."),
        ("seed must be 0 or above.", "--seed must be 0 or above."),
        # An ordinary word, a file name and a name in quotes are not options.
        ("the loss 'poisson' needs it.", "the loss 'poisson' needs it."),
        ("models/l2.safetensors and l2.safetensors are truncated.", None),
        ("unknown loss 'l2'. its loss musters it; test_clip_norm", None),
    ],
)
def test_arguments_are_reported_as_options(message, typed):
    assert as_typed(message, OPTIONS) == (typed or message)
