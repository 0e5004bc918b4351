"""The metadata of a model file: columns, preprocessing and target, so that `retroprop predict` needs nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from retroprop.cli.errors import CommandError
from retroprop.cli.preprocessing import Preprocessing
from retroprop.cli.targets import TargetColumn
from retroprop.persistence import TABULAR_KEY
from retroprop.persistence.bounded_json import parse

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A description of the training data, stored with the network.

    Attributes
    ----------
    data : str
        DATA as typed by the user.
    features : str or None
        The array of an .npz file that held the features.
    dropped : tuple of str
        Columns that were left out.
    preprocessing : Preprocessing
        Turns columns into inputs.
    target : TargetColumn
        Turns outputs into predictions.
    """

    data: str
    features: str | None
    dropped: tuple[str, ...]
    preprocessing: Preprocessing
    target: TargetColumn

    def to_metadata(self) -> dict[str, str]:
        """Return the card as metadata for `rp.save`."""
        plain = {
            "version": _VERSION,
            "data": self.data,
            "features": self.features,
            "dropped": list(self.dropped),
            "preprocessing": self.preprocessing.to_plain(),
            "target": self.target.to_plain(),
        }
        return {TABULAR_KEY: json.dumps(plain)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> Self:
        """Return the card in the metadata of the model file at `path`.

        Raises
        ------
        CommandError
            If the file was not written by `retroprop train`, or was written by a newer version.
        """
        if TABULAR_KEY not in metadata:
            raise CommandError(
                f'"{path}" holds a network but not the columns and scaling it was trained with: it was not '
                f"written by retroprop train. In Python: retroprop.load(...).predict(x)."
            )
        try:
            plain = parse(metadata[TABULAR_KEY])
            if plain["version"] > _VERSION:
                raise CommandError(f'"{path}" was written by a newer retroprop; upgrade: pip install -U retroprop')
            return cls(
                data=plain["data"],
                features=plain["features"],
                dropped=tuple(plain["dropped"]),
                preprocessing=Preprocessing.from_plain(plain["preprocessing"]),
                target=TargetColumn.from_plain(plain["target"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise CommandError(f'"{path}" is altered: its description of the training data is unreadable.') from error
