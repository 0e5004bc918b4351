"""The literal names of the types are those of the tables."""

from typing import get_args

import pytest

from retroprop.backends.backend import PRECISIONS
from retroprop.backends.intake.parameters import DTYPES
from retroprop.functions import activations, initializers, literals, losses, metrics
from retroprop.training import optimizers


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("ActivationName", activations.ACTIVATIONS),
        ("LossName", losses.LOSSES),
        ("InitializerName", initializers.INITIALIZERS),
        ("MetricName", metrics.METRICS),
        ("OptimizerName", optimizers.OPTIMIZERS),
        ("DTypeName", DTYPES),
        ("Precision", PRECISIONS),
    ],
)
def test_the_names_are_those_of_the_tables(name, table):
    assert get_args(getattr(literals, name)) == tuple(table)


def test_the_names_of_the_estimators_are_those_of_the_tables():
    pytest.importorskip("sklearn")
    from retroprop.estimators import argument_types, parameters

    for name, accepted in (
        ("HiddenName", parameters.activation_names()),
        ("ClassificationLossName", parameters.classification_losses()),
        ("RegressionLossName", parameters.regression_losses()),
    ):
        assert list(get_args(getattr(argument_types, name))) == accepted
