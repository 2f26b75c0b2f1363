"""Takes one lease from argospool and prints its URL: lease.py ADDRESS USERID [SECONDS].

Stubs are made once, from the root of the repository, and are found beside this file or by PYTHONPATH:
    python -m grpc_tools.protoc -Iproto --python_out=DIR --grpc_python_out=DIR proto/argospool/v1/*.proto
"""

import os
import random
import sys
import time
import uuid

import grpc
from argospool.v1 import liveform_pb2, token_pool_pb2, token_pool_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)


def connect(address):
    # The C core sends the path of a unix socket as :authority, which HTTP/2 servers refuse.
    options = [("grpc.default_authority", "localhost")] if address.startswith("unix:") else []
    return grpc.insecure_channel(address, options)


def create_lease(stub, params, seconds, metadata=()):
    """One lease within so many seconds, however often it must be asked for."""
    deadline = time.monotonic() + seconds
    # Drawn once: the repeat of a call whose answer was lost is given the same lease.
    request = token_pool_pb2.CreateLeaseRequest(request_id=str(uuid.uuid4()), params=params)
    backoff = 0.1
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.001)
            return stub.CreateLease(request, timeout=left, metadata=metadata).lease
        except grpc.RpcError as error:
            pause = pause_after(error, backoff)
            if pause is None or time.monotonic() + pause >= deadline:
                raise
            time.sleep(pause)
            backoff = min(2 * backoff, 2.0)


def pause_after(error, backoff):
    """Seconds until it is worth asking again; None if it never is."""
    reason, delay = details(error)
    if delay is not None:
        return delay
    if reason == "COMMIT_DOUBTFUL" or (reason is None and error.code() in LOST):
        return backoff * random.uniform(0.5, 1.0)
    return None


def details(error):
    """The reason and the delay that the daemon put into a refusal; None for what it did not say."""
    reason = delay = None
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, delay


def main(address, userid, seconds="10"):
    token_file = os.environ.get("ARGOSPOOL_TOKEN_FILE")
    metadata = [("authorization", "Bearer " + open(token_file).read().strip())] if token_file else []
    with connect(address) as channel:
        stub = token_pool_pb2_grpc.TokenPoolServiceStub(channel)
        params = liveform_pb2.LiveformParams(userid=userid)
        try:
            print(create_lease(stub, params, float(seconds), metadata).url)
        except grpc.RpcError as error:
            sys.exit(f"no lease: {error.code().name} {details(error)[0] or error.details()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
