"""Receives requests by HTTP/2, with PyPI's h2 and Python's own TLS, and by HTTP/1.1 where only that is offered. It answers each
with the number of the connection it came on. One with the content "reset" it breaks off; one with a field `early` it answers
before it has read the content, of which it then wants nothing. Writes its port to standard output and ends with its standard
input.

usage: receiver.py CERTIFICATE KEY STREAMS-AT-ONCE [mixed]

With `mixed` every second connection is HTTP/1.1's, as where several servers share a name.
"""

import asyncio
import itertools
import json
import ssl
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

connections = itertools.count(1)


async def serve_http1(reader, writer, number):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            # Long enough for another request to be sent before its answer, if the sender did such a thing.
            await asyncio.sleep(0.01)
            answer = json.dumps({"connection": number, "resumed": False, "body": body[-100:].decode()}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    writer.close()


async def serve(reader, writer):
    number = next(connections)
    tls = writer.get_extra_info("ssl_object")
    if tls.selected_alpn_protocol() != "h2":
        await serve_http1(reader, writer, number)
        return
    connection = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: int(sys.argv[3])})
    writer.write(connection.data_to_send())
    bodies = {}
    try:
        while received := await reader.read(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.RequestReceived):
                    bodies[event.stream_id] = b""
                    if (b"early", b"1") in event.headers:
                        del bodies[event.stream_id]
                        connection.send_headers(
                            event.stream_id, [(":status", "200"), ("retry-after", "7")], end_stream=True
                        )
                        # RFC 9113 section 8.1
                        connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.NO_ERROR)
                elif isinstance(event, h2.events.DataReceived) and event.stream_id in bodies:
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    body = bodies.pop(event.stream_id).decode()
                    if body == "reset":
                        connection.reset_stream(event.stream_id)
                        continue
                    answer = json.dumps({"connection": number, "resumed": tls.session_reused, "body": body}).encode()
                    connection.send_headers(event.stream_id, [(":status", "200"), ("retry-after", "7")])
                    connection.send_data(event.stream_id, answer, end_stream=True)
            writer.write(connection.data_to_send())
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    writer.close()


async def main():
    either, http1 = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    for context, protocols in [(either, ["h2", "http/1.1"]), (http1, ["http/1.1"])]:
        context.load_cert_chain(*sys.argv[1:3])
        context.set_alpn_protocols(protocols)
    handshakes = itertools.count(1)

    def choose(connection, name, context):
        if sys.argv[4:] == ["mixed"] and next(handshakes) % 2 == 0:
            connection.context = http1

    either.sni_callback = choose
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=either)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
