#!/usr/bin/env python3
"""Times the erasure machine in numpy and glauber, and pseudo-likelihood in scikit-learn and glauber, on the same simulated bins.

usage: compare_equilibrium.py EQUILIBRIUM_TIMING [--neurons N] [--bins N] [--coupling-std G] [--epsilons K] [--threads N]

EQUILIBRIUM_TIMING is the binary of `cargo build --release --no-default-features --example equilibrium_timing`. numpy runs the published
scan, 100 steps at rate 0.1 from zero for each of 20 ε, with energies and moments as products of matrices; with --epsilons K only for K of
them, spread over the list, and its time is multiplied up to all, which is stated in the output. glauber finds the fixed point of every one
of the 20, to 1e-6, and also runs the very same iteration: parameters must agree to 1e-9. The scan as it is by default, which ends
after four falls of the mean energy, is timed next to these. scikit-learn (lbfgs, tolerance 1e-8, no ridge) fits every row; couplings,
(J + J transposed) / 2, must agree to 1e-4.
Rates are operations of the products (n² T additions and multiplications each, half of that by symmetry, twice a pass) over the time,
next to the best rate of products of matrices in the same run.
Needs: pip install numpy scikit-learn
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPSILONS = [k / 20 for k in range(20, 0, -1)]


def read_bins(np, path):
    raw = path.read_bytes()
    n, bins = np.frombuffer(raw, "<u4", 2)
    sizes = np.frombuffer(raw, "<u4", bins, 8)
    neurons = np.frombuffer(raw, "<u2", sizes.sum(), 8 + 4 * bins)
    spins = -np.ones((bins, n))
    spins[np.repeat(np.arange(bins), sizes), neurons] = 1.0
    return spins


def erasure_machine(np, conf, f, epsilon, iterations=100, rate=0.1):
    n = conf.shape[1]
    log_f, h, j = np.log(f), np.zeros(n), np.zeros((n, n))
    product = np.empty_like(conf)
    energies = lambda: conf @ h + 0.5 * np.einsum("ti,ti->t", np.matmul(conf, j, out=product), conf)
    for _ in range(iterations):
        log_w = log_f + (epsilon - 1) * energies()
        w = np.exp(log_w - log_w.max())
        w /= w.sum()
        h += rate * (w @ conf - epsilon * h)
        np.multiply(conf, w[:, None], out=product)
        j += rate * (product.T @ conf - epsilon * j)
        np.fill_diagonal(j, 0)
    return h, j, -(f @ energies())


def compare_scan(np, run, folder, spins, a):
    scan = json.loads(run("scan", folder / "bins", a.threads, folder / "model", "all"))
    default = json.loads(run("scan", folder / "bins", a.threads, folder / "model"))
    same = json.loads(run("published-scan", folder / "bins", a.threads, folder / "model"))
    peak = json.loads(run("peak", a.threads))["operations_per_second"]
    path, short = scan.pop("path"), default.pop("path")
    assert len(path) == scan["converged"] == 20, f"{scan['converged']} of {len(path)} have converged"
    assert path[scan["chosen"]]["epsilon"] == short[default["chosen"]]["epsilon"], "the default scan stopped too early"
    n, distinct = scan["neurons"], scan["distinct"]
    # A pass is the energies and the moments, each half of 2 n² T.
    rate = scan["passes"] * 2 * n * n * distinct / scan["fitting_seconds"]
    print(f"erasure machine: {n} neurons, {scan['bins']} bins, {distinct} distinct, 20 ε, {a.threads} threads")
    print(f"  glauber       {scan['fitting_seconds']:9.2f} s   {json.dumps(scan)}")
    print(f"    chosen ε {path[scan['chosen']]['epsilon']}, largest residual {max(s['residual'] for s in path):.1e}")
    print(f"    {rate:.2e} operations per second, {rate / peak:.2f} of the best rate of matrix products, {peak:.2e}")
    print(f"    by default, {len(short)} ε: {default['fitting_seconds']:.2f} s, {default['passes']} passes")
    conf, count = np.unique(spins, axis=0, return_counts=True)
    f = count / count.sum()
    tried = [EPSILONS[int((k + 0.5) * 20 / a.epsilons)] for k in range(a.epsilons)]
    seconds = 0.0
    for epsilon in tried:
        started = time.perf_counter()
        h, j, _ = erasure_machine(np, conf, f, epsilon)
        seconds += time.perf_counter() - started
        result = json.loads(run("iterate", folder / "bins", a.threads, epsilon, 100, folder / "model"))
        numbers = np.fromfile(folder / "model")
        gap = max(abs(numbers[:n] - h).max(), abs(numbers[n:].reshape(n, n) - j).max())
        print(f"    ε = {epsilon}: largest difference of the iteration in numpy and glauber {gap:.1e}, "
              f"residual left {result['step']['residual']:.1e}")
        assert gap < 1e-9, f"numpy and glauber differ by {gap}"
    theirs = seconds * 20 / len(tried)
    print(f"  numpy         {theirs:9.2f} s   ({len(tried)} ε x 20/{len(tried)})   ratio {theirs / scan['fitting_seconds']:7.1f}   "
          f"the same iterations in glauber {same['fitting_seconds']:.2f} s, ratio {theirs / same['fitting_seconds']:.1f}")


def compare_pseudo_likelihood(np, run, folder, spins, a):
    from sklearn.linear_model import LogisticRegression

    ours = json.loads(run("pseudo-likelihood", folder / "bins", a.threads, folder / "model"))
    n = spins.shape[1]
    assert ours["rows_ok"] == n, f"{ours['rows_ok']} of {n} rows have an estimate"
    numbers = np.fromfile(folder / "model")
    h, j, started = np.zeros(n), np.zeros((n, n)), time.perf_counter()
    for i in range(n):
        others = np.arange(n) != i
        row = LogisticRegression(solver="lbfgs", C=np.inf, tol=1e-8, max_iter=10_000).fit(spins[:, others], spins[:, i] > 0)
        j[i, others], h[i] = row.coef_[0] / 2, row.intercept_[0] / 2
    theirs = time.perf_counter() - started
    symmetric = (j + j.T) / 2
    # glauber keeps each neuron's mean input when it makes couplings symmetric.
    h += (j - symmetric) @ spins.mean(0)
    gap = max(abs(numbers[:n] - h).max(), abs(numbers[n:].reshape(n, n) - symmetric).max())
    print(f"pseudo-likelihood: {n} neurons, {len(spins)} bins, {a.threads} threads")
    print(f"  glauber       {ours['fitting_seconds']:9.2f} s   {json.dumps(ours)}")
    print(f"  scikit-learn  {theirs:9.2f} s   ratio {theirs / ours['fitting_seconds']:7.1f}   largest difference {gap:.1e}")
    assert gap < 1e-4, f"scikit-learn and glauber differ by {gap}"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("binary")
    a.add_argument("--neurons", type=int, default=100)
    a.add_argument("--bins", type=int, default=10_000)
    a.add_argument("--coupling-std", type=float, default=1.0)
    a.add_argument("--epsilons", type=int, default=20, choices=range(1, 21), metavar="K")
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    if "numpy" in sys.modules:
        raise SystemExit("threads are set before numpy is loaded")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(a.threads)
    import numpy as np

    binary = str(Path(a.binary).resolve())
    run = lambda *args: subprocess.run([binary, *map(str, args)], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run("simulate", a.neurons, a.bins, a.coupling_std, 1, folder / "bins")
        spins = read_bins(np, folder / "bins")
        compare_scan(np, run, folder, spins, a)
        compare_pseudo_likelihood(np, run, folder, spins, a)


if __name__ == "__main__":
    main()
