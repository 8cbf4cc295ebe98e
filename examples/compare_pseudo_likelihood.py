#!/usr/bin/env python3
"""Times scikit-learn's logistic regressions on the bins that `cargo run --release --example pseudo_likelihood 100 0.5 10000 1 FILE` wrote.

usage: compare_pseudo_likelihood.py FILE
"""
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression


def main():
    s = np.loadtxt(sys.argv[1])
    n = s.shape[1]
    for tolerance in (1e-4, 1e-8):
        start = time.perf_counter()
        j, h, steps = np.zeros((n, n)), np.zeros(n), 0
        for i in range(n):
            others = np.arange(n) != i
            fit = LogisticRegression(C=np.inf, tol=tolerance, max_iter=1000).fit(s[:, others], s[:, i])
            j[i, others], h[i] = fit.coef_[0] / 2, fit.intercept_[0] / 2
            steps = max(steps, fit.n_iter_[0])
        print(f"scikit-learn, lbfgs, tol {tolerance:.0e}: {time.perf_counter() - start:.3f} s, at most {steps} iterations")
        both = (j + j.T) / 2
        print(f"    mean square coupling {np.mean(both**2):.6e}")


if __name__ == "__main__":
    main()
