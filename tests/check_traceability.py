#!/usr/bin/env python3
"""Keeps the tables of requirements in tests/README.md honest.

    tests/check_traceability.py

Each test that they name, as `FOLDER/NAME_test` "part of its name", must stand in that source file, in exactly one test
case; a requirement of RFC 9111 must have a test or say why it has none; and the keywords of the rows must add up to
the number that the README gives for the RFC. Prints a line for each mistake and then `N passed, M failed`, where what
is counted are rows. Exit 0 where none failed and at least one row was read, else 1. The standard library alone.
"""
import re
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent
HEADING = "## RFC 9111, requirement by requirement"
APPLICATION = "## An application's own caches, row by row"
KEYWORDS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}
REFERENCE = re.compile(r'`((?:core|flow|net|store|integration)/\w+_test)` "([^"]+)"')
TEST_CASE = re.compile(r'\bTEST_CASE\(\s*("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)')
EXCUSES = ("Not ours", "as above", "section 4.1")


def test_cases(name):
    """Names of the test cases of `core/x_test`, or None where there is no such file."""
    folder = TESTS if name.startswith("integration/") else TESTS / "unit"
    source = folder / (name + ".cpp")
    if not source.is_file():
        return None
    found = TEST_CASE.findall(source.read_text(encoding="utf-8"))
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal)) for literal in found]


def rows_of(text):
    """(line number, cells) of each row of the tables, without their heads; and where the second table begins."""
    rows, second = [], None
    for number, line in enumerate(text, 1):
        if line.startswith("### "):
            second = second or number
        if not line.startswith("|") or set(line) <= set("|- ") or "shown by |" in line:
            continue
        rows.append((number, [cell.strip() for cell in line.strip().strip("|").split("|")]))
    return rows, second or len(text) + 1


def mistakes_in_references(shown, cases):
    """What is wrong with the tests that one cell names."""
    references, wrong = REFERENCE.findall(shown), []
    if shown.count("_test`") != len(references):
        wrong.append("a test file is named without a test case")
    if not references and not shown.startswith(EXCUSES):
        wrong.append("neither a test nor a reason")
    for name, part in references:
        if name not in cases:
            cases[name] = test_cases(name)
        if cases[name] is None:
            wrong.append(f"no such file: {name}.cpp")
            continue
        count = sum(part in case for case in cases[name])
        if count != 1:
            wrong.append(f'{name}.cpp has {count or "no"} test case{"s" if count > 1 else ""} "{part}"')
    return wrong


def mistakes_in(cells, cases):
    """What is wrong with one row about RFC 9111."""
    if len(cells) != 4:
        return ["four cells are wanted"]
    _, keyword, requirement, shown = cells
    wrong = [f"'{word}' is no keyword" for word in keyword.split(", ") if word and word not in KEYWORDS]
    if not requirement:
        wrong.append("no requirement")
    return wrong + mistakes_in_references(shown, cases)


def check_application(lines, cases):
    """(rows, rows with a mistake) of the table about an application's own caches."""
    if APPLICATION not in lines:
        print(f"tests/README.md: no section '{APPLICATION}'")
        return 1, 1
    begin = lines.index(APPLICATION)
    rows, _ = rows_of(lines[begin:lines.index(HEADING)])
    bad = 0
    for number, cells in rows:
        wrong = ["two cells are wanted"] if len(cells) != 2 else mistakes_in_references(cells[1], cases)
        for what in wrong:
            print(f"tests/README.md:{begin + number}: {what}")
        bad += bool(wrong)
    return len(rows), bad


def main():
    lines = (TESTS / "README.md").read_text(encoding="utf-8").split("\n")
    if HEADING not in lines:
        print(f"tests/README.md: no section '{HEADING}'\n0 passed, 1 failed")
        return 1
    begin = lines.index(HEADING)
    rows, second = rows_of(lines[begin:])
    cases, counted, bad = {}, Counter(), 0
    for number, cells in rows:
        wrong = mistakes_in(cells, cases)
        for what in wrong:
            print(f"tests/README.md:{begin + number}: {what}")
        bad += bool(wrong)
        if number < second and len(cells) == 4:
            counted.update(word for word in cells[1].split(", ") if word)
    stated = re.search(r"^Keywords: (.*?)\.", "\n".join(lines[begin:]), re.M)
    expected = Counter({word: int(n) for n, word in re.findall(r"(\d+) ([A-Z ]+)", stated.group(1))} if stated else {})
    if counted != expected or not counted:
        print(f"tests/README.md: the rows have {dict(counted)}, the line above them says {dict(expected)}")
        bad += 1
    more, more_bad = check_application(lines, cases)
    bad += more_bad
    print(f"{len(rows) + 1 + more - bad} passed, {bad} failed")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
