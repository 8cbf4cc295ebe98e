#!/usr/bin/env python3
"""Drives a running daemon as any Python client would, and checks its answers with numpy and h5py.

usage: grpc_client.py ADDRESS
"""
import io
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "proto"))
import grpc
import h5py
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

types = grpc.protos("glauber/v1/types.proto")
sessions_pb, sessions_rpc = grpc.protos_and_services("glauber/v1/session_service.proto")
ingest_pb, ingest_rpc = grpc.protos_and_services("glauber/v1/ingest_service.proto")
inference_pb, inference_rpc = grpc.protos_and_services("glauber/v1/inference_service.proto")
archive_pb, archive_rpc = grpc.protos_and_services("glauber/v1/archive_service.proto")

SERVICES = ["ArchiveService", "InferenceService", "IngestService", "SessionService"]
N, BINS, GAP_AT, GAP = 30, 5000, 3000, 40


def messages(session_id, raster, sparse):
    yield ingest_pb.StreamSpikesRequest(open=ingest_pb.OpenStream(session_id=session_id))
    # A hole in the numbering: bins that were lost.
    for start, stop, shift in ((0, GAP_AT, 0), (GAP_AT, BINS, GAP)):
        for first in range(start, stop, 77):
            chunk = raster[first : min(first + 77, stop)]
            if sparse:
                active = dict(active_counts=chunk.sum(1), neurons=np.nonzero(chunk)[1])
                spikes = dict(sparse=ingest_pb.SparseBins(**active))
            else:
                bits = np.packbits(chunk, axis=1, bitorder="little").tobytes()
                spikes = dict(packed=ingest_pb.PackedBins(bin_count=len(chunk), bits=bits))
            bins = ingest_pb.SpikeBins(first_bin=first + shift, **spikes)
            yield ingest_pb.StreamSpikesRequest(bins=bins)


def moments(raster):
    """Lag-1 moments with no transition across the gap, from their definition."""
    s = 2.0 * raster - 1
    keep = np.arange(len(s) - 1) != GAP_AT - 1
    x, y = s[:-1][keep], s[1:][keep]
    c = x.T @ x / len(x) - np.outer(x.mean(0), x.mean(0))
    d = y.T @ x / len(x) - np.outer(y.mean(0), x.mean(0))
    return x, y, c, d


def rows_of(parts, *names):
    """Header and matrices of a streamed answer."""
    header, chunks = None, {name: [] for name in names}
    for part in parts:
        if part.WhichOneof("part") == "header":
            header = part.header
        else:
            for name in names:
                chunks[name].extend(getattr(part.rows, name))
    n = len(header.neuron_ids)
    return header, *(np.reshape(chunks[name], (n, n)) for name in names)


def check_session(channel, sparse):
    raster = np.random.default_rng(3).random((BINS, N)) < np.linspace(0.05, 0.4, N)
    sessions = sessions_rpc.SessionServiceStub(channel)
    spec = types.SessionSpec(name="python", neuron_count=N, bin_width_us=10_000, windows=["all"], ridge=0.0)
    session_id = sessions.CreateSession(sessions_pb.CreateSessionRequest(spec=spec)).session.session_id
    *_, last = ingest_rpc.IngestServiceStub(channel).StreamSpikes(messages(session_id, raster, sparse))
    assert last.ack.watermarks.applied_through == BINS + GAP, last
    closed = sessions.CloseSession(sessions_pb.CloseSessionRequest(session_id=session_id)).session
    assert (closed.gap_count, closed.gap_bins) == (1, GAP), closed
    assert closed.active_entries == raster.sum()

    inference = inference_rpc.InferenceServiceStub(channel)
    x, y, c, d = moments(raster)
    request = inference_pb.GetCorrelationsRequest(session_id=session_id)
    header, equal_time, delayed = rows_of(inference.GetCorrelations(request), "equal_time", "delayed")
    assert header.transitions == len(x) and header.bins_observed == BINS
    assert list(header.spikes) == list(raster.sum(0))
    np.testing.assert_allclose(equal_time, c, rtol=0, atol=1e-12)
    np.testing.assert_allclose(delayed, d, rtol=0, atol=1e-12)

    gain = 1 - y.mean(0) ** 2
    couplings = np.linalg.solve(c, d.T).T / gain[:, None]
    query = inference_pb.CouplingsQuery(session_id=session_id, estimator=types.ESTIMATOR_NMF)
    header, answered = rows_of(inference.GetCouplings(inference_pb.GetCouplingsRequest(query=query)), "couplings")
    np.testing.assert_allclose(answered, couplings, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(header.fields, np.arctanh(y.mean(0)) - couplings @ x.mean(0), rtol=1e-9)
    assert set(header.status) == {types.ROW_STATUS_OK}

    errors = np.sqrt(np.outer(1 / np.array(header.variance_receiver), header.variance_sender) / header.transitions)
    np.testing.assert_allclose(errors, np.sqrt(np.outer(1 / gain, np.diag(np.linalg.inv(c))) / len(x)), rtol=1e-9)
    query.top_pairs = 5
    *_, last = inference.GetCouplings(inference_pb.GetCouplingsRequest(query=query))
    z = np.abs(couplings / errors)
    np.fill_diagonal(z, 0)
    strongest = [tuple(int(k) for k in np.unravel_index(flat, z.shape)) for flat in np.argsort(-z, axis=None)[:5]]
    assert [(p.receiver, p.sender) for p in last.pairs.pairs] == strongest
    return session_id, couplings, c


def check_snapshot(channel, session_id, couplings, c):
    archive = archive_rpc.ArchiveServiceStub(channel)
    listed = archive.ListSnapshots(archive_pb.ListSnapshotsRequest(session_id=session_id)).snapshots
    assert len(listed) >= 1, "the closed session has a snapshot"
    name = max(listed, key=lambda entry: entry.end_bin).file_name
    request = archive_pb.FetchSnapshotRequest(session_id=session_id, file_name=name)
    content = b"".join(part.chunk for part in archive.FetchSnapshot(request))
    with h5py.File(io.BytesIO(content), "r") as f:
        np.testing.assert_allclose(f["estimators/nmf/couplings"][:], couplings, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(f["equal_time"][:], c, rtol=0, atol=1e-12)
        assert f["delayed"].shape == (1, N, N) and f["magnetization"].shape == (N,)
        assert f["estimators/nmf/status"].asstr()[0] == "OK"
        assert f.attrs["bin_width_us"] == 10_000 and f.attrs["end_bin"] == BINS + GAP
        for dataset in ("equal_time", "delayed", "magnetization", "estimators/nmf/couplings"):
            assert "unit" in f[dataset].attrs and "description" in f[dataset].attrs, dataset


def check_refusal(channel):
    sessions = sessions_rpc.SessionServiceStub(channel)
    spec = types.SessionSpec(name="refused", neuron_count=4, bin_width_us=7)
    try:
        sessions.CreateSession(sessions_pb.CreateSessionRequest(spec=spec))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert "bin width 7 us" in error.details(), error.details()
        details = dict(error.trailing_metadata())
        assert "grpc-status-details-bin" in details, details
    else:
        raise AssertionError("a bin of 7 us was accepted")


def main():
    channel = grpc.insecure_channel(sys.argv[1])
    listed = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert all(f"glauber.v1.{name}" in listed for name in SERVICES), listed
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", *(f"glauber.v1.{name}" for name in SERVICES)]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    for sparse in (True, False):
        session_id, couplings, c = check_session(channel, sparse)
    check_snapshot(channel, session_id, couplings, c)
    check_refusal(channel)
    print("python client: all checks passed")


if __name__ == "__main__":
    main()
