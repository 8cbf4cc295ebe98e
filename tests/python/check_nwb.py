"""Check NWB files written by glauber: pynwb validates and reads them, nwbinspector finds nothing grave.

    python tests/python/check_nwb.py file.nwb [...]

Needs pynwb, nwbinspector, h5py and pandas. Prints every finding; exits with 1 when there is a validation error, or an
inspector finding of importance CRITICAL, BEST_PRACTICE_VIOLATION or worse.
"""

import json
import pathlib
import sys
import warnings

import h5py
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
        if "glauber" in file.processing:
            read_session(file)


def read_session(file):
    """What the daemon adds to the file of a session: its facts, and the couplings, in agreement with each other."""
    module = file.processing["glauber"]
    units = file.units
    facts = module["session"].to_dataframe().iloc[0]
    width = facts["bin_width_us"] / 1e6
    bins = np.floor(units.spike_times.data[:] / width).astype(int)
    assert len(bins) == facts["spikes"]
    assert len(bins) == 0 or facts["first_bin"] <= bins.min() and bins.max() < facts["end_bin"]
    gaps = 0 if file.invalid_times is None else len(file.invalid_times)
    assert gaps == facts["gaps"]
    assert all(len(observed) == 1 for observed in units["obs_intervals"][:])
    if "trial_edges" in module.data_interfaces:
        edges = module["trial_edges"]["time"].data[:] / width
        assert np.all(np.abs(edges - np.round(edges)) < 1e-6)
    for listing in ("estimates", "equilibrium_models"):
        if listing in module.data_interfaces:
            for _, row in module[listing].to_dataframe().iterrows():
                read_model(module[row["table"]], units, row)


def read_model(table, units, row):
    n = len(units)
    assert table["unit"].table is units and list(table["unit"].data[:]) == list(range(n))
    status = np.array(table["status"].data[:])
    assert (status == "OK").sum() == row["rows_ok"]
    for name in table.colnames:
        if name not in ("unit", "status"):
            values = table[name].data[:]
            square = name in ("couplings", "standard_errors", "z", "q_values")
            assert values.shape == ((n, n) if square else (n,)), (table.name, name)
            assert values.dtype == np.float64 and np.isfinite(values).all(), (table.name, name)
            assert table[name].description
    couplings = table["couplings"].data[:]
    unusable = np.isin(status, ["SILENT", "SATURATED", "DUPLICATE"])
    assert np.all(couplings[unusable] == 0)
    if "z" in table.colnames:
        errors, z, q = (table[name].data[:] for name in ("standard_errors", "z", "q_values"))
        known = errors > 0
        assert np.allclose(z[known] * errors[known], couplings[known], rtol=1e-12)
        assert np.all(z[~known] == 0) and np.all((q >= 0) & (q <= 1)) and np.all(q[status != "OK"] == 1)
    else:
        assert np.array_equal(couplings, couplings.T)
    table.to_dataframe()


def read_plainly(path):
    """What a reader without pynwb relies on."""
    with h5py.File(path, "r") as file:
        times, index = file["units/spike_times"], file["units/spike_times_index"]
        assert times.dtype == np.float64 and times.attrs["resolution"] > 0
        assert index.dtype.kind == "u" and np.all(np.diff(index[:].astype(np.int64)) >= 0)
        assert index[-1] == len(times) and file[index.attrs["target"]] == times
        for name, node in file["processing"].items():
            assert node.attrs["neurodata_type"] == "ProcessingModule", name
            for table in node.values():
                rows = len(table["id"])
                for column in table.attrs["colnames"]:
                    assert len(table[column]) == rows, (table.name, column)


def compare(path):
    """The numbers that a JSON file of the same name says must be there, bit for bit."""
    expected = pathlib.Path(path).with_suffix(".json")
    if not expected.exists():
        return
    with h5py.File(path, "r") as file:
        for table, columns in json.loads(expected.read_text()).items():
            for column, values in columns.items():
                found = file["processing/glauber"][table][column]
                found = found.asstr()[:] if column == "status" else found[:]
                assert found.tolist() == values, (table, column)


def check(path):
    read(path)
    read_plainly(path)
    compare(path)
    errors = list(validate(path=path))
    for error in errors:
        print(f"{path}: pynwb: {error}")
    findings = list(inspect_nwbfile(nwbfile_path=path, skip_validate=True))
    for finding in findings:
        print(f"{path}: {finding.importance.name}: {finding.check_function_name}: {finding.message}")
    with h5py.File(path, "r") as file:
        silent = "units/spike_times" in file and len(file["units/spike_times"]) == 0
    if silent:
        # Some of the inspector's own checks fail on a column without a single value.
        findings = [finding for finding in findings if finding.importance is not Importance.ERROR]
    grave = [f for f in findings if f.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value]
    return not errors and not grave


if __name__ == "__main__":
    sys.exit(0 if all([check(path) for path in sys.argv[1:]]) else 1)
