"""Counts of spikes from a Lab Streaming Layer stream into a session of a glauber daemon: ``python -m glauber.bridge.lsl --help``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client import Client, connect
from ..errors import GlauberError, InputError
from ..stream import BinStream
from .forward import Forwarder, session_for, whole_microseconds
from .timeline import LEFT_OUT, Timeline

log = logging.getLogger("glauber.bridge")

CHUNK_SAMPLES = 1024
#: Longest wait for a sample, after which signals are looked at.
PULL_S = 0.2
#: Without a sample for so long, it is looked whether the stream has changed.
SILENCE_S = 5.0

HELP = """\
A stream fits when each of its samples is one bin: a channel per neuron, holding how often it fired in the bin (int8, int16, int32, int64, float32,
double64) or 0 and 1, at a regular rate, whose inverse is the bin width. Counts above 1 count as one spike; how many were merged is logged. Lost
samples are found by their timestamps and become gaps, not silence. A stream that is started again is taken up again; the time in between is a gap.
"""

EXAMPLES = """\
examples:
  python -m glauber.bridge.lsl --list                                      what is on the network
  python -m glauber.bridge.lsl --name BinnedSpikes                         a new session called BinnedSpikes
  python -m glauber.bridge.lsl --type SpikeCounts --session "mouse 7"      into a session of that name, which goes on if it is there
  python -m glauber.bridge.lsl --name BinnedSpikes --connect https://lab:50051 --token-file tokens
"""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m glauber.bridge.lsl",
        description="Forward counts of spikes from a Lab Streaming Layer stream into a session of a glauber daemon.\n\n" + HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", help="name of the stream")
    parser.add_argument("--type", help="its content type")
    parser.add_argument("--source-id", help="its source identifier")
    parser.add_argument("--list", action="store_true", help="list the streams on the network, and end")
    parser.add_argument("--connect", metavar="ADDRESS", help="the daemon (default: GLAUBER_CONNECT, or 127.0.0.1:50051)")
    parser.add_argument("--token-file", metavar="FILE", help="file with the token that the daemon asks for")
    parser.add_argument("--session", metavar="NAME|ID", help="session to forward into; created when there is none (default: a new one)")
    parser.add_argument("--take-over", action="store_true", help="end the stream of a producer that is connected")
    parser.add_argument("--bin-width", type=float, metavar="MS", help="bin width, for a stream that says no rate")
    parser.add_argument("--jitter", type=float, default=250.0, metavar="MS", help="longest delay of a timestamp (default: 250)")
    parser.add_argument("--wait", type=float, default=60.0, metavar="S", help="longest wait for the stream to appear (default: 60)")
    parser.add_argument("--report", type=float, default=5.0, metavar="S", help="time between two reports in the log (default: 5)")
    parser.add_argument("--buffer", type=float, default=64.0, metavar="MB", help="memory for bins that are not yet durable (default: 64)")
    parsed = parser.parse_args(argv)
    if not parsed.list and not (parsed.name or parsed.type or parsed.source_id):
        parser.error("which stream? one of --name, --type and --source-id is needed (--list shows what there is)")
    return parsed


def lsl_module() -> Any:
    """pylsl, or an error that says how to get it."""
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        raise GlauberError(f"pylsl is not installed, or finds no liblsl: pip install 'glauber[lsl]' ({error})") from error
    return pylsl


class Stopped(Exception):  # noqa: N818 - no error
    """The bridge was told to end."""


class LslBridge:
    """Forwards one stream into one session."""

    def __init__(self, options: argparse.Namespace, client: Client) -> None:
        self._lsl = lsl_module()
        self._options = options
        self._client = client
        self.stop = threading.Event()
        self._info: Any = None
        self._inlet: Any = None
        #: Once the first sample has come.
        self.forwarder: Forwarder | None = None
        # Older releases have it in another module.
        module = next(one for one in ("util", "pylsl") if hasattr(getattr(self._lsl, one, None), "LostError"))
        self._lost_error: type[Exception] = getattr(self._lsl, module).LostError

    def run(self) -> Forwarder:
        """Forward until told to stop.

        Raises
        ------
        GlauberError
            When there is no such stream, it does not fit, or the daemon refuses.
        """
        self._inlet = self._open(self._resolve(self._options.wait))
        try:
            width_s = self._bin_width_s(self._info)
            samples, stamps = self._first()
            session = session_for(
                self._client,
                self._options.session,
                name=self._info.name(),
                n_neurons=self._info.channel_count(),
                labels=_labels(self._inlet.info(10.0)),
                bin_width_s=width_s,
                origin_s=stamps[0],
            )
            buffer_bytes = int(self._options.buffer * 1e6)
            origin_s = session.info().origin_ns / 1e9
            with session.stream(take_over=self._options.take_over, buffer_bytes=buffer_bytes) as stream:
                return self._forward(stream, samples, stamps, origin_s)
        finally:
            self._inlet.close_stream()

    # The stream.

    def _predicate(self) -> str:
        wanted = (("name", self._options.name), ("type", self._options.type), ("source_id", self._options.source_id))
        for key, value in wanted:
            if value is not None and "'" in value:
                raise InputError(f"--{key}: a quote in {value!r} cannot be asked for")
        return " and ".join(f"{key}='{value}'" for key, value in wanted if value is not None)

    def _resolve(self, wait_s: float) -> Any:
        predicate = self._predicate()
        log.info("looking for a stream with %s", predicate)
        deadline = time.monotonic() + wait_s
        while not self.stop.is_set():
            found = self._lsl.resolve_bypred(predicate, minimum=1, timeout=min(1.0, max(deadline - time.monotonic(), 0.1)))
            if len(found) > 1:
                names = ", ".join(f"{one.name()!r} of {one.hostname()} (source {one.source_id()!r})" for one in found)
                raise InputError(f"{len(found)} streams have {predicate}: {names}; tell them apart by --source-id")
            if found:
                return found[0]
            if time.monotonic() > deadline:
                raise GlauberError(f"no stream with {predicate} appeared within {wait_s:g} s (--list shows what there is)")
        raise Stopped

    def _open(self, info: Any) -> Any:
        lsl = self._lsl
        before, self._info = self._info, info
        if info.channel_format() not in _dtypes(lsl):
            raise InputError(f"stream {info.name()!r} has values that are no numbers; expected counts of spikes")
        if before is not None:
            for what in ("channel_count", "nominal_srate", "channel_format"):
                was, now = getattr(before, what)(), getattr(info, what)()
                if was != now:
                    raise InputError(f"stream {info.name()!r} came back with another {what}: {now} instead of {was}")
        # Timestamps on this machine's clock, so that a sender that is started again, or moved, does not change the time.
        inlet = lsl.StreamInlet(info, max_buflen=360, recover=False, processing_flags=lsl.proc_clocksync)
        inlet.open_stream(timeout=10)
        log.info(
            "stream %r, type %r, of %s: %d channels, %g Hz",
            info.name(),
            info.type(),
            info.hostname(),
            info.channel_count(),
            info.nominal_srate(),
        )
        return inlet

    def _bin_width_s(self, info: Any) -> float:
        rate, given_ms = float(info.nominal_srate()), self._options.bin_width
        if rate <= 0 and given_ms is None:
            raise InputError(f"stream {info.name()!r} has no regular rate; expected a sample per bin (--bin-width, if it is one)")
        if rate > 0 and given_ms is not None and abs(given_ms / 1e3 * rate - 1) > 1e-3:
            raise InputError(f"--bin-width {given_ms:g} ms: stream {info.name()!r} has {rate:g} Hz, bins of {1e3 / rate:.6g} ms")
        return whole_microseconds(1 / rate if rate > 0 else given_ms / 1e3)

    # Its samples.

    def _pull(self) -> tuple[NDArray[Any], list[float]]:
        """The samples that are there, shape (n_samples, n_channels), and their timestamps; none after a while without."""
        first, stamp = self._inlet.pull_sample(timeout=PULL_S)
        rows = np.empty((1 + CHUNK_SAMPLES, self._info.channel_count()), dtype=_dtypes(self._lsl)[self._info.channel_format()])
        if first is None:
            return rows[:0], []
        rows[0] = first
        _, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=CHUNK_SAMPLES, dest_obj=rows[1:])
        stamps = [stamp, *(float(one) for one in stamps)]
        return rows[: len(stamps)], stamps

    def _first(self) -> tuple[NDArray[Any], list[float]]:
        while not self.stop.is_set():
            samples, stamps = self._pull()
            # The first one tells where the session begins.
            known = np.flatnonzero(np.isfinite(stamps))
            if len(known):
                return samples[known[0] :], stamps[known[0] :]
        raise Stopped

    def _forward(self, stream: BinStream, samples: NDArray[Any], stamps: list[float], origin_s: float) -> Forwarder:
        width_s = self._bin_width_s(self._info)
        self.forwarder = forwarder = Forwarder(stream, self.stop, report_interval_s=self._options.report)
        first_bin = round((stamps[0] - origin_s) / width_s)
        if first_bin < 0:
            raise InputError("the session's clock began later than this stream's: was the machine started anew? Use another session")
        # A bin at least between what was forwarded before and what comes now, so that no transition crosses.
        first_bin = max(first_bin, stream.next_bin + (1 if stream.next_bin > 0 else 0))
        timeline = Timeline(width_s, first_bin=first_bin, jitter_s=self._options.jitter / 1e3)
        rows: list[NDArray[Any]] = []
        heard_at = time.monotonic()
        try:
            while not self.stop.is_set():
                if stamps:
                    heard_at = time.monotonic()
                    rows.append(samples)
                    rows = _release(forwarder, rows, timeline.add(stamps))
                elif time.monotonic() - heard_at > SILENCE_S:
                    log.warning("no samples for %.0f s", time.monotonic() - heard_at)
                    heard_at = time.monotonic()
                forwarder.report()
                try:
                    samples, stamps = self._pull()
                except self._lost_error:
                    log.warning("stream %r is lost; looking for it again", self._info.name())
                    samples, stamps = samples[:0], []
                    self._inlet.close_stream()
                    self._inlet = self._open(self._resolve(float("inf")))
                    heard_at = time.monotonic()
        except Stopped:
            pass
        _release(forwarder, rows, timeline.end())
        forwarder.finish()
        return forwarder


def _release(forwarder: Forwarder, rows: list[NDArray[Any]], bins: list[int]) -> list[NDArray[Any]]:
    """Forward the oldest rows into these bins; gives back those that are left."""
    if not bins:
        return rows
    counts = np.concatenate(rows)
    rest = [counts[len(bins) :]]
    is_placed = np.array(bins) != LEFT_OUT
    forwarder.leave_out(int((~is_placed).sum()))
    counts, placed = counts[: len(bins)][is_placed], np.array(bins)[is_placed]
    if not len(placed):
        return rest
    cuts = [0, *(np.flatnonzero(np.diff(placed) != 1) + 1), len(placed)]
    for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
        forwarder.take(int(placed[start]), counts[start:stop])
    return rest


def _dtypes(lsl: Any) -> dict[int, type]:
    return {
        lsl.cf_int8: np.int8,
        lsl.cf_int16: np.int16,
        lsl.cf_int32: np.int32,
        lsl.cf_int64: np.int64,
        lsl.cf_float32: np.float32,
        lsl.cf_double64: np.float64,
    }


def _labels(info: Any) -> list[str] | None:
    """Labels of the channels from the stream's description, when each has one."""
    labels: list[str] = []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty() and len(labels) <= info.channel_count():
        labels.append(channel.child_value("label"))
        channel = channel.next_sibling("channel")
    return labels if len(labels) == info.channel_count() and all(labels) else None


def list_streams() -> None:
    """Print what is on the network."""
    lsl = lsl_module()
    found = lsl.resolve_streams(wait_time=2.0)
    print(f"{len(found)} streams" if found else "no streams")
    for info in sorted(found, key=lambda one: str(one.name())):
        print(
            f"  name {info.name()!r}  type {info.type()!r}  source {info.source_id()!r}  "
            f"{info.channel_count()} channels  {info.nominal_srate():g} Hz  on {info.hostname()}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bridge; the exit status."""
    options = arguments(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        if options.list:
            list_streams()
            return 0
        with connect(options.connect, token_file=options.token_file) as client:
            bridge = LslBridge(options, client)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: bridge.stop.set())
            bridge.run()
    except Stopped:
        return 0
    except (GlauberError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
