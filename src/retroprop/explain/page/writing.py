"""`page`: a network and its data as one HTML file that steps through the training."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from retroprop.explain.derivation_input import factor_values
from retroprop.explain.page.content import batch_sizes, content, numbers_of_one_state
from retroprop.explain.page.limits import check_data, check_network
from retroprop.explain.page.link_fields import check_exercise, check_quantity, check_sheet
from retroprop.explain.page.page_file import html_of
from retroprop.explain.page.stepping import stepping
from retroprop.explain.page.words import check_language
from retroprop.explain.targets import whole
from retroprop.network import Network
from retroprop.one_network import require_one_network
from retroprop.persistence.files import write_whole
from retroprop.training import optimizers
from retroprop.training.optimizers import SGD, UpdateRule


class NetworkPage:
    """A page of a network; see `page`.

    Attributes
    ----------
    html : str
        The whole file.
    id : str
        The network and its numbers in an address.
    """

    def __init__(self, html: str, identity: str, sizes: Sequence[int], *, bias: bool) -> None:
        self.html, self.id = html, identity
        self._sizes, self._bias = sizes, bias

    def link(
        self,
        address: str = "",
        *,
        at: int = 0,
        of: str | None = None,
        exercise: str | None = None,
        sheet: int | None = None,
        language: str | None = None,
    ) -> str:
        """Return an address at which the page opens in a state.

        Parameters
        ----------
        address : str
            Where the page is, as "lesson/page.html".
        at : int
            The step of the walk forward and back; 0 is its beginning, −1 its end.
        of : str, optional
            The quantity that is chosen, as "theta-1-2-1" for θ^(1)_21, "b-1-2", "x-1", "z-2-1", "a-2-1" or "delta-3-1".
        exercise : str, optional
            What is asked for: "a-2", "delta-3" or "gradient-1", the number that of the layer.
        sheet : int, optional
            The number of a sheet of exercises, which is shown with its key.
        language : str, optional
            "en" or "es"; by default that of the page.
        """
        n_steps = 3 * len(self._sizes) - 1
        if not -1 <= whole("at", at) <= n_steps:
            raise ValueError(f"at must be from 0 to {n_steps}, or -1 for the last step, not {at!r}.")
        check_quantity(of, self._sizes, bias=self._bias)
        check_exercise(exercise, len(self._sizes))
        check_sheet(sheet)
        if language is not None:
            check_language(language)
        given = {"net": self.id, "lang": language, "at": n_steps if at == -1 else at or None, "of": of}
        fields = {**given, "exercise": exercise, "sheet": sheet}
        return f"{address}#{urlencode({name: value for name, value in fields.items() if value is not None})}"

    def _repr_html_(self) -> str:
        frame = f'<iframe title="retroprop" style="width: 100%; height: 800px; border: 0" srcdoc="{escape(self.html)}">'
        return f"{frame}</iframe>"


def page(
    net: Network,
    x: Any,
    y: Any,
    path: Any = None,
    *,
    batch_size: int | None = None,
    optimizer: Any = None,
    language: str = "en",
) -> NetworkPage:
    """Return a page that steps through the training of a network, forward and back, with every formula and number.

    It is one HTML file that needs no network connection. Its arithmetic is the step of the library, recorded and
    written as JavaScript, in float64. On it, θ, δ and a are derived and nudged, parameters and data are changed, the
    network is trained, and exercises are graded. A dropout of the network is left out, as in `trace`.

    Parameters
    ----------
    net : Network
        Without model axes, of up to 20,000 parameters.
    x, y : array (m, n_1) and (m, n_L), or (m,)
        Observations, as for `Network.gradient`.
    path : str or Path, optional
        Where the file is written. A notebook shows the page without one.
    batch_size : int, optional
        The number of observations of one step; None is all. An epoch takes them in their order.
    optimizer : str or UpdateRule, optional
        SGD, RMSprop or Lion, whose formulas take the learning rate alone; by default ``SGD(0.1)``.
    language : str
        The language in which it opens, "en" or "es"; the reader may take the other.

    Returns
    -------
    NetworkPage
        `html`, and `link` to a state of the page.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit, and if the network or the data are too large for a page.
    OSError
        If the file cannot be written.

    Notes
    -----
    A custom activation or loss whose operations have no JavaScript is named on the page, which then shows the numbers
    of the network as it is and does not step.

    Examples
    --------
    >>> import retroprop as rp
    >>> net = rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", bias=False, seed=0)
    >>> made = rp.explain.page(net, [[0.8, 0.5]], [[0.0, 1.0]])
    >>> made.link("page.html", at=3)[:14]
    'page.html#net='
    """
    check_language(language)
    require_one_network(net, "page")
    check_network(net, language)
    rule = _rule(optimizer)
    if hasattr(x, "__len__"):
        check_data(net, len(x), language)
    values = factor_values(net, x, y, None, None)
    if values is None:
        raise TypeError("x and y are missing: a page shows the network at observations.")
    size = values.m if batch_size is None else min(whole("batch_size", batch_size), values.m)
    if size < 1:
        raise ValueError(f"batch_size must be 1 or above, not {batch_size!r}.")
    given = values.architecture, rule, values.parameters, values.x, values.y, size
    data = content(*given)
    functions, refused = stepping(values.architecture, rule, batch_sizes(values.m, size))
    if refused is not None:
        data |= {"refused": refused, "numbers": numbers_of_one_state(*given)}
    made = NetworkPage(html_of(data, functions, language), data["id"], net.layer_sizes, bias=net.architecture.bias)
    if path is not None:
        write_whole(Path(path), made.html.encode())
    return made


def _rule(optimizer: Any) -> UpdateRule:
    """Return the update rule; raise for one whose numbers depend on the count of the updates."""
    rule = SGD(0.1) if optimizer is None else optimizers.get(optimizer)
    if not isinstance(rule, UpdateRule):
        raise ValueError(f"optimizer {rule.name!r} is no elementwise update; a page takes SGD, RMSprop or Lion.")
    if not isinstance(rule.learning_rate, (int, float)):
        raise TypeError(
            f"optimizer needs one learning rate, as {type(rule).__name__}(0.1), not a schedule: the reader changes it."
        )
    if not rule.hyper(1, 0.5) == rule.hyper(2, 0.5) == (0.5,):
        raise ValueError(
            f"optimizer {rule.name!r} has numbers that depend on the count of the updates; a page takes SGD, RMSprop "
            "or Lion."
        )
    return rule
