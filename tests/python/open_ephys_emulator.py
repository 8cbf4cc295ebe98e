"""An emulator of the ZMQ Interface plugin of Open Ephys, on libzmq as the plugin itself.

Publishes an acquisition of random spikes as the plugin and the Spike Detector before it do: of each block of samples the spikes, electrode by
electrode, those of its last 100 samples with the next block; then one `data` message for each channel. Prints where it listens, waits for a
heartbeat, sends, and prints what it sent in bins counted by numpy.

Facts: github.com/open-ephys-plugins/zmq-interface (Source/ZmqInterface.cpp), github.com/open-ephys/gui-docs (ZMQ-Interface.rst).
"""

import argparse
import json
import sys
import threading
import time

import numpy as np
import zmq

STREAM = "Rhythm Data"
DETECTOR_DELAY = 100


class Plugin:
    """The two sockets, and the number of messages of this acquisition."""

    def __init__(self, context: zmq.Context, rate: float) -> None:
        self.publisher = context.socket(zmq.PUB)
        self.data_port = self.publisher.bind_to_random_port("tcp://127.0.0.1")
        self.listener = context.socket(zmq.REP)
        self.listen_port = self.listener.bind_to_random_port("tcp://127.0.0.1")
        self.rate = rate
        self.number = 0
        self.started_ms = int(time.time() * 1000)
        self.heard = threading.Event()
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self) -> None:
        """Answer heartbeats as the plugin does."""
        while True:
            try:
                message = json.loads(self.listener.recv())
            except ValueError:
                self.listener.send(b"JSON message could not be read")
                continue
            self.listener.send(b"heartbeat received")
            if message.get("type") == "heartbeat" and message.get("application") and message.get("uuid"):
                self.heard.set()

    def start(self) -> None:
        """Begin an acquisition."""
        self.number = 0

    def send(self, envelope: bytes, header: dict, sample: int, payload: bytes | None) -> None:
        self.number += 1
        timestamp = self.started_ms + int(sample * 1000 / self.rate)
        header = {"message_num": self.number, **header, "timestamp": timestamp}
        parts = [envelope + b"\0", json.dumps(header, indent=2).encode()]
        self.publisher.send_multipart(parts if payload is None else [*parts, payload])

    def data(self, channel: int, first: int, samples: np.ndarray) -> None:
        content = {
            "stream": STREAM,
            "channel_num": channel,
            "num_samples": len(samples),
            "sample_num": first,
            "sample_rate": self.rate,
        }
        payload = samples.astype(np.float32).tobytes()
        self.send(b"DATA", {"type": "data", "content": content, "data_size": len(payload)}, first, payload)

    def spike(self, electrode: int, sorted_id: int, sample: int) -> None:
        spike = {
            "stream": STREAM,
            "source_node": 105,
            "electrode": f"Electrode {electrode + 1}",
            "sample_num": sample,
            "num_channels": 1,
            "num_samples": 40,
            "sorted_id": sorted_id,
            "threshold": [-50.0],
        }
        self.send(b"EVENT", {"type": "spike", "spike": spike}, sample, np.zeros(40, np.float32).tobytes())

    def event(self, sample: int) -> None:
        content = {"stream": STREAM, "source_node": 100, "type": 3, "sample_num": sample}
        self.send(b"EVENT", {"type": "event", "content": content, "data_size": 10}, sample, bytes(10))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=float, default=30000.0)
    parser.add_argument("--block", type=int, default=640)
    parser.add_argument("--electrodes", type=int, default=8)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--hz", type=float, default=20.0)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--bin-us", type=int, default=10000)
    args = parser.parse_args()

    plugin = Plugin(zmq.Context(), args.rate)
    print(json.dumps({"data_port": plugin.data_port, "listen_port": plugin.listen_port}), flush=True)
    if not plugin.heard.wait(60):
        sys.exit("nobody sent a heartbeat")
    # The subscriber may be a moment behind its heartbeat: events of a run before, which hold nothing.
    plugin.number = 1000
    for _ in range(50):
        plugin.event(0)
        time.sleep(0.01)

    rng = np.random.default_rng(7)
    total = int(args.seconds * args.rate) // args.block * args.block
    electrodes, samples = np.nonzero(rng.random((args.electrodes, total)) < args.hz / args.rate)
    plugin.start()
    began = time.monotonic()
    for first in range(0, total, args.block):
        lo, hi = first - DETECTOR_DELAY, first + args.block - DETECTOR_DELAY
        inside = (samples >= lo) & (samples < hi)
        for electrode, sample in zip(electrodes[inside], samples[inside]):
            plugin.spike(int(electrode), 0, int(sample))
        if rng.random() < 0.1:
            plugin.event(first)
        for channel in range(args.channels):
            plugin.data(channel, first, rng.normal(size=args.block))
        time.sleep(max(0.0, (first + args.block) / args.rate / args.speed - (time.monotonic() - began)))

    rate = int(args.rate)
    bins = samples.astype(np.int64) * 1_000_000_000 // rate // (args.bin_us * 1000)
    pairs = sorted({(int(b), int(e)) for b, e in zip(bins, electrodes)})
    print(json.dumps({"pairs": pairs, "spikes": len(samples), "messages": plugin.number}), flush=True)
    # The subscriber takes its time; it is we who are ended.
    sys.stdin.read()


if __name__ == "__main__":
    main()
