"""A small WebSocket client (RFC 6455) over a Unix socket or TCP, for tests."""
import base64
import json
import os
import select
import socket
import struct
import time


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300]!r}")
        self.status, self.body = status, body


class WebSocket:
    def __init__(self, address, path, protocol=None, headers=None, seconds=20):
        """address: path of a Unix socket, or (host, port)."""
        if isinstance(address, tuple):
            self.socket = socket.create_connection(address, seconds)
            host = f"{address[0]}:{address[1]}"
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            self.socket.connect(str(address))
            host = "localhost"
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self._more(seconds)
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            for _ in range(50):
                try:
                    self._more(0.2)
                except (OSError, ConnectionError, TimeoutError):
                    break
            self.socket.close()
            raise Refused(status, self.rest)
        self.code = None
        self.fragments = b""

    def _more(self, seconds):
        self.socket.settimeout(seconds)
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server has closed")
        self.rest += data

    def _frame(self, opcode, payload):
        mask = os.urandom(4)
        n = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | n]) if n < 126 else bytes([0xFE]) + struct.pack(">H", n) if n < 65536 else bytes([0xFF]) + struct.pack(">Q", n))
        word = (mask * (n // 4 + 1))[:n]
        self.socket.settimeout(20)
        self.socket.sendall(head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(word, "big")).to_bytes(n, "big"))

    def send(self, payload):
        """bytes, or an object as JSON text."""
        if isinstance(payload, bytes):
            self._frame(2, payload)
        else:
            self._frame(1, json.dumps(payload).encode())

    def receive(self, seconds=20):
        """bytes, or the object of a text; None once it is closed (code says how). TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            taken = self._take()
            if taken is not None:
                opcode, payload = taken
                if opcode == 8:
                    self.code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                    return None
                if opcode == 9:
                    self._frame(10, payload)
                elif opcode == 1:
                    return json.loads(payload)
                elif opcode == 2:
                    return payload
                continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("nothing came")
            try:
                self._more(left)
            except ConnectionError:
                self.code = self.code or 1006
                return None

    def _take(self):
        if len(self.rest) < 2:
            return None
        n, at = self.rest[1] & 0x7F, 2
        if n == 126:
            if len(self.rest) < 4:
                return None
            n, at = struct.unpack(">H", self.rest[2:4])[0], 4
        elif n == 127:
            if len(self.rest) < 10:
                return None
            n, at = struct.unpack(">Q", self.rest[2:10])[0], 10
        if len(self.rest) < at + n:
            return None
        opcode, payload = self.rest[0] & 15, self.rest[at:at + n]
        self.rest = self.rest[at + n:]
        return opcode, payload

    def close(self):
        self.socket.close()
