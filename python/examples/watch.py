"""Print the strongest couplings each time new ones are published.  python watch.py [HOST:PORT [SESSION [COUNT]]]"""

import sys

import numpy as np

import glauber


def main() -> None:
    address, session_name, count = (*sys.argv[1:], *[None, None, None][len(sys.argv) - 1 :])
    with glauber.connect(address) as client:
        session = client.session(session_name)
        with session.watch("best") as watch:
            for seen, estimate in enumerate(watch, start=1):
                missed = f", {estimate.skipped} missed" if estimate.skipped else ""
                again = ", after the daemon was lost" if estimate.reconnected else ""
                print(
                    f"bin {estimate.end_bin}: {estimate.estimator} over {estimate.window}, ridge {estimate.ridge:g}, "
                    f"{estimate.bits_per_spike:+.3f} bits/spike, {(estimate.q_values < 0.05).sum()} couplings with q < 0.05{missed}{again}",
                    flush=True,
                )
                strength = np.where(np.eye(estimate.n_neurons, dtype=bool), np.nan, np.abs(estimate.z))
                strength = np.nan_to_num(strength, nan=-1)  # last of all: what is not valid
                for flat in np.argsort(-strength, axis=None)[:3]:
                    receiver, sender = np.unravel_index(flat, strength.shape)
                    if not estimate.valid[receiver, sender]:
                        break
                    coupling, error = estimate.couplings[receiver, sender], estimate.standard_errors[receiver, sender]
                    print(f"    {receiver:3d} <- {sender:3d}: {coupling:+.3f} +- {error:.3f}", flush=True)
                if count is not None and seen == int(count):
                    break


if __name__ == "__main__":
    main()
