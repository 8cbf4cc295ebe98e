"""Feed a running daemon from Python.  pip install grpcio grpcio-tools numpy"""
import sys; sys.path.append("proto")  # this repository's proto/ folder
import grpc, numpy as np

types = grpc.protos("glauber/v1/types.proto")
s, sessions = grpc.protos_and_services("glauber/v1/session_service.proto")
i, ingest = grpc.protos_and_services("glauber/v1/ingest_service.proto")

channel = grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
spec = types.SessionSpec(name="my rig", neuron_count=96, bin_width_us=20_000)
service = sessions.SessionServiceStub(channel)
session_id = service.CreateSession(s.CreateSessionRequest(spec=spec)).session.session_id

def stream(raster):  # bool array (bins, neurons); a rig yields as its bins come in
    yield i.StreamSpikesRequest(open=i.OpenStream(session_id=session_id))
    for first in range(0, len(raster), 50):
        chunk = raster[first:first + 50]
        bits = np.packbits(chunk, axis=1, bitorder="little").tobytes()
        bins = i.SpikeBins(first_bin=first, packed=i.PackedBins(bin_count=len(chunk), bits=bits))
        yield i.StreamSpikesRequest(bins=bins)

raster = np.random.default_rng(1).random((6000, 96)) < 0.1
for response in ingest.IngestServiceStub(channel).StreamSpikes(stream(raster)):
    print(session_id, response.ack.watermarks.applied_through)
service.CloseSession(s.CloseSessionRequest(session_id=session_id))  # final couplings and snapshots
