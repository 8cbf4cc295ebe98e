"""What goes in as numpy comes out as numpy says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import moments, naive_mean_field, raster, transitions

import glauber
from glauber import InputError, RowStatus

N, BINS, GAP_AT, GAP = 24, 6000, 2500, 40


@pytest.fixture(scope="module")
def bins() -> np.ndarray:
    made = raster(BINS, N)
    made[:, 5] = False  # a dead electrode
    made[:, 9] = made[:, 3]  # and one that repeats another
    return made


@pytest.fixture(scope="module")
def session(daemon, bins):
    with glauber.connect(daemon.address) as client:
        session = client.create_session(
            neurons=np.arange(N) + 100,
            bin_width=0.01,
            name="round trip",
            labels=[f"unit {k}" for k in range(N)],
            windows=["all"],
            estimators=["nmf", "tap"],
            ridge=0.0,
            lags=[1, 3],
            equilibrium_methods=["nmf", "maximum-likelihood"],
            metadata=glauber.Metadata(description="a test", subject=glauber.Subject(subject_id="mouse 1")),
        )
        with session.stream() as stream:
            stream.push(bins[:GAP_AT])
            assert stream.push(bins[GAP_AT:].astype(np.uint8), first_bin=GAP_AT + GAP) == GAP_AT + GAP
            stream.flush(60)
            received, applied, durable = stream.watermarks
            assert (received, applied, durable) == (BINS + GAP,) * 3
        session.close()
        yield session


def test_counts_and_correlations_equal_numpy(session, bins) -> None:
    x, y = transitions(bins, (GAP_AT,))
    found = session.correlations()
    equal_time, delayed = moments(x, y)
    assert np.array_equal(found.spikes, bins.sum(0))
    assert found.bins_observed == BINS and found.transitions == len(x)
    assert np.array_equal(found.equal_time, equal_time), "the very same numbers"
    assert np.array_equal(found.delayed, delayed)
    assert np.array_equal(found.delayed_counts, (y.T @ x).astype(int))
    assert np.isnan(found.delayed_standard_errors[5]).all() and found.delayed_standard_errors[0, 1] > 0
    assert found.magnetization[0] == 2 * bins[:, 0].sum() / BINS - 1

    kept = [t for t in range(BINS - 3) if not t < GAP_AT <= t + 3]
    x, y = bins[kept].astype(float), bins[[t + 3 for t in kept]].astype(float)
    third = session.correlations(lag=3)
    assert (third.lag_bins, third.transitions) == (3, len(kept))
    assert np.array_equal(third.delayed, moments(x, y)[1])


def test_couplings_equal_an_independent_estimate(session, bins) -> None:
    estimate = session.couplings("nmf")
    alive = np.array([k for k in range(N) if k not in (5, 9)])
    couplings, fields, errors = naive_mean_field(*transitions(bins[:, alive], (GAP_AT,)))
    block = np.ix_(alive, alive)
    np.testing.assert_allclose(estimate.couplings[block], couplings, rtol=0, atol=1e-9)
    np.testing.assert_allclose(estimate.standard_errors[block], errors, rtol=1e-9)
    np.testing.assert_allclose(estimate.fields[alive], fields, rtol=0, atol=1e-9)
    np.testing.assert_allclose(estimate.z[block], couplings / errors, rtol=0, atol=1e-6)
    assert (estimate.estimator, estimate.window, estimate.ridge) == ("nmf", "all", 0.0)
    assert estimate.transitions == BINS - 2 and estimate.bins_observed == BINS
    assert list(estimate.neuron_ids[:2]) == [100, 101] and estimate.labels[7] == "unit 7"
    assert estimate.age_s is not None and np.isfinite(estimate.bits_per_spike)


def test_what_is_not_valid_does_not_look_valid(session) -> None:
    estimate = session.couplings("nmf")
    assert estimate.status[5] is RowStatus.SILENT and estimate.status[9] is RowStatus.DUPLICATE
    for dead in (5, 9):
        for matrix in (estimate.standard_errors, estimate.q_values, estimate.z, estimate.masked):
            assert np.isnan(matrix[dead]).all() and np.isnan(matrix[:, dead]).all()
        assert not estimate.valid[dead].any() and not estimate.valid[:, dead].any()
        assert np.isnan(estimate.field_standard_errors[dead]) and np.isnan(estimate.field_q_values[dead])
    assert estimate.valid.sum() == (N - 2) ** 2
    bare = session.couplings("nmf", standard_errors=False, q=False)
    assert bare.standard_errors is None and np.array_equal(bare.valid, estimate.valid)
    with pytest.raises(glauber.GlauberError, match="standard_errors=True"):
        _ = bare.z


def test_rows_and_pairs_are_parts_of_the_matrix(session) -> None:
    whole = session.couplings("tap")
    rows = session.couplings("tap", receivers=[7, 2])
    assert list(rows.receivers) == [7, 2]
    assert np.array_equal(rows.couplings, whole.couplings[[7, 2]])
    assert np.array_equal(rows.q_values, whole.q_values[[7, 2]], equal_nan=True)
    pairs = session.strongest_pairs(top=5, estimator="tap")
    z = np.where(np.eye(N, dtype=bool), 0, np.nan_to_num(np.abs(whole.z)))
    expected = [np.unravel_index(flat, z.shape) for flat in np.argsort(-z, axis=None)[:5]]
    assert [(pair.receiver, pair.sender) for pair in pairs.pairs] == expected
    first = pairs[0]
    assert first.coupling == whole.couplings[first.receiver, first.sender]
    assert first.q == whole.q_values[first.receiver, first.sender]
    significant = session.strongest_pairs(q_max=0.05, estimator="tap")
    off = ~np.eye(N, dtype=bool)
    assert significant.found == len(significant) == (whole.q_values[off] <= 0.05).sum()


def test_tables(session) -> None:
    pytest.importorskip("pandas")
    estimate = session.couplings("nmf")
    table = estimate.to_pandas().set_index(["receiver", "sender"])
    assert len(table) == N * N
    assert table.loc[(4, 2), "coupling"] == estimate.couplings[4, 2]
    assert table.loc[(5, 2), "status"] == "SILENT" and not table.loc[(5, 2), "valid"]
    assert np.isnan(table.loc[(5, 2), "standard_error"])
    assert estimate.fields_to_pandas()["label"][3] == "unit 3"
    assert list(session.strongest_pairs(3).to_pandas().columns[:2]) == ["receiver", "sender"]
    assert len(session.correlations().to_pandas()) == N * N


def test_equilibrium_models(session, bins) -> None:
    model = session.equilibrium_model("nmf")
    alive = np.array([k for k in range(N) if k not in (5, 9)])
    spins = 2.0 * bins[:, alive] - 1
    expected = -np.linalg.inv(np.cov(spins.T, bias=True))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.couplings[np.ix_(alive, alive)], expected, rtol=0, atol=1e-9)
    assert np.array_equal(model.couplings, model.couplings.T) and not model.refusal
    assert not model.valid[5].any() and np.isnan(model.masked[5]).all() and model.valid[0, 1]
    assert model.check is not None and 0 < model.check.observed.sum() <= 1 + 1e-9
    refused = session.equilibrium_model("maximum-likelihood")
    assert "20" in refused.refusal and np.isnan(refused.couplings).all() and not refused.valid.any()
    found = session.reconstruct(active=[0], silent=[1], method="nmf")
    assert len(found.neurons) == N - 2 and np.isnan(found.probability[list(found.neurons).index(5)])
    assert np.nanmax(found.probability) <= 1


def test_a_snapshot_holds_what_the_daemon_answers(session, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    listed = session.snapshots()
    newest = max(listed, key=lambda one: one.end_bin)
    path = session.fetch_snapshot(newest.file_name, tmp_path / "snapshot.h5")
    assert path.stat().st_size == newest.size_bytes and list(tmp_path.iterdir()) == [path]
    with glauber.open_snapshot(path) as file:
        assert (file.session_name, file.window, file.version) == ("round trip", "all", 3)
        assert (file.gap_count, file.gap_bins, file.bin_width_s) == (1, GAP, 0.01)
        for estimator in file.estimators:
            same(file.couplings(estimator), session.couplings(estimator))
        for lag in file.lags_bins:
            same(file.correlations(lag), session.correlations(lag))
        for method in ("nmf", "maximum-likelihood"):
            same(file.equilibrium_model(method), session.equilibrium_model(method))
        with pytest.raises(glauber.InputError, match="'exact'; the file has 'nmf', 'tap'"):
            file.couplings("exact")


def test_older_layouts_are_read_and_what_they_lack_looks_so() -> None:
    pytest.importorskip("h5py")
    fixtures = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
    with glauber.open_snapshot(fixtures / "snapshot_v1.h5") as first:
        estimate = first.couplings("nmf")
        assert (first.version, estimate.ridge, first.equilibrium_methods) == (1, 0.25, ())
        assert estimate.score is None and np.isnan(estimate.bits_per_spike) and estimate.ridge_path == {}
        assert np.isnan(estimate.field_standard_errors).all() and np.isnan(estimate.field_q_values).all()
        assert (estimate.first_bin, estimate.end_bin) == (first.first_bin, first.end_bin)
        assert estimate.valid.any() and np.isfinite(estimate.standard_errors[estimate.valid]).all()
        assert first.correlations(first.lags_bins[-1]).transitions > 0
        with pytest.raises(InputError, match="the file has none"):
            first.equilibrium_model()
    with glauber.open_snapshot(fixtures / "snapshot_v2.h5") as second:
        estimate = second.couplings("exact")
        assert (second.version, second.lags_bins, estimate.end_bin, estimate.ridge) == (2, (1, 2), 3000, 0.05)
        # As the program that wrote it printed.
        assert estimate.couplings[3, 4] == pytest.approx(-0.2497, abs=5e-5)
        assert estimate.score is not None and estimate.score.total.bits_per_spike == pytest.approx(0.104025724, abs=1e-9)
        assert np.isfinite(estimate.field_standard_errors).all() and estimate.iterations is not None


LIVE = {"publication", "skipped", "age_s", "bins_since", "reconnected"}


def same(one: object, other: object) -> None:
    """Equal to the bit, but for what only a live answer has."""
    for name, left in vars(one).items():
        right = getattr(other, name)
        if isinstance(left, np.ndarray):
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f"), name
        elif hasattr(left, "__dataclass_fields__"):
            same(left, right)
        elif name not in LIVE and name in type(one).__dataclass_fields__:
            if isinstance(left, float):  # sums of a file's numbers, added in another order
                assert left == pytest.approx(right, rel=1e-12, nan_ok=True), name
            elif isinstance(left, dict):
                assert left == pytest.approx(right, nan_ok=True), name
            else:
                assert left == right, name


def test_no_snapshot_is_told_what_it_is(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "text.h5").write_text("spikes")
    with pytest.raises(glauber.SnapshotError, match="not an HDF5 file"):
        glauber.open_snapshot(tmp_path / "text.h5")
    with pytest.raises(glauber.SnapshotError, match="no such file"):
        glauber.open_snapshot(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something"
    with pytest.raises(glauber.SnapshotError, match="'something'; expected 'glauber-snapshot'"):
        glauber.open_snapshot(tmp_path / "other.h5")
    with h5py.File(tmp_path / "newer.h5", "w") as file:
        file.attrs.update({"format": "glauber-snapshot", "format_version": 99})
    with pytest.raises(glauber.SnapshotError, match="version 99"):
        glauber.open_snapshot(tmp_path / "newer.h5")
