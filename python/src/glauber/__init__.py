"""Client of the glauber daemon: live couplings between neurons.

>>> import glauber                                                            # doctest: +SKIP
>>> client = glauber.connect("127.0.0.1:50051")
>>> session = client.create_session(neurons=96, bin_width=0.02, name="my rig")
>>> with session.stream() as stream:
...     stream.push(raster)                     # bool array (n_bins, n_neurons)
>>> estimate = session.couplings("best")
>>> estimate.couplings, estimate.standard_errors, estimate.q_values, estimate.status

A bin of a neuron is s = +1 when it fired and -1 otherwise; couplings are ``J[receiver, sender]``. Estimates come with standard errors, false
discovery rates and a status of each row: what is not ``valid`` is not to be believed.
"""

from .client import Client, Metadata, Subject, connect
from ._rpc import Tls
from .equilibrium import Agreement, EquilibriumModel, ModelCheck
from .errors import (
    AccessError,
    BinsLostError,
    DaemonError,
    FencedError,
    GlauberError,
    InputError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    NotReadyError,
    ProducerConnectedError,
    SnapshotError,
    StreamClosedError,
    UnavailableError,
    WaitTimeoutError,
)
from .estimates import Correlations, Couplings, Pair, Score, ScoreSum, StrongestPairs, TrialFields
from .names import EquilibriumMethod, Estimator, RowStatus
from .session import Session
from .session_info import ClosedSession, Reconstruction, Refit, SessionInfo, SnapshotFile
from .snapshot import Snapshot, open_snapshot
from .stream import BinStream
from .times import TimeStream
from .watch import CouplingsWatch, Predictions, PredictionStream

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "Agreement",
    "BinStream",
    "BinsLostError",
    "Client",
    "ClosedSession",
    "Correlations",
    "Couplings",
    "CouplingsWatch",
    "DaemonError",
    "EquilibriumMethod",
    "EquilibriumModel",
    "Estimator",
    "FencedError",
    "GlauberError",
    "InputError",
    "InvalidArgumentError",
    "LimitError",
    "Metadata",
    "ModelCheck",
    "NotFoundError",
    "NotReadyError",
    "Pair",
    "PredictionStream",
    "Predictions",
    "ProducerConnectedError",
    "Reconstruction",
    "Refit",
    "RowStatus",
    "Score",
    "ScoreSum",
    "Session",
    "SessionInfo",
    "Snapshot",
    "SnapshotError",
    "SnapshotFile",
    "StreamClosedError",
    "StrongestPairs",
    "Subject",
    "TimeStream",
    "Tls",
    "TrialFields",
    "UnavailableError",
    "WaitTimeoutError",
    "connect",
    "open_snapshot",
]
