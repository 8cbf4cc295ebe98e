"""Push a simulated rig into a running daemon, and read its couplings.  python push_rig.py [HOST:PORT]"""

import sys

import numpy as np

import glauber

N, BINS, WIDTH_S = 40, 30_000, 0.01


def simulate(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Couplings J[receiver, sender], and bins of spikes they make, bool of shape (BINS, N)."""
    couplings = rng.normal(0, 0.3 / np.sqrt(N), (N, N))
    spins, draws = -np.ones((BINS, N)), rng.random((BINS, N))
    for t in range(1, BINS):
        field = -0.5 + couplings @ spins[t - 1]
        spins[t] = np.where(draws[t] < 1 / (1 + np.exp(-2 * field)), 1, -1)
    return couplings, spins > 0


def main() -> None:
    truth, bins = simulate(np.random.default_rng(1))
    with glauber.connect(*sys.argv[1:]) as client:
        session = client.create_session(
            N, WIDTH_S, name="simulated rig", windows=["all"], estimators=["nmf", "exact-mean-field"], ridge=0.0, equilibrium_methods=[]
        )
        with session.stream() as stream:
            for start in range(0, BINS, 50):  # a rig pushes as its bins come in
                stream.push(bins[start : start + 50])
        session.close()  # final estimates

        estimate = session.couplings("exact-mean-field")
        error = (estimate.couplings - truth)[estimate.valid]
        expected = estimate.standard_errors[estimate.valid]
        print(f"{estimate.estimator}, window {estimate.window}, {estimate.transitions} transitions, ridge {estimate.ridge:g}")
        print(f"{estimate.valid.sum()} of {N * N} couplings valid")
        print(f"root mean square error {np.sqrt(np.mean(error**2)):.4f}, expected {np.sqrt(np.mean(expected**2)):.4f}")
        print("strongest pairs (receiver <- sender: J +- SE, q):")
        for pair in session.strongest_pairs(5, estimator="exact-mean-field").pairs:
            print(f"  {pair.receiver:3d} <- {pair.sender:3d}: {pair.coupling:+.3f} +- {pair.standard_error:.3f}, q = {pair.q:.1e}")


if __name__ == "__main__":
    main()
