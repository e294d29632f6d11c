"""Virtual air: a TCP port where every host that connects finds a Bluetooth controller of its own, all within reach.

``python -m tests.ble.controllers`` prints the port and serves until its standard input ends, so that real processes
meet over ``tcp-client:127.0.0.1:PORT``. Where a host goes away without a goodbye, as one that is killed does, its links
end and its advertising stops, as a dongle's would that is pulled out.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from bumble import hci, ll
from bumble.controller import Controller
from bumble.link import LocalLink
from bumble.transport.common import StreamPacketSink, StreamPacketSource


class _Host(StreamPacketSource):
    """One TCP connection with its controller."""

    def __init__(self, link: LocalLink, transports: set[asyncio.WriteTransport]) -> None:
        super().__init__()
        self._link = link
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._transports.add(transport)
        self._controller = Controller(
            "virtual", host_source=self, host_sink=StreamPacketSink(transport), link=self._link
        )

    def connection_lost(self, _error: Exception | None) -> None:
        controller = self._controller
        self._transports.discard(self._transport)
        controller.le_legacy_advertiser.stop()
        for advertising_set in controller.advertising_sets.values():
            advertising_set.stop()
        for connection in list(controller.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR))
        # Its last words are under way through the loop, and are sent by the address that the link knows.
        asyncio.get_running_loop().call_later(0.1, self._link.remove_controller, controller)


@contextlib.asynccontextmanager
async def virtual_air() -> AsyncIterator[str]:
    """Serve controllers; gives the name of the transport that hosts open. At the end all of them are gone."""
    transports: set[asyncio.WriteTransport] = set()
    link = LocalLink()  # type: ignore[no-untyped-call]
    server = await asyncio.get_running_loop().create_server(lambda: _Host(link, transports), "127.0.0.1", 0)
    async with server:
        try:
            yield f"tcp-client:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for transport in tuple(transports):
                transport.abort()


async def _main() -> None:
    async with virtual_air() as transport:
        print(transport, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
