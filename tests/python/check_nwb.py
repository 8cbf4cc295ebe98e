"""Check NWB files written by glauber: pynwb validates and reads them, nwbinspector finds nothing grave.

    python tests/python/check_nwb.py file.nwb [...]

Needs pynwb, nwbinspector and pandas. Prints every finding; exits with 1 when there is a validation error, or an
inspector finding of importance CRITICAL, BEST_PRACTICE_VIOLATION or worse.
"""

import sys
import warnings

import numpy as np
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO, validate

warnings.simplefilter("ignore")


def read(path):
    with NWBHDF5IO(path, "r") as io:
        file = io.read()
        units = file.units.to_dataframe()
        assert len(units) == len(file.units.id)
        for times in units["spike_times"]:
            assert np.all(np.diff(times) >= 0)
        assert file.units.resolution > 0
        for table in (file.trials, file.invalid_times):
            if table is not None:
                frame = table.to_dataframe()
                assert (frame["stop_time"] > frame["start_time"]).all()
        if "misc" in file.processing:
            truth = file.processing["misc"]["ground_truth"]
            n = len(units)
            assert truth["couplings"].data.shape == (n, n) and truth["fields"].data.shape == (n,)
            truth.to_dataframe()


def check(path):
    read(path)
    errors = list(validate(path=path))
    for error in errors:
        print(f"{path}: pynwb: {error}")
    findings = list(inspect_nwbfile(nwbfile_path=path, skip_validate=True))
    for finding in findings:
        print(f"{path}: {finding.importance.name}: {finding.check_function_name}: {finding.message}")
    grave = [f for f in findings if f.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value]
    return not errors and not grave


if __name__ == "__main__":
    sys.exit(0 if all([check(path) for path in sys.argv[1:]]) else 1)
