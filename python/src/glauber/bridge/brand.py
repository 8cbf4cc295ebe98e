"""Binned spikes from a BRAND stream (Redis) into a session of a glauber daemon: ``python -m glauber.bridge.brand --help``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client import Client, connect
from ..errors import GlauberError, InputError
from ..stream import BinStream
from .forward import Forwarder, session_for, whole_microseconds

log = logging.getLogger("glauber.bridge")

ENTRIES = 256
#: Longest wait for an entry, after which signals are looked at.
BLOCK_MS = 200
PAUSE_S = 0.5
FIELDS = (b"samples", b"i")

HELP = """\
Reads entries of a Redis stream with the fields that BRAND's binned spikes have: `samples` (int8 counts, one per neuron), `i` (number of the bin, which
tells what was lost), and `ts` (monotonic nanoseconds, which tell how long a node was away that starts to count anew). Counts above 1 count as one
spike. Entries that are not like that are left out as not observed.
"""

EXAMPLES = """\
examples:
  python -m glauber.bridge.brand --bin-width 10                                        the stream binned_spikes of the Redis on this machine
  python -m glauber.bridge.brand --bin-width 20 --redis redis://rig:6379/0 --stream bins --session "monkey 3"
"""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m glauber.bridge.brand",
        description="Forward BRAND's binned spikes into a session of a glauber daemon.\n\n" + HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bin-width", type=float, required=True, metavar="MS", help="width of a bin; the stream does not say it")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", metavar="URL", help="(default: redis://127.0.0.1:6379/0)")
    parser.add_argument("--stream", default="binned_spikes", metavar="KEY", help="key of the stream (default: binned_spikes)")
    parser.add_argument("--from-start", action="store_true", help="begin with the oldest entry there is, not with the next")
    parser.add_argument("--connect", metavar="ADDRESS", help="the daemon (default: GLAUBER_CONNECT, or 127.0.0.1:50051)")
    parser.add_argument("--token-file", metavar="FILE", help="file with the token that the daemon asks for")
    parser.add_argument("--session", metavar="NAME|ID", help="session to forward into; created when there is none (default: a new one)")
    parser.add_argument("--take-over", action="store_true", help="end the stream of a producer that is connected")
    parser.add_argument("--report", type=float, default=5.0, metavar="S", help="time between two reports in the log (default: 5)")
    parser.add_argument("--buffer", type=float, default=64.0, metavar="MB", help="memory for bins that are not yet durable (default: 64)")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Entry:
    """One bin as it came."""

    number: int
    time_ns: int | None
    counts: NDArray[np.int8]


def parse(fields: dict[bytes, bytes]) -> Entry:
    """An entry of the stream.

    Raises
    ------
    InputError
        When a field is missing, or is not what it should be.
    """
    for name in FIELDS:
        if name not in fields:
            raise InputError(f"an entry has no field '{name.decode()}', only {', '.join(sorted(f.decode('utf-8', 'replace') for f in fields))}")
    number = _unsigned(fields[b"i"], "i")
    time_ns = _unsigned(fields[b"ts"], "ts") if b"ts" in fields else None
    return Entry(number, time_ns, np.frombuffer(fields[b"samples"], dtype=np.int8))


def _unsigned(value: bytes, name: str) -> int:
    """A number in decimal digits, or as the 8 bytes of an unsigned integer, little-endian."""
    if value.isdigit():
        return int(value)
    if len(value) == 8:
        return int.from_bytes(value, "little")
    raise InputError(f"field '{name}' of an entry is {value[:20]!r}; expected a number")


class Numbering:
    """Bins by the numbers of entries; where those begin anew, by time."""

    def __init__(self, first_bin: int, bin_width_ns: int) -> None:
        self._next_bin = first_bin
        self._width_ns = bin_width_ns
        self._last: Entry | None = None

    def bin_of(self, entry: Entry) -> int:
        """Bin of the next entry; at least one is left out where a node was started anew."""
        last, self._last = self._last, entry
        if last is None:
            bin_ = self._next_bin
        elif entry.number > last.number:
            bin_ = self._next_bin + entry.number - last.number - 1
        else:
            away = 1
            if entry.time_ns is not None and last.time_ns is not None and entry.time_ns > last.time_ns:
                away = max(round((entry.time_ns - last.time_ns) / self._width_ns) - 1, 1)
            log.warning("entry %d after entry %d: the node began anew; %d bins are left out as not observed", entry.number, last.number, away)
            bin_ = self._next_bin + away
        self._next_bin = bin_ + 1
        return bin_


class BrandBridge:
    """Forwards one Redis stream into one session."""

    def __init__(self, options: argparse.Namespace, client: Client) -> None:
        try:
            import redis
        except ImportError as error:
            raise GlauberError("redis is not installed: pip install 'glauber[brand]', or 'redis'") from error
        self._errors: Any = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
        # Protocol 2 is what every server speaks.
        self._redis: Any = redis.Redis.from_url(options.redis, protocol=2, socket_timeout=5, socket_connect_timeout=5)
        self._options = options
        self._client = client
        self._last_id: bytes | str = "0-0" if options.from_start else "$"
        self.stop = threading.Event()
        self.malformed = 0
        #: Once the first entry has come.
        self.forwarder: Forwarder | None = None

    def run(self) -> None:
        """Forward until told to stop.

        Raises
        ------
        GlauberError
            When the session does not fit, or the daemon refuses.
        """
        width_s = whole_microseconds(self._options.bin_width / 1e3)
        try:
            self._settle_where_to_begin()
            entries: list[Entry] = []
            while not entries and not self.stop.is_set():
                entries = self._read()
            if not entries:
                return
            session = session_for(
                self._client,
                self._options.session,
                name=self._options.stream,
                n_neurons=len(entries[0].counts),
                labels=None,
                bin_width_s=width_s,
                origin_s=(entries[0].time_ns or 0) / 1e9,
            )
            with session.stream(take_over=self._options.take_over, buffer_bytes=int(self._options.buffer * 1e6)) as stream:
                self._forward(stream, entries, round(width_s * 1e9), session.info().origin_ns)
        finally:
            self._redis.close()

    def _settle_where_to_begin(self) -> None:
        """Name the newest entry there is now: `$` would be another one after each reconnection."""
        while self._last_id == "$" and not self.stop.is_set():
            try:
                newest = self._redis.xrevrange(self._options.stream, count=1)
                self._last_id = newest[0][0] if newest else "0-0"
            except self._errors as error:
                self._wait(error)

    def _wait(self, error: Exception) -> None:
        log.warning("redis: %s; trying again", error)
        self.stop.wait(PAUSE_S)

    def _read(self) -> list[Entry]:
        """The entries after the last one; none when there are none for a while, or the connection is lost."""
        try:
            answer = self._redis.xread({self._options.stream: self._last_id}, count=ENTRIES, block=BLOCK_MS)
        except self._errors as error:
            self._wait(error)
            return []
        entries: list[Entry] = []
        for _, messages in answer or ():
            for self._last_id, fields in messages:
                try:
                    entries.append(parse(fields))
                except InputError as error:
                    self._tell_malformed(str(error))
        return entries

    def _tell_malformed(self, problem: str) -> None:
        self.malformed += 1
        if self.malformed <= 3 or self.malformed % 1000 == 0:
            log.warning("%s: left out as not observed (%d so far)", problem, self.malformed)

    def _forward(self, stream: BinStream, entries: list[Entry], width_ns: int, origin_ns: int) -> None:
        self.forwarder = forwarder = Forwarder(stream, self.stop, report_interval_s=self._options.report)
        numbering = Numbering(_first_bin(entries[0], stream.next_bin, width_ns, origin_ns), width_ns)
        while not self.stop.is_set():
            for entry in entries:
                bin_ = numbering.bin_of(entry)
                if len(entry.counts) == stream.n_neurons:
                    forwarder.take(bin_, entry.counts[np.newaxis])
                else:
                    self._tell_malformed(f"entry {entry.number} has {len(entry.counts)} counts; expected {stream.n_neurons}")
            forwarder.report()
            entries = self._read()
        forwarder.finish()


def _first_bin(first: Entry, next_bin: int, width_ns: int, origin_ns: int) -> int:
    """Bin of the first entry: by its time, where the session has an origin, so that the time that a bridge was away is a gap.

    Raises
    ------
    InputError
        When the session began later on this clock.
    """
    # A bin at least between what was forwarded before and what comes now, so that no transition crosses.
    least = next_bin + (1 if next_bin > 0 else 0)
    if first.time_ns is None or origin_ns == 0:
        return least
    # In seconds and back an origin is off by less than a bin.
    by_time = round((first.time_ns - origin_ns) / width_ns)
    if by_time < 0:
        raise InputError(
            f"the session's clock began at {origin_ns} ns, later than the first entry's ts of {first.time_ns} ns: "
            "was the machine started anew? Use another session"
        )
    return max(by_time, least)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bridge; the exit status."""
    options = arguments(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        with connect(options.connect, token_file=options.token_file) as client:
            bridge = BrandBridge(options, client)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: bridge.stop.set())
            bridge.run()
    except (GlauberError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
