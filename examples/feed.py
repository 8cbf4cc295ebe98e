"""Feed a running daemon from Python.  pip install grpcio grpcio-tools numpy"""
import sys; sys.path.append("proto")  # this repository's proto/ folder
import grpc, numpy as np
s, sessions = grpc.protos_and_services("glauber/v1/session_service.proto")
i, ingest = grpc.protos_and_services("glauber/v1/ingest_service.proto")

channel = grpc.insecure_channel(*sys.argv[1:] or ["127.0.0.1:50051"])
spec = dict(name="my rig", neuron_count=96, bin_width_us=20_000)
create = sessions.SessionServiceStub(channel).CreateSession
session_id = create(s.CreateSessionRequest(spec=spec)).session.session_id

def stream(raster):  # bool array (bins, neurons); a rig yields as its bins come in
    yield i.StreamSpikesRequest(open=dict(session_id=session_id))
    for first in range(0, len(raster), 50):
        chunk = raster[first:first + 50]
        packed = dict(bin_count=len(chunk), bits=np.packbits(chunk, axis=1, bitorder="little").tobytes())
        yield i.StreamSpikesRequest(bins=dict(first_bin=first, packed=packed))

for response in ingest.IngestServiceStub(channel).StreamSpikes(stream(np.random.random((6000, 96)) < 0.1)):
    print(session_id, response.ack.watermarks.durable_through)
