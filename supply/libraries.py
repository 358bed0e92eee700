"""What a shared library is, exports and needs, read from its file: ELF, PE and Mach-O of 64 bits."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any

ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
PE_MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64"}
MACHO_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}


@dataclasses.dataclass(frozen=True)
class Library:
    """A shared library.

    Attributes
    ----------
    format : str
        ``elf``, ``pe`` or ``macho``.
    machine : str
        ``x86_64`` or ``aarch64``.
    exports : frozenset of str
        Names that it defines for others.
    needed : frozenset of str
        Libraries that the loader has to find.
    versions : frozenset of str
        Versions of symbols that it asks for (ELF), such as ``GLIBC_2.14``.
    system : tuple of int
        The oldest macOS that it runs on; empty for other systems.
    signed : bool
        Whether it carries a signature (Mach-O), without which Apple's processors load nothing.
    """

    format: str
    machine: str
    exports: frozenset[str]
    needed: frozenset[str]
    versions: frozenset[str] = frozenset()
    system: tuple[int, ...] = ()
    signed: bool = False


def read_library(data: bytes) -> Library:
    """Read a library; ValueError where it is in none of the three formats."""
    if data[:6] == b"\x7fELF\x02\x01":
        return _elf(data)
    if data[:2] == b"MZ":
        return _pe(data)
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return _macho(data)
    raise ValueError("neither ELF, PE nor Mach-O of 64 bits")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(0, at)].decode("ascii")


def _rows(data: bytes, form: str, at: int, end: int) -> Iterator[tuple[Any, ...]]:
    return struct.iter_unpack(form, data[at:end])


def _elf(data: bytes) -> Library:
    (machine,) = struct.unpack_from("<H", data, 18)
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    # name, type, flags, address, offset, size, link, ...
    sections = [struct.unpack_from("<IIQQQQI", data, table + size * i) for i in range(count)]
    exports, needed, versions = set(), set(), set()
    for _, kind, _, _, at, length, link in sections:
        names = sections[link][4]
        if kind == 11:  # dynamic symbols: name, info, other, section, value, size
            for name, info, _, section, _, _ in _rows(data, "<IBBHQQ", at, at + length):
                if section and info >> 4:  # defined, and not local
                    exports.add(_text(data, names + name))
        elif kind == 6:  # dynamic
            needed |= {_text(data, names + v) for tag, v in _rows(data, "<QQ", at, at + length) if tag == 1}
        elif kind == 0x6FFFFFFE:  # versions needed
            versions |= {_text(data, names + name) for name in _version_names(data, at)}
    return Library("elf", ELF_MACHINES[machine], frozenset(exports), frozenset(needed), frozenset(versions))


def _version_names(data: bytes, at: int) -> Iterator[int]:
    while True:
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        entry = at + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, entry)
            yield name
            entry += step
        if not following:
            return
        at += following


def _pe(data: bytes) -> Library:
    (header,) = struct.unpack_from("<I", data, 60)
    machine, count = struct.unpack_from("<HH", data, header + 4)
    (optional,) = struct.unpack_from("<H", data, header + 20)
    first = header + 24 + optional
    # virtual size, address, raw size, raw offset of each section
    sections = [struct.unpack_from("<IIII", data, first + 40 * i + 8) for i in range(count)]

    def place(address: int) -> int:
        for virtual, start, raw, at in sections:
            if start <= address < start + max(virtual, raw):
                return address - start + at
        raise ValueError(f"no section holds the address {address:#x}")

    (exported, _), (imported, _) = _rows(data, "<II", header + 24 + 112, header + 24 + 128)
    exports: set[str] = set()
    needed: set[str] = set()
    if exported:
        number, _, names = struct.unpack_from("<III", data, place(exported) + 24)
        at = place(names)
        exports = {_text(data, place(name)) for (name,) in _rows(data, "<I", at, at + 4 * number)}
    if imported:
        at = place(imported)
        while name := struct.unpack_from("<5I", data, at)[3]:
            needed.add(_text(data, place(name)))
            at += 20
    return Library("pe", PE_MACHINES[machine], frozenset(exports), frozenset(needed))


def _macho(data: bytes) -> Library:
    (machine,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<I", data, 16)
    exports, needed, system, signed = set(), set(), (), False
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<II", data, at)
        if command & 0x7FFFFFFF in (0x0C, 0x18, 0x1F):  # a library: needed, needed if there, passed on
            needed.add(_text(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == 0x02:  # symbols: name, type, section, description, value
            symbols, number, names = struct.unpack_from("<III", data, at + 8)
            for name, kind, _, _, _ in _rows(data, "<IBBHQ", symbols, symbols + 16 * number):
                if kind & 0x1F == 0x0F:  # in a section, external and not private
                    exports.add(_text(data, names + name).removeprefix("_"))
        elif command == 0x32:  # the system: platform, oldest version
            platform, version = struct.unpack_from("<II", data, at + 8)
            system = (version >> 16, version >> 8 & 255) if platform == 1 else ()
        elif command == 0x1D:
            signed = True
        at += size
    return Library(
        "macho", MACHO_MACHINES[machine], frozenset(exports), frozenset(needed), system=system, signed=signed
    )
