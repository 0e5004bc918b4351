"""The types of the signatures: an array, a namespace, a dtype and a device in the sense of the Array API standard.

They are ``Any`` on purpose: no array library has to be imported, and any library that follows the standard
(https://data-apis.org/array-api/) fits.
"""

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of any library that follows the Array API standard."""

Namespace: TypeAlias = Any
"""The functions of such a library, `xp` in every formula."""

DType: TypeAlias = Any
"""A data type of such a library."""

Device: TypeAlias = Any
"""A device of such a library."""

RandomGenerator: TypeAlias = Any
"""The explicit host generator (`numpy.random.Generator`) of every random draw."""
