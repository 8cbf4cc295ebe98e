"""Spikes as arrays, checked, and as the daemon wants them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

#: Times beyond this many seconds do not fit nanoseconds in 64 bits.
TIME_MAX_S = 9.0e9


def packed_bins(bins: ArrayLike, n_neurons: int) -> NDArray[np.uint8]:
    """Bins of spikes as bits.

    Parameters
    ----------
    bins : array_like of bool or of integers 0 and 1, shape (n_bins, n_neurons) or (n_neurons,)
        Whether each neuron fired in each bin; one bin when it has one dimension.
    n_neurons : int

    Returns
    -------
    ndarray of uint8, shape (n_bins, ceil(n_neurons / 8))
        Neuron i is bit ``i % 8``, least significant first, of byte ``i // 8``.

    Raises
    ------
    InputError
        Of another dtype or shape, or with a value that is neither 0 nor 1.
    """
    array = np.asarray(bins)
    if array.dtype != np.bool_ and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"bins: dtype {array.dtype}; expected bool, or integers 0 and 1 (of counts: counts > 0)")
    if array.ndim == 1:
        array = array[np.newaxis, :]
    if array.ndim != 2 or array.shape[1] != n_neurons:
        raise InputError(f"bins: shape {np.shape(bins)}; expected (n_bins, {n_neurons}), one column per neuron of the session")
    if array.dtype != np.bool_:
        wrong = (array != 0) & (array != 1)
        if wrong.any():
            bin_, neuron = (int(k) for k in np.argwhere(wrong)[0])
            found = f"value {array[bin_, neuron]} in row {bin_}, neuron {neuron}"
            raise InputError(f"bins: {found}; expected 0 or 1 (of counts: counts > 0)")
        array = array != 0
    return np.packbits(array, axis=1, bitorder="little")


def neuron_indices(neurons: ArrayLike, n_neurons: int) -> NDArray[np.uint32]:
    """Indices of neurons, checked, shape (n_spikes,).

    Raises
    ------
    InputError
        When they are no whole numbers of one dimension from 0 to n_neurons - 1.
    """
    array = np.asarray(neurons)
    if array.size == 0:
        return np.empty(0, dtype=np.uint32)
    if not np.issubdtype(array.dtype, np.integer) or array.ndim != 1:
        raise InputError(f"neurons: dtype {array.dtype}, shape {array.shape}; expected integers of shape (n_spikes,)")
    wrong = (array < 0) | (array >= n_neurons)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise InputError(
            f"neurons: index {array[place]} at place {place}; the session has {n_neurons} neurons (0 to {n_neurons - 1})"
        )
    return array.astype(np.uint32)


def nanoseconds(times_s: ArrayLike, what: str) -> NDArray[np.int64]:
    """Times in seconds as whole nanoseconds, rounded as numpy does (half to even), of any shape.

    Raises
    ------
    InputError
        When one is not a finite number of seconds that 64 bits of nanoseconds can hold.
    """
    array = np.asarray(times_s)
    if array.size == 0:
        return np.empty(array.shape, dtype=np.int64)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InputError(f"{what}: dtype {array.dtype}; expected numbers of seconds")
    wrong = ~(np.abs(array.astype(np.float64)) <= TIME_MAX_S)
    if wrong.any():
        place = int(np.argmax(wrong.ravel()))
        found = array.ravel()[place]
        raise InputError(f"{what}: {found} at place {place}; expected finite seconds, at most {TIME_MAX_S:.0e}")
    return np.rint(array.astype(np.float64) * 1e9).astype(np.int64)


def whole_nanoseconds(times_ns: ArrayLike, what: str) -> NDArray[np.int64]:
    """Times that are nanoseconds already, checked, of any shape."""
    array = np.asarray(times_ns)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{what}: dtype {array.dtype}; expected integers of nanoseconds (of seconds: times_s)")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError(f"{what}: {array.max()} does not fit 64 bits of nanoseconds")
    return array.astype(np.int64)


def stretches(unobserved: Sequence[tuple[int, int]] | Sequence[tuple[float, float]], *, seconds: bool) -> list[tuple[int, int]]:
    """Stretches of time as pairs of nanoseconds.

    Raises
    ------
    InputError
        When one is no pair of times, the second after the first.
    """
    found: list[tuple[int, int]] = []
    for place, stretch in enumerate(unobserved):
        if len(stretch) != 2:
            raise InputError(f"unobserved[{place}]: {stretch!r}; expected a pair (start, stop)")
        convert = nanoseconds if seconds else whole_nanoseconds
        start, stop = (int(time) for time in convert(np.asarray(stretch), f"unobserved[{place}]"))
        if stop <= start:
            raise InputError(f"unobserved[{place}]: stops at {stretch[1]}, which is not after its start at {stretch[0]}")
        found.append((start, stop))
    return found
