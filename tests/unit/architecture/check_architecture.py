#!/usr/bin/env python3
"""Checks the source tree against rules.py: check_architecture.py TOP. Prints one line per fault,
"path:line: what"; exits 1 when there is any."""
import os
import re
import sys

import rules

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
IMPORT = re.compile(r'^\s*import\s+"([^"]+)"')
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
    re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def rule_of(path):
    """The strictest rule that covers a path: its name and what may be included."""
    parts = path.split("/")
    for depth in (2, 1):
        name = "/".join(parts[:depth])
        if len(parts) > depth and name in rules.ALLOWED_INCLUDES:
            return name, rules.ALLOWED_INCLUDES[name]
    return None, None


def covered(target, names):
    return any(target == name or target.startswith(name + "/") for name in names)


def check_includes(path, text):
    name, allowed = rule_of(path)
    if name is None:
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line) or IMPORT.match(line)
        if not match:
            continue
        target = match.group(1)
        if ".." in target.split("/"):
            yield number, f"includes {target}: write the path from the top"
        elif target.split("/")[0] not in rules.ALLOWED_INCLUDES:
            yield number, f"includes \"{target}\": own headers are named from the top, others in <>"
        elif not covered(target, allowed | {name}):
            yield number, f"includes {target}: {name} may not depend on that (rules.py)"


def check_text(path, text):
    allowed = rules.EXCEPTIONS.get(path, set())
    code = COMMENT_OR_STRING.sub(blank, text)
    checks = [(rules.FORBIDDEN_CODE, code), (rules.FORBIDDEN_TEXT, text)]
    if not path.startswith("tests/"):
        checks.append((rules.FORBIDDEN_CODE_OUTSIDE_TESTS, code))
    for patterns, subject in checks:
        for pattern, why in patterns:
            if pattern in allowed:
                continue
            for match in re.finditer(pattern, subject):
                yield subject.count("\n", 0, match.start()) + 1, f"'{match.group()}': {why}"
    lines = text.splitlines()
    if len(lines) > rules.FILE_LINES_MAX:
        yield len(lines), f"has {len(lines)} lines, more than {rules.FILE_LINES_MAX}: split it"
    for number, line in enumerate(lines, 1):
        if len(line) > rules.LINE_COLUMNS_MAX and "http" not in line:
            yield number, f"is {len(line)} columns wide, more than {rules.LINE_COLUMNS_MAX}"
        if line.endswith((" ", "\t", "\r")):
            yield number, "ends in blanks"


def check_file(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        text = file.read()
    for pattern in rules.FORBIDDEN_FILE_NAMES:
        if re.search(pattern, path):
            yield 1, "name it after what it holds"
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "a header without #pragma once"
    yield from check_includes(path, text)
    yield from check_text(path, text)


def check_tree(top):
    faults = []
    for name in sorted(os.listdir(top)):
        if not name.startswith(".") and name not in rules.TOP_LEVEL | rules.NOT_OURS:
            faults.append(f"{name}:1: is not part of the agreed top level (rules.py)")
    for folder in sorted(rules.ALLOWED_INCLUDES):
        if "/" in folder:
            continue
        for where, directories, files in os.walk(os.path.join(top, folder)):
            directories.sort()
            directories[:] = [d for d in directories if not d.startswith(".") and d != "__pycache__"]
            for file in sorted(files):
                if not file.endswith(rules.SOURCE_SUFFIXES):
                    continue
                path = os.path.relpath(os.path.join(where, file), top)
                faults += [f"{path}:{line}: {what}" for line, what in check_file(top, path)]
    return faults


def main():
    faults = check_tree(sys.argv[1])
    print("\n".join(faults) if faults else "the architecture is as agreed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
