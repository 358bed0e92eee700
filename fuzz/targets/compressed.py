"""gzip, bzip2, xz and Zstandard, within limits."""

from fuzz.targets import file, refusing
from lightmine.io.limits import ReadLimits
from lightmine.io.sentences import stream_sentences

KINDS = ("gz", "bz2", "xz", "zst")
LIMITS = ReadLimits(ratio=50, gib=0.1, line=1 << 20)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    with refusing():
        for block in stream_sentences(file(f"x.txt.{KINDS[choice % 4]}", data), limits=LIMITS):
            assert sum(map(len, block.texts)) <= 2 << 20
