"""A stock Python client of the daemon, for what `argospool bench` does not ask for."""

import functools
import tempfile
import time
import uuid

import grpc

from session import stubs

BATCH = 500
FLYING = 256


@functools.cache
def messages():
    """The code made of proto/: messages and stubs of the pool, then those of the administrator."""
    with tempfile.TemporaryDirectory() as directory:
        return stubs(directory)[:4]


class Client:
    """One connection to HOST:PORT or unix:PATH. It ends with the process or with `close`."""

    def __init__(self, address):
        self.pool, pool_grpc, self.admin, admin_grpc = messages()
        # grpc's C core sends the percent-encoded path as :authority, which HTTP/2 servers refuse. A connection of
        # its own: a shared one waits before it tries a port again that was closed.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if address.startswith("unix:"):
            options.append(("grpc.default_authority", "localhost"))
        self.channel = grpc.insecure_channel(address, options=options)
        self.leases, self.control = (
            pool_grpc.TokenPoolServiceStub(self.channel), admin_grpc.AdminServiceStub(self.channel),
        )

    def close(self):
        self.channel.close()

    def counts(self):
        return self.control.GetStatus(self.admin.GetStatusRequest(), timeout=30).projects[0].counts

    def lease(self, seconds=30):
        return self.leases.CreateLease(self.wish(), timeout=seconds).lease

    def wish(self):
        return self.pool.CreateLeaseRequest(request_id=str(uuid.uuid4()))

    def batch(self, number=BATCH):
        """Takes up to 500 leases with one call."""
        request = self.pool.BatchCreateLeasesRequest(requests=[self.wish() for _ in range(number)])
        request.wait.FromSeconds(30)
        return self.leases.BatchCreateLeases(request, timeout=60).leases

    def take(self, number):
        return [lease for _ in range(0, number, BATCH) for lease in self.batch()]

    def release(self, leases):
        flying = []
        for lease in leases:
            request = self.pool.ReleaseLeaseRequest(lease_id=lease.lease_id, request_id=str(uuid.uuid4()))
            flying.append(self.leases.ReleaseLease.future(request, timeout=60))
            if len(flying) >= FLYING:
                flying.pop(0).result()
        for call in flying:
            call.result()

    def revoke_since(self, moment):
        """Revokes what was leased since a moment (seconds of the Unix epoch), and says how many leases that were."""
        leases = self.pool.LeaseFilter()
        leases.created_after.FromMilliseconds(int(moment * 1000))
        return self.control.RevokeLeases(self.admin.RevokeLeasesRequest(filter=leases), timeout=120).revoked_leases


def timed(call):
    """How long a call takes, in microseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6
