#!/usr/bin/env python3
"""Counts the instructions of the hot path's kernels, and compares them with what they were.

    instructions.py measure PROGRAM COUNTS        runs each kernel of PROGRAM under valgrind and writes COUNTS
    instructions.py check COUNTS BASELINE [--report XML]
    instructions.py record COUNTS BASELINE

A count is of one operation: what 2N of them take less what N take, by N, so that the start of the program is not in it.
`check` fails when a kernel takes over 5% more than in BASELINE, failed to run, or is in one of the two files only.
Counts say nothing about another compiler's or another kind of processor's: where COUNTS is of such, all are skipped.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

TOLERANCE = 5  # percent


def compiler():
    """The version of the Swift compiler in PATH."""
    said = subprocess.run(["swift", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Swift version (\S+)", said)
    if not found:
        raise SystemExit(f"instructions: no version in what `swift --version` says: {said!r}")
    return found[1]


def run(command):
    """What a command says on both outputs; the same environment everywhere, whose size would show in the counts."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=kept | {"SWIFT_DETERMINISTIC_HASHING": "1"}
    )
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
    return done.stdout, done.stderr


def instructions(program, kernel, operations):
    """Instructions of a whole run of the program."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    _, said = run([*valgrind, program, kernel, str(operations)])
    found = re.search(r"Collected : (\d+)", said)
    if not found:
        raise RuntimeError("valgrind gave no count")
    return int(found[1])


def measure(program):
    """All kernels of the program, a process for each run and as many at once as there are cores."""
    listed, _ = run([program])
    kernels = {name: int(operations) for name, operations in (line.split() for line in listed.splitlines())}
    counts, failed = {}, {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            name: [pool.submit(instructions, program, name, n) for n in (operations, 2 * operations)]
            for name, operations in kernels.items()
        }
        for name, (once, twice) in runs.items():
            try:
                counts[name] = round((twice.result() - once.result()) / kernels[name])
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed[name] = str(error)
    result = {"compiler": compiler(), "architecture": platform.machine(), "instructions": counts}
    return result | {"failed": failed} if failed else result


def verdict(name, counts, baseline):
    """Why a kernel fails, or None; and what else is to be said of it."""
    new, old = counts["instructions"].get(name), baseline["instructions"].get(name)
    if new is None:
        why = counts.get("failed", {}).get(name, "it is in the baseline and was not run; record the baseline anew")
        return f"{name}: {why}", None
    if old is None:
        return f"{name}: {new} instructions, and none in the baseline: record it", None
    said = f"{name}: {old} -> {new} instructions ({(new - old) / old:+.1%})"
    if 100 * new > (100 + TOLERANCE) * old:
        return said, None
    return None, f"{said}: better, record it" if 100 * new < (100 - TOLERANCE) * old else None


def check(counts, baseline, report):
    names = sorted({*counts["instructions"], *counts.get("failed", {}), *baseline["instructions"]})
    suite = ElementTree.Element("testsuite", name="instructions")
    differing = [key for key in ("compiler", "architecture") if counts[key] != baseline[key]]
    failures = 0
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", classname="instructions", name=name)
        why, remark = verdict(name, counts, baseline)
        if differing and name not in counts.get("failed", {}):
            ElementTree.SubElement(case, "skipped")
        elif why:
            failures += 1
            ElementTree.SubElement(case, "failure", message=why)
            print(f"instructions: FAIL {why}")
        elif remark:
            print(f"instructions: {remark}")
    for key in differing:
        print(f"instructions: not compared: {key} {counts[key]}, the baseline is of {baseline[key]}")
    if report:
        ElementTree.ElementTree(suite).write(report)
    if not names:
        print("instructions: there is no kernel")
        return 1
    print(f"instructions: {len(names)} kernels, {failures} failed")
    return 1 if failures else 0


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, operands in {
        "measure": ("program", "counts"), "check": ("counts", "baseline"), "record": ("counts", "baseline")
    }.items():
        subparser = commands.add_parser(command)
        for operand in operands:
            subparser.add_argument(operand)
        if command == "check":
            subparser.add_argument("--report", help="write the verdicts as JUnit XML")
    options = parser.parse_args()
    if options.command == "measure":
        save(options.counts, measure(options.program))
        return 0
    counts = load(options.counts)
    if options.command == "check":
        return check(counts, load(options.baseline), options.report)
    for name, why in counts.get("failed", {}).items():
        print(f"instructions: {name}: {why}", file=sys.stderr)
    if counts.get("failed") or not counts["instructions"]:
        return 1
    save(options.baseline, counts)
    print(f"instructions: recorded {len(counts['instructions'])} kernels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
