#!/usr/bin/env python3
"""Packs lists of WebGPU CTS cases (JSON, one file per list) into lists.tsv and cases.bin.

    python3 convert.py DIRECTORY_OF_JSON_FILES

README.md beside this file describes both ends.
"""

import json
import math
import struct
import sys
from pathlib import Path

BITS, RANGE, NAN, EVERYTHING = range(4)


def f32_bits(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def f32_at_least(x):
    """The smallest f32 that is not below the f64 x: `x <= r` is the same question for an f32 r."""
    return rounded(x, up=True)


def f32_at_most(x):
    return rounded(x, up=False)


def rounded(x, up):
    if math.isinf(x):
        return f32_bits(x)
    limit = struct.unpack("<f", struct.pack("<I", 0x7F7FFFFF))[0]
    if x > limit:
        return 0x7F800000 if up else 0x7F7FFFFF
    if x < -limit:
        return 0xFF7FFFFF if up else 0xFF800000
    bits = f32_bits(x)
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    if value == x:
        return bits
    if (value > x) == up:
        return bits
    # One step towards the wanted side.
    if value == 0:
        return 0x00000001 if up else 0x80000001
    return bits + 1 if (value > 0) == up else bits - 1


def entry(component):
    kind = component[0]
    if kind == "bits":
        return (BITS, component[1])
    if kind == "nan":
        return (NAN,)
    low, high = float(component[1]), float(component[2])
    if low == -math.inf and high == math.inf:
        return (EVERYTHING,)
    return (RANGE, f32_at_least(low), f32_at_most(high))


def main():
    source, target = Path(sys.argv[1]), Path(__file__).parent
    lists = [(path.stem, json.loads(path.read_text())) for path in sorted(source.glob("*.json"))]
    cases, words = [], set()
    for _, data in lists:
        for inputs, accept in data["cases"]:
            inputs = [word for parameter in inputs for word in parameter]
            alternatives = [] if accept == "any" else [tuple(map(entry, alternative)) for alternative in accept]
            alternatives = list(dict.fromkeys(alternatives))
            cases.append((inputs, alternatives))
            words.update(inputs)
            words.update(word for alternative in alternatives for e in alternative for word in e[1:])
    table = sorted(words)
    assert len(table) <= 1 << 16, len(table)
    position = {word: struct.pack("<H", i) for i, word in enumerate(table)}
    out = [struct.pack("<I", len(table))] + [struct.pack("<I", word) for word in table]
    for inputs, alternatives in cases:
        out += [position[word] for word in inputs]
        out.append(bytes([len(alternatives)]))
        for alternative in alternatives:
            for kind, *payload in alternative:
                out.append(bytes([kind]))
                out += [position[word] for word in payload]
    (target / "cases.bin").write_bytes(b"".join(out))
    (target / "lists.tsv").write_text(
        "".join(
            "\t".join([name, str(len(data["cases"])), " ".join(data["params"]), data["result"], data["statement"]]) + "\n"
            for name, data in lists
        )
    )
    print(len(lists), "lists,", len(cases), "cases,", len(table), "words,", sum(map(len, out)), "bytes")


main()
