"""Writes a kernel that does nothing, since none ever runs; the linker of nullcc.sh.

Runs as a script of its own (see toolchain.py), so it imports next to nothing. ttnn links each kernel behind its
firmware and checks how: the first segment must begin where the firmware's text ends, the data segment where its data
ends, and both must be relocatable.
"""

import os
import struct
import sys

LUI, ADDI, RET = 0x37, 0x13, 0x8067  # RISC-V: opcodes of two instructions, and the word of the third
A0 = 10
R_RISCV_HI20, R_RISCV_LO12_I = 26, 27
ETH_TEXT, ETH_DATA = (
    0xFFC00000,
    0xEBE0,
)  # where the Ethernet cores' linker script puts kernels; their firmware is silent
HEADER, PROGRAM, SECTION = 52, 32, 40  # bytes of the three kinds of ELF32 header
PROGBITS, SYMTAB, STRTAB, RELA = 1, 2, 3, 4


def symbols(elf):
    """Name -> value of every symbol of an ELF32 file."""
    table_at, count = struct.unpack_from("<I", elf, 32)[0], struct.unpack_from("<H", elf, 48)[0]
    sections = [struct.unpack_from("<10I", elf, table_at + SECTION * i) for i in range(count)]
    table = next(s for s in sections if s[1] == SYMTAB)
    names = sections[table[6]][4]
    found = {}
    for at in range(table[4], table[4] + table[5], 16):
        name, value = struct.unpack_from("<II", elf, at)
        found[elf[names + name : elf.index(0, names + name)].decode()] = value
    return found


def kernel(text_at, data_at):
    """An ELF32 of `lui a0,%hi(v); addi a0,a0,%lo(v); ret` and one word of data v, both relocatable."""
    high, low = ((data_at + 0x800) >> 12) & 0xFFFFF, data_at & 0xFFF
    text = struct.pack("<3I", high << 12 | A0 << 7 | LUI, low << 20 | A0 << 15 | A0 << 7 | ADDI, RET)
    data = struct.pack("<I", 1)
    relocations = struct.pack("<IIi", text_at, 3 << 8 | R_RISCV_HI20, 0)
    relocations += struct.pack("<IIi", text_at + 4, 3 << 8 | R_RISCV_LO12_I, 0)
    table = (  # name, value, size, info, other, section
        (0, 0, 0, 0, 0, 0),
        (0, text_at, 0, 3, 0, 1),
        (0, data_at, 0, 3, 0, 3),
        (8, data_at, 4, 0, 0, 3),
        (1, text_at, 12, 0x10, 0, 1),
    )
    names = (b".text", b".rela.text", b".data", b".symtab", b".strtab", b".shstrtab")
    name_table = b"\0" + b"".join(name + b"\0" for name in names)
    sections = (  # kind, flags, address, bytes, link, info, alignment, entry size
        (PROGBITS, 6, text_at, text, 0, 0, 4, 0),
        (RELA, 0x40, 0, relocations, 4, 1, 4, 12),
        (PROGBITS, 3, data_at, data, 0, 0, 4, 0),
        (SYMTAB, 0, 0, b"".join(struct.pack("<IIIBBH", *s) for s in table), 5, 4, 4, 16),
        (STRTAB, 0, 0, b"\0_start\0v\0", 0, 0, 1, 0),
        (STRTAB, 0, 0, name_table, 0, 0, 1, 0),
    )
    body, places = b"", []
    start = HEADER + 2 * PROGRAM
    for section in sections:
        body += bytes(-(start + len(body)) % 16)
        places.append(start + len(body))
        body += section[3]
    body += bytes(-(start + len(body)) % 4)
    section_headers = bytes(SECTION)
    for name, place, (kind, flags, address, content, link, info, align, entry) in zip(names, places, sections):
        name_at = name_table.index(b"\0" + name + b"\0") + 1
        section_headers += struct.pack(
            "<10I", name_at, kind, flags, address, place, len(content), link, info, align, entry
        )
    segments = struct.pack("<8I", 1, places[0], text_at, text_at, len(text), len(text), 5, 16)
    segments += struct.pack("<8I", 1, places[2], data_at, text_at + len(text), len(data), len(data), 6, 16)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    fields = (2, 243, 1, text_at, HEADER, start + len(body), 0, HEADER, PROGRAM, 2, SECTION, 1 + len(sections), 6)
    return ident + struct.pack("<HHIIIIIHHHHHH", *fields) + segments + body + section_headers


def write_whole(path, content):
    """Kernels may be read by other processes while they are written."""
    part = f"{path}.{os.getpid()}.part"
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)


def main(firmware, out):
    """Writes the kernel that fits behind a firmware."""
    with open(firmware, "rb") as file:
        known = symbols(file.read())
    write_whole(out, kernel(known.get("__fw_export_text_end", ETH_TEXT), known.get("__fw_export_ldm_end", ETH_DATA)))


if __name__ == "__main__":
    main(*sys.argv[1:])
