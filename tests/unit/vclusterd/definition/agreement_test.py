#!/usr/bin/env python3
"""The schemas that editors use and the parsers that vclusterd uses judge Vcluster files and job files
alike: agreement_test.py TOP DEFINITION_TOOL."""
import json
import os
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

TOP, TOOL = sys.argv[1:3]
RANDOM_COUNT = 300


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read it: PyYAML's 1.1 takes times and 'no' for other things."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789.")]:
    Loader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile("^(?:" + pattern + ")$"),
                                 list(first))


def tool(*arguments):
    return subprocess.run([TOOL, *arguments], check=True, stdout=subprocess.PIPE).stdout.decode()


def parser_says(command, texts):
    """For each text what the parser says: "ok" or "bad ..."."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, text in enumerate(texts):
            paths.append(os.path.join(directory, f"{number}.yaml"))
            with open(paths[-1], "w", encoding="utf-8") as file:
                file.write(text)
        return tool(command, *paths).splitlines()


def schema_says(validator, value):
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return "ok" if error is None else "bad " + error.message[:200]


def compare(schema_file, schema_command, cases_file, examples, parse_command, faults):
    """The validator of the schema, and the number of files that were judged."""
    with open(os.path.join(TOP, schema_file), encoding="utf-8") as file:
        text = file.read()
    if tool(schema_command) != text:
        faults.append(f"the schema that is built in is not {schema_file}")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, cases_file), encoding="utf-8") as file:
        cases = yaml.load(file, Loader)
    examples = os.path.join(TOP, examples)
    for name in sorted(os.listdir(examples)):
        if name.endswith((".yaml", ".json")):
            with open(os.path.join(examples, name), encoding="utf-8") as file:
                cases["both_accept"]["example " + name] = file.read()

    for kind, wanted in [("both_accept", ("ok", "ok")), ("both_refuse", ("bad", "bad")),
                         ("only_the_parser_refuses", ("ok", "bad"))]:
        names = list(cases[kind])
        for name, parser in zip(names, parser_says(parse_command, cases[kind].values())):
            schema_verdict = schema_says(validator, yaml.load(cases[kind][name], Loader))
            if (schema_verdict[:3].strip(), parser[:3].strip()) != wanted:
                faults.append(f"{kind}: {name}: the schema says '{schema_verdict}', "
                              f"the parser '{parser}'")
    return validator, sum(map(len, cases.values()))


def main():
    faults = []
    validator, clusters = compare("docs/vcluster.schema.json", "schema", "agreement_cases.yaml",
                                  "docs/examples", "parse", faults)
    _, jobs = compare("docs/job.schema.json", "job-schema", "job_agreement_cases.yaml",
                      "docs/examples/jobs", "parse-job", faults)
    for line in tool("random", "1", str(RANDOM_COUNT)).split("\n")[:-1]:
        verdict = schema_says(validator, json.loads(line))
        if verdict != "ok":
            faults.append(f"what is written is refused: {verdict}: {line}")
    print("\n".join(faults) or f"{clusters + jobs} files are judged alike")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
