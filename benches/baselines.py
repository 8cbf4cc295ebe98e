"""What numpy, scipy and Elephant take for the same work; run by `cargo bench --bench table`, prints one JSON document.

    baselines.py have                       which of them are there
    baselines.py counting DIRECTORY ...     pairs of what glauber has left in each directory, compared with its counts
    baselines.py estimators N ...           Cholesky factorization of C and its solves for D
    baselines.py offline FILE FIT           a recording read, binned at 1 ms and counted, compared with the counts of `glauber fit`

Threads are those of OPENBLAS_NUM_THREADS and the like. Conversions to the types of a library are not counted against it.
"""
import importlib.util
import json
import pathlib
import statistics
import sys
import time


def have(name):
    return importlib.util.find_spec(name) is not None


def median_s(call, repeats=3):
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return statistics.median(times), result


def check(found, expected, who):
    """Exactly equal counts; floating point holds them exactly below 2^24."""
    import numpy as np

    for name, a, b in zip(("equal-time", "delayed"), found, expected):
        if not np.array_equal(np.asarray(a, dtype=np.uint64), b):
            sys.exit(f"{who}: {name} counts differ from those of glauber")


def pairs(raster):
    """Counts of equal times over the earlier bins, and of each later bin (row) with the one before."""
    earlier, later = raster[:-1], raster[1:]
    return earlier.T @ earlier, later.T @ earlier


def counting(directory):
    import numpy as np
    import scipy.sparse

    directory = pathlib.Path(directory)
    shape = json.loads((directory / "shape.json").read_text())
    n, bins = shape["neurons"], shape["bins"]
    raster = np.fromfile(directory / "raster.u8", dtype=np.uint8).reshape(bins, n)
    expected = [np.fromfile(directory / f"{name}.u64", dtype="<u8").reshape(n, n) for name in ("equal_time", "delayed")]
    found = {"bins": bins}
    for name in ("float32", "float64"):
        matrix = raster.astype(name)
        found[f"numpy {name}"], counts = median_s(lambda: pairs(matrix))
        check(counts, expected, f"numpy {name}")
    if raster.mean() < 0.05:
        sparse = scipy.sparse.csr_array(raster.astype(np.int32))
        found["scipy.sparse"], counts = median_s(lambda: pairs(sparse))
        check([c.toarray() for c in counts], expected, "scipy.sparse")
        elephant = elephant_covariance(raster)
        if elephant is not None:
            found["Elephant, equal times alone"] = elephant
    return found


def elephant_covariance(raster):
    """Elephant's covariances of equal times, which must be those of the counts."""
    if not have("elephant"):
        return None
    import numpy as np
    import quantities as pq
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import covariance
    from neo.core import SpikeTrain

    bins = len(raster)
    trains = [SpikeTrain((np.flatnonzero(unit) + 0.5) * pq.ms, t_stop=bins * pq.ms) for unit in raster.T]
    binned = BinnedSpikeTrain(trains, bin_size=1 * pq.ms, t_start=0 * pq.ms, t_stop=bins * pq.ms)
    seconds, found = median_s(lambda: covariance(binned, binary=True), repeats=1)
    both, each = pairs_of_all(raster)
    expected = (both - np.outer(each, each) / bins) / (bins - 1)
    if not np.allclose(found, expected, rtol=1e-9, atol=1e-12):
        sys.exit("Elephant: covariances differ from those of the counts")
    return seconds


def pairs_of_all(raster):
    matrix = raster.astype("float64")
    return matrix.T @ matrix, matrix.sum(axis=0)


def estimator(n):
    import numpy as np
    import scipy.linalg

    random = np.random.default_rng(1)
    samples = random.standard_normal((2 * n, n))
    c = samples.T @ samples / (2 * n)
    d = random.standard_normal((n, n))
    seconds, solved = median_s(lambda: scipy.linalg.cho_solve(scipy.linalg.cho_factor(c), d), repeats=3 if n <= 2000 else 1)
    if not np.allclose(c @ solved, d):
        sys.exit("scipy: the solution does not solve")
    return seconds


def offline(file, fit):
    import h5py
    import numpy as np

    import scipy.sparse

    began = time.perf_counter()
    with h5py.File(file) as recording:
        times = recording["units/spike_times"][:]
        ends = recording["units/spike_times_index"][:].astype(np.int64)
    read = time.perf_counter()
    units = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    bins = np.rint(times * 1e9).astype(np.int64) // 1_000_000
    bins -= bins.min()
    shape = int(bins.max()) + 1, len(ends)
    raster = scipy.sparse.csr_array((np.ones(len(bins), dtype=np.int32), (bins, units)), shape=shape)
    # Several spikes of a unit in a bin have been added up.
    raster.data[:] = 1
    binned = time.perf_counter()
    found = [counts.toarray() for counts in pairs(raster)]
    counted = time.perf_counter()
    with h5py.File(fit) as snapshot:
        expected = snapshot["counts/equal_time"][:], snapshot["counts/delayed"][0]
    check(found, expected, "h5py and scipy")
    return {"reading_s": read - began, "binning_s": binned - read, "counting_s": counted - binned, "all_s": counted - began}


def main(what, *arguments):
    match what:
        case "have":
            return {name: have(name) for name in ("numpy", "scipy", "h5py", "elephant")}
        case "counting":
            return [counting(directory) for directory in arguments]
        case "estimators":
            return {n: estimator(int(n)) for n in arguments}
        case "offline":
            return offline(*arguments)
    sys.exit(__doc__)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:] or ["help"])))
