"""The words of the interface: estimators, methods and row statuses, by the names that the daemon prints."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from ._proto import types_pb2
from .errors import InputError


class Estimator(str, Enum):
    """How couplings are computed from the moments of the transitions."""

    NMF = "nmf"
    TAP = "tap"
    TAP_SELF_CONSISTENT = "tap-self-consistent"
    EXACT_MEAN_FIELD = "exact-mean-field"
    EXACT = "exact"
    ONLINE = "online"
    TRIAL_NMF = "trial-nmf"
    TRIAL_TAP = "trial-tap"
    TRIAL_EXACT = "trial-exact"
    #: Of those of a session, the one that has predicted best of late; for queries.
    BEST = "best"


class EquilibriumMethod(str, Enum):
    """How the couplings of a pairwise maximum entropy model are found."""

    ERASURE_MACHINE = "erasure-machine"
    HOPFIELD = "hopfield"
    NMF = "nmf"
    TAP = "tap"
    PSEUDO_LIKELIHOOD = "pseudo-likelihood"
    MAXIMUM_LIKELIHOOD = "maximum-likelihood"
    BOLTZMANN = "boltzmann"
    MANY_STATES = "many-states"
    MANY_STATES_TAP = "many-states-tap"
    #: Of those of a session, the one that has predicted best of late; for queries.
    BEST = "best"


class RowStatus(str, Enum):
    """What a row (receiver) of an estimate, or a neuron of an equilibrium model, is worth; only ``OK`` is unreserved."""

    OK = "OK"
    SILENT = "SILENT"
    SATURATED = "SATURATED"
    DUPLICATE = "DUPLICATE"
    UNDERSAMPLED = "UNDERSAMPLED"
    SINGULAR = "SINGULAR"
    TAP_NO_ROOT = "TAP_NO_ROOT"
    EXACT_MEAN_FIELD_NO_ROOT = "EXACT_MEAN_FIELD_NO_ROOT"
    NOT_CONVERGED = "NOT_CONVERGED"
    MEAN_FIELD_INVALID = "MEAN_FIELD_INVALID"
    SEPARATED = "SEPARATED"
    TOO_FEW_REPEATS = "TOO_FEW_REPEATS"
    #: A status that a newer daemon knows and this package does not; not OK.
    UNKNOWN = "UNKNOWN"

    @property
    def takes_part(self) -> bool:
        """Whether the neuron is among those that the estimate is made of, as a sender."""
        return self not in (RowStatus.SILENT, RowStatus.SATURATED, RowStatus.DUPLICATE, RowStatus.UNKNOWN)


Name = TypeVar("Name", Estimator, EquilibriumMethod)


def _parse(kind: type[Name], name: str | Name, what: str, *, best: bool) -> Name:
    try:
        found = kind(name.value if isinstance(name, Enum) else name)
    except ValueError:
        found = None
    if found is None or (found is kind.BEST and not best):
        known = ", ".join(f"'{member.value}'" for member in kind if best or member is not kind.BEST)
        raise InputError(f"{what}: {name!r} is not known; expected one of {known}")
    return found


def estimator_number(name: str | Estimator | None, *, best: bool = True) -> Any:
    """Number of an estimator in the interface; unspecified for None."""
    if name is None:
        return types_pb2.ESTIMATOR_UNSPECIFIED
    member = _parse(Estimator, name, "estimator", best=best)
    return types_pb2.Estimator.Value(f"ESTIMATOR_{member.name}")


def method_number(name: str | EquilibriumMethod | None, *, best: bool = True) -> Any:
    """Number of an equilibrium method in the interface; unspecified for None."""
    if name is None:
        return types_pb2.EQUILIBRIUM_METHOD_UNSPECIFIED
    member = _parse(EquilibriumMethod, name, "equilibrium method", best=best)
    return types_pb2.EquilibriumMethod.Value(f"EQUILIBRIUM_METHOD_{member.name}")


def estimator_name(number: int) -> str:
    """Name of an estimator, also of one that this package does not know."""
    return _name(types_pb2.Estimator, number, "ESTIMATOR_")


def method_name(number: int) -> str:
    """Name of an equilibrium method, also of one that this package does not know."""
    return _name(types_pb2.EquilibriumMethod, number, "EQUILIBRIUM_METHOD_")


def _name(numbers: object, number: int, prefix: str) -> str:
    values: dict[int, str] = {value: name for name, value in numbers.items()}  # type: ignore[attr-defined]
    return values.get(number, f"unknown-{number}").removeprefix(prefix).lower().replace("_", "-")


_STATUS_BY_NUMBER: dict[int, RowStatus] = {
    value: RowStatus[name.removeprefix("ROW_STATUS_")]
    for name, value in types_pb2.RowStatus.items()
    if name.removeprefix("ROW_STATUS_") in RowStatus.__members__
}


def row_status(number: int) -> RowStatus:
    """The status of a number of the interface."""
    return _STATUS_BY_NUMBER.get(number, RowStatus.UNKNOWN)


def row_status_named(name: str) -> RowStatus:
    """The status of a name in a snapshot."""
    return RowStatus(name) if name in RowStatus._value2member_map_ else RowStatus.UNKNOWN
