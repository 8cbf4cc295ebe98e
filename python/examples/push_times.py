"""Push time-stamped spikes of two amplifiers with clocks of their own; the daemon bins them.  python push_times.py [HOST:PORT]"""

import sys

import numpy as np

import glauber

N, SECONDS, WIDTH_S = 16, 30, 0.005


def main() -> None:
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(0, SECONDS, 400 * SECONDS))
    neurons = rng.integers(0, N, len(times))
    with glauber.connect(*sys.argv[1:]) as client:
        session = client.create_session(N, WIDTH_S, name="time stamps", windows=["all"], estimators=["nmf"], equilibrium_methods=[])
        # The probe's clock began 12.5 s after the recording's, so that it shows 12.5 s less.
        with session.time_stream(lateness_s=0.02, sources={"array": 0.0, "probe": 12.5}) as stream:
            for start in np.arange(0, SECONDS, 0.1):
                now = (times >= start) & (times < start + 0.1)
                of_array = now & (neurons < N // 2)
                of_probe = now & (neurons >= N // 2)
                # The clock says that no spike before it is to come, but for those at most lateness_s late.
                stream.push_times(neurons[of_array], times[of_array], clock_s=start + 0.1, source="array")
                stream.push_times(neurons[of_probe], times[of_probe] - 12.5, clock_s=start + 0.1 - 12.5, source="probe")
        info = session.info()
        print(f"{info.active_entries} entries in {info.applied_through} bins; {info.merged_spikes} spikes shared a bin, {info.late_spikes} late")
        found = session.correlations()
        print(f"{found.spikes.sum()} (neuron, bin) entries counted; mean rate {found.spikes.mean() / SECONDS:.1f} bins/s with a spike")
        session.close()


if __name__ == "__main__":
    main()
