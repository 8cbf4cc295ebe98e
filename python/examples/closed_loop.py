"""A closed loop: push each bin as it ends, act on what is probable in the next one; measures how long that takes.

python closed_loop.py [--connect HOST:PORT] [--neurons 100] [--bins 1000] [--width-ms 10]
"""

import argparse
import time

import numpy as np

import glauber


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect")
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--bins", type=int, default=1000)
    parser.add_argument("--width-ms", type=float, default=10.0)
    options = parser.parse_args()
    n, width_s = options.neurons, options.width_ms / 1e3
    rng = np.random.default_rng(1)
    past, live = rng.random((5000, n)) < 0.05, rng.random((options.bins, n)) < 0.05
    with glauber.connect(options.connect) as client:
        session = client.create_session(n, width_s, name="closed loop", windows=["all"], estimators=["nmf"], ridge=0.1, equilibrium_methods=[])
        latencies_ms, stimulated = [], 0
        with session.stream() as stream:
            stream.push(past)
            stream.flush()
            next(session.watch("nmf", standard_errors=False, q=False))  # the first estimate is there
            with session.predictions("nmf") as predictions:
                begin = time.perf_counter()
                for k, spikes in enumerate(live):
                    time.sleep(max(begin + k * width_s - time.perf_counter(), 0))  # the rig's clock: here the bin ends
                    ended = time.perf_counter()
                    bin_ = stream.push(spikes)
                    told = next(p for p in predictions if p.last_bin >= bin_)
                    latencies_ms.append(1e3 * (time.perf_counter() - ended))
                    if told.probabilities[-1].max() > 0.5:  # of the bin that has just begun
                        stimulated += 1
        session.close()
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    print(f"{options.bins} bins of {n} neurons, one every {options.width_ms:g} ms: from the end of a bin to its prediction")
    print(f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {max(latencies_ms):.2f} ms; {stimulated} bins in which a neuron was likelier than not to fire")


if __name__ == "__main__":
    main()
