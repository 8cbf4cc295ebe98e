"""Recompute the moments and standard errors of a snapshot file from its counts.

    python tests/python/check_snapshot.py snapshot.h5

Needs h5py and numpy. Exits with a message when the file does not agree with itself.
"""

import sys

import h5py
import numpy as np


def close(name, found, expected):
    if not np.allclose(found, expected, rtol=1e-12, atol=1e-15):
        sys.exit(f"{name}: differs from the counts by up to {np.abs(found - expected).max()}")


def check(path):
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "glauber-snapshot"
        assert file.attrs["format_version"] == 1
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
            assert set(estimate["status"].asstr()[:]) >= {"SILENT", "DUPLICATE"}
            assert np.isfinite(estimate["couplings"][:]).all()

        def described(path, object):
            if isinstance(object, h5py.Dataset):
                assert {"unit", "description", "dimensions"} <= set(object.attrs), path

        file.visititems(described)


if __name__ == "__main__":
    check(sys.argv[1])
