#!/usr/bin/env python3
"""Times scikit-learn, scipy and glauber on the same simulated bins, and compares the likelihoods they reach.

usage: compare_kinetic.py KINETIC_TIMING [--case dense|sparse] [--rows N] [--threads N]

KINETIC_TIMING is the binary of `cargo build --release --no-default-features --example kinetic_timing`. scikit-learn (lbfgs) and scipy
(L-BFGS-B) fit one row at a time; they fit the first N rows (default 5) and their time is multiplied up to all rows, which is
stated in the output. glauber fits all rows, standard errors included, and its time includes counting. The likelihood gap is that of
glauber minus that of the other, in nats per transition, penalty included, averaged over the rows fitted by both.
Needs: pip install numpy scipy scikit-learn
"""
import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

#        neurons, bins, coupling_std, spike_probability, ridge
CASES = {
    "dense": (100, 100_000, 0.5, 0.5, 0.0),
    "sparse": (1000, 600_000, 0.5, 0.01, 0.1),
}


def read_bins(path):
    raw = path.read_bytes()
    n, bins = np.frombuffer(raw, "<u4", 2)
    sizes = np.frombuffer(raw, "<u4", bins, 8)
    neurons = np.frombuffer(raw, "<u2", sizes.sum(), 8 + 4 * bins)
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return scipy.sparse.csr_matrix((np.ones(len(neurons)), neurons.astype(np.int32), starts), shape=(bins, n))


def objective(x, y, strength, b, w):
    """Penalised mean log-likelihood of 0/1 receivers y; log-odds b + x w with x in 0/1, so that w = 4 J."""
    z = b + x @ w
    return (y * z - np.logaddexp(0, z)).mean() - strength / 32 * w @ w


def with_sklearn(x, y, strength):
    # |w|²/2 + C Σ loss, and ours is Σ loss + T λ a |w|²/32.
    c = 16 / (len(y) * strength) if strength else np.inf
    fit = LogisticRegression(solver="lbfgs", C=c, tol=1e-6, max_iter=10_000).fit(x, y)
    return fit.intercept_[0], fit.coef_[0]


def with_scipy(x, y, strength):
    xt = x.T.tocsr() if scipy.sparse.issparse(x) else x.T

    def loss(p):
        z = p[0] + x @ p[1:]
        residual = (expit(z) - y) / len(y)
        value = (np.logaddexp(0, z) - y * z).mean() + strength / 32 * p[1:] @ p[1:]
        return value, np.r_[residual.sum(), xt @ residual + strength / 16 * p[1:]]

    options = dict(maxiter=10_000, maxfun=20_000, ftol=1e-15, gtol=1e-8)
    p = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return p[0], p[1:]


def compare(binary, case, rows, threads, folder):
    n, bins, std, probability, ridge = CASES[case]
    file, out = folder / "bins", folder / "couplings"
    run = lambda *a: subprocess.run([binary, *map(str, a)], check=True, capture_output=True, text=True).stdout
    run("simulate", n, bins, std, probability, 1, file)
    ours = json.loads(run("fit", file, ridge, threads, out))
    numbers = np.fromfile(out)
    fields, couplings = numbers[:n], numbers[n:].reshape(n, n)
    spikes = read_bins(file)
    x = spikes[:-1] if probability < 0.2 else np.ascontiguousarray(spikes[:-1].toarray())
    y = spikes[1:].toarray()[:, :rows] if n * bins < 5e7 else spikes[1:, :rows].toarray()
    seconds = ours["counting_seconds"] + ours["fitting_seconds"]
    print(f"{case}: {n} neurons, {bins} bins, P(spike) {probability}, ridge {ridge}, {threads} threads")
    print(f"  glauber       {seconds:9.2f} s   {json.dumps(ours)}")
    for name, fit in {"scikit-learn": with_sklearn, "scipy": with_scipy}.items():
        gaps, started = [], time.perf_counter()
        fits = []
        for i in range(rows):
            gain = 1 - (2 * y[:, i].mean() - 1) ** 2
            fits.append((ridge * gain, *fit(x, y[:, i], ridge * gain)))
        theirs = (time.perf_counter() - started) * n / rows
        for i, (strength, b, w) in enumerate(fits):
            mine = objective(x, y[:, i], strength, 2 * (fields[i] - couplings[i].sum()), 4 * couplings[i])
            gaps.append(mine - objective(x, y[:, i], strength, b, w))
        print(f"  {name:13s} {theirs:9.2f} s   ({rows} rows x {n}/{rows})   ratio {theirs / seconds:7.1f}   "
              f"likelihood gap {np.mean(gaps):+.1e} nats per transition")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("binary")
    a.add_argument("--case", choices=CASES, action="append")
    a.add_argument("--rows", type=int, default=5)
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in a.case or CASES:
            compare(str(Path(a.binary).resolve()), case, a.rows, a.threads, Path(folder))


if __name__ == "__main__":
    main()
