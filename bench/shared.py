"""What servers.py and train.py both need: a free port, and a PNG.

Must not need more than Python, nor know what is measured.
"""

import socket
import struct
import zlib


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def png(width, height, colour, packed):
    """A PNG with eight bits a channel, of a colour type of the format's and of rows that zlib has packed."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
