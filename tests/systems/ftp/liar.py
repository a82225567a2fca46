"""A server that speaks FTP as far as it is told to, and lies where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

__all__ = ["Liar", "liar"]

_BOUND = 60.0


class Liar:
    """Answers commands on loopback.

    Args:
        replies: what it says to commands, in the place of what a server should; an empty text has
            it end the connection, and ``None`` has it say nothing.
        content: what it sends for RETR.

    Attributes:
        replies, content: as given; they may be changed.
        port: where it listens.
        heard: the commands, in order.
        stored: what came by STOR, by name.
        connections: how many there were.
    """

    def __init__(self, replies: Mapping[str, str | None], content: bytes = b"content") -> None:
        self.replies, self.content = dict(replies), content
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self.heard: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.connections = 0
        self._start(self._listen)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="test-liar", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            one.settimeout(_BOUND)
            self.connections += 1
            self._open.append(one)
            self._start(lambda one=one: self._serve(one))  # type: ignore[misc] # bound now

    def _serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError), one, one.makefile("rb") as lines:
            data: socket.socket | None = None
            greeting = self.replies.get("", "220 here")
            if greeting is not None:
                one.sendall(greeting.encode() + b"\r\n")
            for line in lines:
                text = line.decode().strip()
                self.heard.append(text)
                word, _, rest = text.partition(" ")
                if word == "PASV":
                    data = socket.create_server(("127.0.0.1", 0))
                    data.settimeout(_BOUND)
                    self._open.append(data)
                reply = self.replies.get(word, self._usual(word, data))
                if reply is None:
                    continue
                if not reply:
                    return
                if word in {"RETR", "STOR"} and reply.startswith("150") and data is not None:
                    one.sendall(f"{reply}\r\n".encode())
                    self._move(word, rest, data)
                    reply = self.replies.get("done", "226 done")
                    if reply is None:
                        continue
                    if not reply:
                        return
                one.sendall(f"{reply}\r\n".encode())

    def _usual(self, word: str, data: socket.socket | None) -> str:
        usual = {
            "USER": "331 word?", "PASS": "230 in", "TYPE": "200 ok", "NOOP": "200 ok",
            "SIZE": f"213 {len(self.content)}", "MDTM": "213 20200102030405",
            "RETR": "150 here it comes", "STOR": "150 let it come", "RNFR": "350 to?",
            "RNTO": "250 ok", "DELE": "250 ok", "MKD": "257 ok", "REST": "350 ok",
            "QUIT": "221 bye",
        }  # fmt: skip
        if word == "PASV" and data is not None:
            port = data.getsockname()[1]
            # Of a host that is not there: RFC 5737, TEST-NET-1.
            return f"227 here (192,0,2,1,{port // 256},{port % 256})"
        return usual.get(word, "502 no")

    def _move(self, word: str, name: str, data: socket.socket) -> None:
        way, _ = data.accept()
        data.close()
        way.settimeout(_BOUND)
        with way:
            if word == "RETR":
                way.sendall(self.content)
                return
            self.stored[name] = b""
            while piece := way.recv(65536):
                self.stored[name] += piece

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_BOUND)
            assert not thread.is_alive()
        for one in self._open:
            one.close()


@contextlib.contextmanager
def liar(replies: Mapping[str, str | None], content: bytes = b"content") -> Iterator[Liar]:
    """One, for as long as this holds."""
    made = Liar(replies, content)
    try:
        yield made
    finally:
        made.close()
