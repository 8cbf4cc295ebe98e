#!/usr/bin/env python3
"""Sends six bins to a running daemon over TLS, as any Python client would; prints what came of it.

usage: tls_client.py HOST:PORT CA.PEM [TOKEN]
"""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "proto"))
import grpc

sessions_pb, sessions_rpc = grpc.protos_and_services("glauber/v1/session_service.proto")
ingest_pb, ingest_rpc = grpc.protos_and_services("glauber/v1/ingest_service.proto")


def send(channel):
    spec = dict(neuron_count=3, bin_width_us=20_000)
    create = sessions_rpc.SessionServiceStub(channel).CreateSession
    session_id = create(sessions_pb.CreateSessionRequest(spec=spec)).session.session_id

    def stream():
        yield ingest_pb.StreamSpikesRequest(open=dict(session_id=session_id))
        yield ingest_pb.StreamSpikesRequest(bins=dict(first_bin=0, packed=dict(bin_count=6, bits=bytes([1, 2, 4] * 2))))

    *_, last = ingest_rpc.IngestServiceStub(channel).StreamSpikes(stream())
    return last.ack.watermarks.applied_through


def main():
    address, ca, *token = sys.argv[1:]
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    if token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token[0]))
    try:
        print(send(grpc.secure_channel(address, credentials)), "bins counted")
    except grpc.RpcError as error:
        print(error.code().name)


if __name__ == "__main__":
    main()
