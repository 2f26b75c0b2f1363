"""A ledger with a long past, made in seconds: lines of history by the million through `argospool ledger import`.

One real lease is released beside the simulator and exported. Its line is the mould of all others, so that they are
what this version writes; each has a sequence, a revision, times and requests of its own. They closed evenly over the
72 hours that a daemon remembers by default, so that a third of their requests are still known. Live tokens are not made
up: the daemon that serves from the directory afterwards registers them.
"""

import hashlib
import struct
import time

import numpy

FIRST_LINE = b"argospool ledger backup\n"
# Numbers of fields, as src/store/record.rs gives them.
PREFACE, LEDGER, RECORDS, END = 1, 2, 3, 4
HEAD, HEAD_MARK, GROUP_PARTS, GROUP_MARK, GROUP_LINES = 2, 5, 1, 2, 9
# Format, pid, identity and epoch: not the pauses, and nothing that counts.
HEAD_KEPT = 1, 2, 3, 4
LINE_SEQUENCE, LINE_REVISION, LINE_CLOSED = 1, 2, 6
LINE_TIMES = {3: "issued", 4: "deadline", LINE_CLOSED: "closed", 13: "link dead"}
LINE_NESTED = (9, 10)
# A varint may be padded, so that every line is as long as the mould: 7 bits a byte.
NUMBER_BYTES = 7
LINES_PER_PIECE = 256
HOURS = 72


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def fields(message):
    """The fields of a message in order: number, wire type and value, which is bytes or an integer."""
    at = 0

    def number():
        nonlocal at
        found, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found

    found = []
    while at < len(message):
        tag = number()
        kind = tag & 7
        if kind == 0:
            value = number()
        else:
            size = {1: 8, 2: None}[kind]
            size = number() if size is None else size
            value = message[at:at + size]
            at += size
        found.append((tag >> 3, kind, value))
    return found


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def pieces(path):
    """The pieces of a backup, each as its number and its message."""
    with open(path, "rb") as file:
        assert file.readline() == FIRST_LINE, "this is a backup"
        while length := file.read(4):
            (number, _, message), = fields(file.read(int.from_bytes(length)))
            file.seek(32, 1)
            yield number, message


class Backup:
    """A backup that is being written: frames of length, piece and the digest of everything up to there."""

    def __init__(self, path):
        self.file, self.digest, self.pieces = open(path, "wb"), hashlib.sha256(), 0
        self.write(FIRST_LINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.put(END, self.pieces)
        self.file.close()

    def put(self, number, message):
        piece = field(number, message)
        self.write(struct.pack(">I", len(piece)) + piece)
        self.file.write(self.digest.digest())
        self.pieces += 1

    def write(self, data):
        self.digest.update(data)
        self.file.write(data)


class Mould:
    """One line as bytes, and where in it stands what differs from line to line."""

    def __init__(self, line):
        self.bytes, self.numbers, self.drawn = bytearray(), {}, []
        for number, kind, value in fields(line):
            if number in (LINE_SEQUENCE, LINE_REVISION, *LINE_TIMES):
                self.bytes += varint(number << 3)
                self.numbers[number] = len(self.bytes), value
                self.bytes += bytes(NUMBER_BYTES)
            elif kind == 0:
                self.bytes += field(number, value)
            else:
                assert kind == 2, "a line has numbers and messages"
                self.bytes += varint(number << 3 | 2) + varint(len(value))
                if number in LINE_NESTED:
                    self.find_drawn(len(self.bytes), value)
                self.bytes += value
        assert set(LINE_TIMES) | {LINE_SEQUENCE, LINE_REVISION} >= set(self.numbers) >= {LINE_SEQUENCE, LINE_CLOSED}

    def find_drawn(self, at, message):
        """Ids, keys and digests of requests are as good as drawn: of 16, 16 and 8 bytes."""
        for _, kind, value in fields(message):
            if kind in (1, 2) and len(value) > 32:
                self.find_drawn(at + bytes(message).index(value), value)
            elif kind in (1, 2) and len(value) in (8, 16):
                place = at + bytes(message).index(value)
                self.drawn.append((place, place + len(value)))

    def lines(self, first, number, closed, dice):
        """`number` lines from sequence `first` on, which closed at these times (milliseconds), as one array of bytes."""
        table = numpy.tile(numpy.frombuffer(bytes(self.bytes), numpy.uint8), (number, 1))
        own = numpy.arange(first, first + number, dtype=numpy.uint64)
        for name, (at, value) in self.numbers.items():
            if name in LINE_TIMES:
                values = closed + numpy.int64(value - self.numbers[LINE_CLOSED][1])
            else:
                values = own
            values = values.astype(numpy.uint64)
            for byte in range(NUMBER_BYTES):
                more = 0x80 if byte < NUMBER_BYTES - 1 else 0
                table[:, at + byte] = (values >> numpy.uint64(7 * byte)) & numpy.uint64(0x7F) | numpy.uint64(more)
        for begin, end in self.drawn:
            table[:, begin:end] = dice.integers(0, 256, (number, end - begin), numpy.uint8)
        return table


def prolong(backup, out, lines):
    """Writes the backup `out` of a ledger that has so many lines and no token, of one that has two lines at least.

    The last one is the mould: the first may have sequence 0, which is not written.
    """
    found = list(pieces(backup))
    preface, ledger = (next(message for number, message in found if number == wanted) for wanted in (PREFACE, LEDGER))
    mould = Mould([
        value for number, message in found if number == RECORDS
        for inner, _, value in fields(message) if inner == GROUP_LINES
    ][-1])
    now = int(time.time() * 1000)
    mark = field(1, lines) + field(2, now) + field(3, lines + 1) + field(4, lines + 1)
    dice = numpy.random.default_rng(1)
    with Backup(out) as writer:
        writer.put(PREFACE, preface)
        writer.put(LEDGER, b"".join(
            field(number, marked(value, mark)) if number == HEAD else field(number, value)
            for number, _, value in fields(ledger)
        ))
        begun = now - HOURS * 3_600_000
        for first in range(1, lines + 1, LINES_PER_PIECE):
            number = min(LINES_PER_PIECE, lines + 1 - first)
            closed = begun + (numpy.arange(first, first + number, dtype=numpy.int64) * (now - begun)) // (lines + 1)
            frame = varint(GROUP_LINES << 3 | 2) + varint(len(mould.bytes))
            head = numpy.tile(numpy.frombuffer(frame, numpy.uint8), (number, 1))
            body = numpy.hstack([head, mould.lines(first, number, closed, dice)]).tobytes()
            writer.put(RECORDS, field(GROUP_PARTS, 1) + field(GROUP_MARK, mark) + body)


def marked(head, mark):
    """The head of a ledger with another mark, without what belongs to its own past."""
    kept = b"".join(field(number, value) for number, _, value in fields(head) if number in HEAD_KEPT)
    return kept + field(HEAD_MARK, mark)
