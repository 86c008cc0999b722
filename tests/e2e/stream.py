"""A viewer of the live stream: WebSocket (RFC 6455) over the Unix socket or TCP, a few lines."""
import base64
import json
import os
import select
import socket
import struct
import time


class Refused(AssertionError):
    pass


class Stream:
    def __init__(self, place, path="/api/v1/stream", protocol="nightmill.stream.v1", headers=None, seconds=20, receive=None):
        """place: path of a Unix socket, or (host, port). receive: size of the receive buffer."""
        self.socket = socket.socket(socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX)
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(seconds)
        self.socket.connect(place)
        self.bytes, self.closed, self.seconds = b"", None, seconds
        host = f"{place[0]}:{place[1]}" if isinstance(place, tuple) else "localhost"
        lines = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                 "Sec-WebSocket-Protocol": protocol, **(headers or {})}
        self.socket.sendall((f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode())
        while b"\r\n\r\n" not in self.bytes:
            self._more()
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            self.socket.close()
            raise Refused(head.decode("utf-8", "replace") + self.bytes.decode("utf-8", "replace"))

    def _more(self):
        got = self.socket.recv(1 << 16)
        if not got:
            raise ConnectionError("the stream has ended")
        self.bytes += got

    def close(self):
        self.socket.close()

    def send_frame(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack(">H", size) if size < 65536 else bytes([0x80 | 127]) + struct.pack(">Q", size))
        self.socket.sendall(head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)))

    def send(self, message):
        self.send_frame(1, json.dumps(message).encode())

    def subscribe(self, *topics, since=None):
        self.send({"subscribe": {"topics": list(topics), **({} if since is None else {"since": since})}})

    def _frame(self):
        """A whole frame out of the buffer, or None."""
        data = self.bytes
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = struct.unpack(">H", data[2:4])[0] if len(data) >= 4 else 1 << 40, 4
        elif size == 127:
            size, at = struct.unpack(">Q", data[2:10])[0] if len(data) >= 10 else 1 << 40, 10
        if len(data) < at + size:
            return None
        self.bytes = data[at + size:]
        return data[0] & 0x0F, data[at:at + size]

    def receive(self, seconds=None):
        """The next message; None when nothing comes in time. ConnectionError with the code when it was closed."""
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while True:
            frame = self._frame()
            if frame is None:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                    return None
                self._more()
            elif frame[0] == 1:
                return json.loads(frame[1])
            elif frame[0] == 9:
                self.send_frame(10, frame[1])
            elif frame[0] == 8:
                self.closed = struct.unpack(">H", frame[1][:2])[0] if len(frame[1]) >= 2 else 1005
                raise ConnectionError(f"closed with {self.closed}")

    def until(self, condition, seconds=None):
        """All messages up to the first that fits, which is the last of them."""
        deadline, found = time.monotonic() + (self.seconds if seconds is None else seconds), []
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            if message is None:
                raise AssertionError(f"waited in vain; the last of {len(found)}: {json.dumps(found[-3:])[:2000]}")
            found.append(message)
            if condition(message):
                return found


def numbered(messages):
    return [m["n"] for m in messages if "n" in m]
