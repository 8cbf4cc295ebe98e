"""Open a snapshot file and plot its couplings.  python plot_snapshot.py SNAPSHOT.h5 [PLOT.png [ESTIMATOR]]"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import glauber


def main() -> None:
    path, target, estimator = (*sys.argv[1:], *[None, None][max(len(sys.argv) - 2, 0) :])
    with glauber.open_snapshot(path) as snapshot:
        estimate = snapshot.couplings(estimator)
        title = f"{snapshot.session_name}: {estimate.estimator}, window {snapshot.window}, ridge {estimate.ridge:g}, {estimate.bits_per_spike:+.3f} bits/spike"
    figure, (matrix, pairs) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    largest = np.nanmax(np.abs(estimate.masked), initial=1e-12)
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad="0.7")  # grey: not valid
    image = matrix.imshow(estimate.masked, cmap=colours, vmin=-largest, vmax=largest)
    matrix.set(xlabel="sender", ylabel="receiver", title="couplings (grey: no valid estimate)")
    figure.colorbar(image, label="J")
    off = estimate.valid & ~np.eye(estimate.n_neurons, dtype=bool)
    order = np.argsort(-np.abs(np.where(off, estimate.z, 0)), axis=None)[: min(20, off.sum())]
    receiver, sender = np.unravel_index(order, off.shape)
    pairs.errorbar(
        np.arange(len(order)), estimate.couplings[receiver, sender], 1.96 * estimate.standard_errors[receiver, sender], fmt="o", capsize=2
    )
    pairs.axhline(0, color="0.5", linewidth=0.8)
    pairs.set_xticks(np.arange(len(order)), [f"{r} ← {s}" for r, s in zip(receiver, sender, strict=True)], rotation=90)
    pairs.set(ylabel="J, 95 % interval", title="strongest pairs, receiver ← sender")
    figure.suptitle(title)
    figure.savefig(target or "couplings.png", dpi=120)
    print(f"wrote {target or 'couplings.png'}: {off.sum()} valid couplings, {(estimate.q_values[off] < 0.05).sum()} with q < 0.05")


if __name__ == "__main__":
    main()
