"""What may stand between a client and the gateway: something that passes bytes on, and changes some of them."""

import socket
import socketserver
import threading
import urllib.parse


# How soon it notices that it is to end.
POLL_SECONDS = 0.02


class Between:
    """Passes on whatever comes, and puts other bytes in the place of some on their way to the gateway."""

    def __init__(self, url, changes):
        gateway = urllib.parse.urlsplit(url)
        self.changes, self.changed = changes, 0
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.server.between, self.server.gateway = self, (gateway.hostname, gateway.port)
        self.url = f"{gateway.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def passed_on(self, piece):
        """A piece as it goes on: a client sends a head, and a short body, in one piece each."""
        for was, becomes in self.changes.items():
            self.changed += piece.count(was)
            piece = piece.replace(was, becomes)
        return piece


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.gateway) as gateway:
            answers = threading.Thread(target=pump, args=(gateway, self.request, bytes), daemon=True)
            answers.start()
            pump(self.request, gateway, self.server.between.passed_on)
            answers.join()


def pump(source, sink, passed_on):
    try:
        while piece := source.recv(65536):
            sink.sendall(passed_on(piece))
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One side has hung up; the other notices by itself.
