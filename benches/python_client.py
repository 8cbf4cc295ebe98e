"""How fast the Python client pushes bins and reads couplings, of a daemon that runs:

    PYTHONPATH=python/src python benches/python_client.py [HOST:PORT]

Pushing is counted from the first bin until all are durable. 1 % of the bins of a neuron are active.
"""

import sys
import time

import numpy as np

import glauber


def push(client, n, rows, bins):
    raster = np.random.default_rng(1).random((min(bins, 20_000), n)) < 0.01
    session = client.create_session(
        n, 0.001, windows=["all"], estimators=["nmf"], ridge=0.1, refresh_interval_bins=1_000_000, equilibrium_methods=[]
    )
    begin = time.perf_counter()
    with session.stream() as stream:
        for start in range(0, bins, rows):
            at = start % len(raster)
            stream.push(raster[at : at + rows])
        handed_over = time.perf_counter() - begin
        stream.flush()
        took = time.perf_counter() - begin
    info = session.info()
    assert info.durable_through == info.received_through >= bins
    print(f"n = {n:5}, {rows:5} bins a push: {bins / took:10,.0f} bins/s until durable; handed over in {handed_over / took:.0%} of the time")
    return session


def read(session, n):
    for what, arguments in (("couplings", dict(standard_errors=False, q=False)), ("couplings, standard errors and q", {})):
        session.couplings("nmf", **arguments)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            session.couplings("nmf", **arguments)
            times.append(time.perf_counter() - begin)
        print(f"n = {n:5}, {what}: {1e3 * np.median(times):.0f} ms")


def main():
    with glauber.connect(*sys.argv[1:]) as client:
        for n in (100, 1000):
            for rows, bins in ((1, 20_000), (10, 100_000), (1000, 400_000 if n == 100 else 100_000)):
                session = push(client, n, rows, bins)
                session.close()  # nothing is computed any more when the next one begins
            read(session, n)


if __name__ == "__main__":
    main()
