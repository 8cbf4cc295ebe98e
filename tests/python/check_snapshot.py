"""Recompute the moments and standard errors of a snapshot file from its counts.

    python tests/python/check_snapshot.py snapshot.h5

Needs h5py and numpy. Exits with a message when the file does not agree with itself.
"""

import math
import sys

import h5py
import numpy as np


def close(name, found, expected):
    if not np.allclose(found, expected, rtol=1e-12, atol=1e-15):
        sys.exit(f"{name}: differs from the counts by up to {np.abs(found - expected).max()}")


def benjamini_hochberg(z):
    p = np.array([math.erfc(abs(v) / math.sqrt(2)) for v in z])
    order = np.argsort(p)
    q = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    out = np.empty_like(p)
    out[order] = np.minimum(q, 1)
    return out


def check_q(name, estimate):
    """Couplings between neurons, self-couplings and fields are families of their own; rows that are not OK are in none."""
    ok = estimate["status"].asstr()[:] == "OK"
    errors = estimate["standard_errors"][:]
    diagonal = np.eye(len(ok), dtype=bool)
    takes_part = (errors > 0) & ok[:, None]
    expected = np.ones_like(errors)
    for family in (takes_part & ~diagonal, takes_part & diagonal):
        expected[family] = benjamini_hochberg(estimate["couplings"][:][family] / errors[family])
    close(f"{name} q_values", estimate["q_values"][:], expected)
    assert estimate.attrs["significant_couplings"] == (expected[~diagonal] < 0.05).sum()
    fields = ok & (estimate["field_standard_errors"][:] > 0)
    expected = np.ones(len(ok))
    expected[fields] = benjamini_hochberg(estimate["fields"][:][fields] / estimate["field_standard_errors"][:][fields])
    close(f"{name} field_q_values", estimate["field_q_values"][:], expected)


def check(path):
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "glauber-snapshot"
        assert file.attrs["format_version"] == 3
        n = int(file.attrs["n_neurons"])
        assert len(file["neurons/label"].asstr()[:]) == n

        counts = {name: dataset[:].astype(float) for name, dataset in file["counts"].items()}
        bins = float(file.attrs["bins_observed"])
        close("magnetization", file["magnetization"][:], 2 * counts["spikes"] / bins - 1)
        t = counts["transitions"]
        close("magnetization_sender", file["magnetization_sender"][:], 2 * counts["sender"][0] / t[0] - 1)
        close("magnetization_receiver", file["magnetization_receiver"][:], 2 * counts["receiver"][0] / t[0] - 1)

        k = counts["sender"][0]
        close("equal_time", file["equal_time"][:], 4 * (t[0] * counts["equal_time"] - np.outer(k, k)) / t[0] ** 2)
        for lag, delayed in enumerate(counts["delayed"]):
            product = np.outer(counts["receiver"][lag], counts["sender"][lag])
            close("delayed", file["delayed"][lag], 4 * (t[lag] * delayed - product) / t[lag] ** 2)

        for name in file.attrs["estimators"]:
            estimate = file["estimators"][name]
            sender = estimate["sampling_variance_sender"][:]
            receiver = estimate["sampling_variance_receiver"][:]
            with np.errstate(divide="ignore"):
                expected = np.sqrt(np.outer(1 / receiver, sender) / estimate.attrs["transitions"])
            expected[receiver == 0] = 0
            close(f"{name} standard_errors", estimate["standard_errors"][:], expected)
            check_q(name, estimate)
            assert set(estimate["status"].asstr()[:]) >= {"SILENT", "DUPLICATE"}
            assert np.isfinite(estimate["couplings"][:]).all()

        def described(path, object):
            if isinstance(object, h5py.Dataset):
                assert {"unit", "description", "dimensions"} <= set(object.attrs), path

        file.visititems(described)


if __name__ == "__main__":
    check(sys.argv[1])
