"""A daemon, and the sessions it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike

from ._proto import session_service_pb2, types_pb2
from ._rpc import Tls, Transport, read_token
from .errors import InputError, NotFoundError, UnavailableError
from .names import EquilibriumMethod, Estimator, estimator_number, method_number
from .session import Session
from .session_info import SessionInfo, session_info


@dataclass(frozen=True)
class Subject:
    """Whose neurons are recorded; empty texts say nothing.

    Attributes
    ----------
    subject_id : str
        Identifier of the animal or culture; no slashes.
    species : str
        Latin binomial such as ``"Mus musculus"``.
    sex : str
        ``"M"``, ``"F"``, ``"O"`` or ``"U"``.
    age : str
        ISO 8601 duration such as ``"P90D"``.
    description, strain, genotype : str
    """

    subject_id: str = ""
    species: str = ""
    sex: str = ""
    age: str = ""
    description: str = ""
    strain: str = ""
    genotype: str = ""


@dataclass(frozen=True)
class Metadata:
    """Who recorded what, where and when; it goes into the recording's NWB file. Empty texts say nothing.

    Attributes
    ----------
    description : str
    experimenters : sequence of str
        ``"Last, First"`` each.
    lab, institution : str
    keywords : sequence of str
    start : datetime, optional
        Wall-clock time of the left edge of bin 0, with its time zone; when the session is created by default.
    subject : Subject, optional
    """

    description: str = ""
    experimenters: Sequence[str] = ()
    lab: str = ""
    institution: str = ""
    keywords: Sequence[str] = ()
    start: datetime | None = None
    subject: Subject | None = None


def connect(
    address: str | None = None, *, token: str | None = None, token_file: str | Path | None = None, tls: bool | Tls | None = None
) -> Client:
    """Connect to a running daemon.

    Parameters
    ----------
    address : str, optional
        ``HOST:PORT``, or ``https://HOST:PORT`` for an encrypted connection. The environment's GLAUBER_CONNECT, or 127.0.0.1:50051, by default.
    token : str, optional
        Token that goes with each call, where the daemon asks for one.
    token_file : path, optional
        File with that token instead; the environment's GLAUBER_TOKEN_FILE by default.
    tls : bool or Tls, optional
        Encrypt the connection; `Tls` names the authority and the client's certificate. The environment's GLAUBER_CA, GLAUBER_CLIENT_CERTIFICATE
        and GLAUBER_CLIENT_KEY by default.

    Returns
    -------
    Client
        Also a context manager.

    Raises
    ------
    UnavailableError
        When no daemon answers there.
    AccessError
        When it asks for a token or a certificate.
    """
    environment = os.environ
    where = address or environment.get("GLAUBER_CONNECT") or "127.0.0.1:50051"
    if token is not None and token_file is not None:
        raise InputError("token and token_file: expected one of the two")
    file = token_file or (environment.get("GLAUBER_TOKEN_FILE") if token is None else None)
    if tls is None:
        names = ("GLAUBER_CA", "GLAUBER_CLIENT_CERTIFICATE", "GLAUBER_CLIENT_KEY")
        ca, certificate, key = (environment.get(name) for name in names)
        tls = Tls(ca, certificate, key) if ca or certificate or key else False
    transport = Transport(where, token=token or (read_token(file) if file else None), tls=tls)
    client = Client(transport)
    try:
        client.sessions()
    except UnavailableError as error:
        client.close()
        where = f"no daemon answers at {transport.target} (is `glauber serve` running there?)"
        raise UnavailableError(f"{where}: {error.details}", code=error.code) from None
    except BaseException:
        client.close()
        raise
    return client


class Client:
    """A connection to a daemon; made by `connect`. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Close the connection; who follows a session over it ends. Streams have connections of their own and go on."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return self._transport.target

    def _list(self) -> session_service_pb2.ListSessionsResponse:
        answer: session_service_pb2.ListSessionsResponse = self._transport.call(
            self._transport.sessions.ListSessions, session_service_pb2.ListSessionsRequest(), timeout_s=20
        )
        return answer

    def daemon_version(self) -> str:
        """Version of the daemon."""
        return self._list().daemon_version

    def keeps_journal(self) -> bool:
        """Whether what the daemon acknowledges as durable survives it."""
        return self._list().HasField("journal")

    def sessions(self) -> list[SessionInfo]:
        """All sessions that the daemon knows, by identifier; without identifiers and labels of their neurons."""
        return [session_info(one) for one in self._list().sessions]

    def session(self, id_or_name: str | None = None) -> Session:
        """A session by its identifier, or by its name where one session alone has it, open ones first.

        Parameters
        ----------
        id_or_name : str, optional
            The only session, open ones first, by default.

        Raises
        ------
        NotFoundError
            When there is none, or several that it could be.
        """
        known = self._list().sessions
        fitting = [one for one in known if one.session_id == id_or_name]
        if not fitting:
            fitting = [one for one in known if id_or_name is None or one.spec.name == id_or_name]
            is_open = [one for one in fitting if one.state == types_pb2.SESSION_STATE_OPEN]
            fitting = is_open or fitting
        if len(fitting) != 1:
            which = "session" if id_or_name is None else f"session {id_or_name!r}"
            names = ", ".join(f"{one.session_id} ({one.spec.name!r})" for one in (fitting or known)[:8]) or "none"
            found = "there is no" if not fitting else f"there are {len(fitting)} that could be"
            raise NotFoundError(f"{found} {which}; the daemon has {names}" if not fitting else f"{found} {which}: {names}")
        return self._open(fitting[0].session_id)

    def _open(self, session_id: str) -> Session:
        request = session_service_pb2.GetSessionRequest(session_id=session_id)
        answer = self._transport.call(self._transport.sessions.GetSession, request)
        return Session(self._transport, answer.session)

    def create_session(
        self,
        neurons: int | ArrayLike,
        bin_width: float,
        *,
        name: str = "",
        labels: Sequence[str] | None = None,
        origin: float = 0.0,
        windows: Sequence[str] | None = None,
        lags: Sequence[int] | None = None,
        estimators: Sequence[str | Estimator] | None = None,
        ridge: float | Sequence[float] | None = None,
        refresh_interval_bins: int | None = None,
        refit_interval_bins: int | None = None,
        refit_bins_max: int | None = None,
        score_memory_bins: int | None = None,
        equilibrium_methods: Sequence[str | EquilibriumMethod] | None = None,
        equilibrium_interval_bins: int | None = None,
        equilibrium_bins_max: int | None = None,
        equilibrium_seed: int | None = None,
        metadata: Metadata | None = None,
    ) -> Session:
        """Open a session; what is None is taken from the daemon's configuration.

        Parameters
        ----------
        neurons : int or array_like of int, shape (n_neurons,)
            Number of neurons, numbered from 0, or their identifiers in index order.
        bin_width : float
            Width of a bin in seconds, 0.0001 to 1, whole microseconds.
        name : str
            Name for people.
        labels : sequence of str, length n_neurons, optional
            Names of the neurons.
        origin : float
            Time of the left edge of bin 0 on the recording's clock, seconds.
        windows : sequence of str, optional
            ``"all"`` or durations such as ``"10min"``; the first answers queries that name none.
        lags : sequence of int, optional
            Lags of the delayed correlations, bins.
        estimators : sequence of str or Estimator, optional
            The first answers queries that name none.
        ridge : float or sequence of float, optional
            Ridge, or those that each estimator chooses from.
        refresh_interval_bins, refit_interval_bins, refit_bins_max, score_memory_bins : int, optional
            Bins between estimates and refits, most bins of a refit, memory of the recent score.
        equilibrium_methods : sequence of str or EquilibriumMethod, optional
            Equilibrium models to fit; empty for none.
        equilibrium_interval_bins, equilibrium_bins_max, equilibrium_seed : int, optional
        metadata : Metadata, optional
            For the recording's NWB file.

        Raises
        ------
        InputError, InvalidArgumentError
            Naming what is wrong; `GlauberError.field` is its path.
        LimitError
            When a limit of the daemon is reached.
        """
        spec = types_pb2.SessionSpec(
            name=name,
            bin_width_us=_microseconds(bin_width),
            origin_ns=round(origin * 1e9),
            windows=windows or (),
            lags_bins=[int(lag) for lag in lags or ()],
            estimators=[estimator_number(one, best=False) for one in estimators or ()],
            refresh_interval_bins=refresh_interval_bins,
            refit_interval_bins=refit_interval_bins,
            refit_bins_max=refit_bins_max,
            score_memory_bins=score_memory_bins,
            equilibrium_methods=[method_number(one, best=False) for one in equilibrium_methods or ()],
            equilibrium_interval_bins=equilibrium_interval_bins,
            equilibrium_bins_max=equilibrium_bins_max,
            equilibrium_seed=equilibrium_seed,
            no_equilibrium=equilibrium_methods is not None and len(equilibrium_methods) == 0,
            metadata=None if metadata is None else _metadata(metadata),
        )
        _set_neurons(spec, neurons, labels)
        if ridge is not None and np.ndim(ridge) == 0:
            spec.ridge = float(ridge)  # type: ignore[arg-type]
        elif ridge is not None:
            spec.ridge_path.extend(float(one) for one in ridge)  # type: ignore[union-attr]
        request = session_service_pb2.CreateSessionRequest(spec=spec)
        answer = self._transport.call(self._transport.sessions.CreateSession, request)
        return Session(self._transport, answer.session)


def _microseconds(bin_width_s: float) -> int:
    us = bin_width_s * 1e6
    if not (np.isfinite(us) and 0 < us < 2**32 and abs(us - round(us)) < 1e-6 * us):
        raise InputError(f"bin_width: {bin_width_s} s; expected whole microseconds from 0.0001 to 1 s")
    return round(us)


def _set_neurons(spec: types_pb2.SessionSpec, neurons: int | ArrayLike, labels: Sequence[str] | None) -> None:
    array = np.asarray(neurons)
    if not np.issubdtype(array.dtype, np.integer) or array.ndim > 1:
        raise InputError(f"neurons: dtype {array.dtype}, shape {array.shape}; expected a number, or integers of shape (n_neurons,)")
    if array.ndim == 0 and not 0 < int(array) < 2**32:
        raise InputError(f"neurons: {array}; expected at least one")
    if array.ndim == 0 and labels is None:
        spec.neuron_count = int(array)
        return
    ids = np.arange(int(array)) if array.ndim == 0 else array
    if labels is not None and len(labels) != len(ids):
        raise InputError(f"labels: {len(labels)} for {len(ids)} neurons")
    names = labels if labels is not None else [""] * len(ids)
    spec.neurons.extend(types_pb2.Neuron(id=int(one), label=label) for one, label in zip(ids, names, strict=True))


def _metadata(metadata: Metadata) -> types_pb2.SessionMetadata:
    start = metadata.start
    if start is not None and start.tzinfo is None:
        raise InputError(f"metadata.start: {start} has no time zone")
    subject = metadata.subject
    return types_pb2.SessionMetadata(
        description=metadata.description,
        experimenters=metadata.experimenters,
        lab=metadata.lab,
        institution=metadata.institution,
        keywords=metadata.keywords,
        start_unix_ns=None if start is None else int(start.timestamp()) * 10**9 + start.microsecond * 1000,
        subject=None if subject is None else types_pb2.Subject(**subject.__dict__),
    )
