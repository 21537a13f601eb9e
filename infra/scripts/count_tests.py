#!/usr/bin/env python3
"""Counts the tests in JUnit reports, as Swift Testing and pytest write them.

Prints the failed ones and, as the last line, `N passed, N failed, N skipped`. Status 0 only when nothing failed and
something passed. With --any or --all-passed it prints nothing and answers by its status alone.
"""

import argparse
import sys
import xml.etree.ElementTree


class Report:
    """What one file says."""

    def __init__(self, path):
        self.passed = self.skipped = 0
        self.failed = []
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed.append(name)
            elif case.find("skipped") is not None:
                self.skipped += 1
            else:
                self.passed += 1

    @property
    def total(self):
        return self.passed + self.skipped + len(self.failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--also-failed", type=int, default=0, help="failures that no report names")
    parser.add_argument("--any", action="store_true", help="succeed if there is a test at all, or a report that can't be read")
    parser.add_argument("--all-passed", action="store_true", help="succeed if no test failed")
    parser.add_argument("reports", nargs="*")
    options = parser.parse_args()

    passed, skipped, failed, unnamed = 0, 0, [], options.also_failed
    for path in options.reports:
        try:
            report = Report(path)
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            print(f"{path}: unreadable: {error}", file=sys.stderr)
            unnamed += 1
            continue
        passed += report.passed
        skipped += report.skipped
        failed += report.failed

    if options.any:
        return 0 if passed + skipped + len(failed) + unnamed > 0 else 1
    if options.all_passed:
        return 0 if not failed and not unnamed else 1
    for name in failed:
        print(f"failed: {name}")
    if passed + len(failed) + unnamed == 0:
        print("no test was run")
        unnamed += 1
    print(f"{passed} passed, {len(failed) + unnamed} failed, {skipped} skipped")
    return 1 if failed or unnamed else 0


if __name__ == "__main__":
    sys.exit(main())
