#!/usr/bin/env python3
"""The OpenAPI document, looked at by others than who wrote it, and the answers of the API, held
against it: open_api_test.py SOURCE REST_DOCUMENT REST_ROLES_TEST.

The OpenAPI Initiative's schema of 3.1 is not packaged by Debian. The structure is checked by its
schema of 3.0 (package openapi-specification): what 3.1 took over from JSON Schema, the schemas
themselves, is taken out for that, and checked by the meta-schema of draft 2020-12."""
import json
import os
import re
import subprocess
import sys
import tempfile

import jsonschema

STRUCTURE = "/usr/share/openapi-specification/schemas/v3.0/schema.json"


def fail(text):
    print(text)
    sys.exit(1)


def without_schemas(value):
    if isinstance(value, dict):
        return {key: ({"type": "string"} if key == "schema" else without_schemas(item))
                for key, item in value.items() if key != "schemas"}
    if isinstance(value, list):
        return [without_schemas(item) for item in value]
    return value


def check_structure(document):
    with open(STRUCTURE, encoding="utf-8") as file:
        schema = json.load(file)
    plain = without_schemas(document)
    plain["openapi"] = "3.0.3"
    validator = jsonschema.Draft4Validator(schema)
    for error in list(validator.iter_errors(plain))[:5]:
        fail(f"openapi: {list(error.path)}: {error.message[:300]}")


def schemas_within(value):
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "schema":
                yield item
            else:
                yield from schemas_within(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas_within(item)


def check_schemas(document):
    named = document["components"]["schemas"]
    for name, schema in named.items():
        jsonschema.Draft202012Validator.check_schema(schema)
    for schema in schemas_within(document["paths"]):
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)):
        if reference not in named:
            fail(f"openapi: nothing is called {reference}")


def check_operations(document):
    ids = set()
    for path, methods in document["paths"].items():
        variables = re.findall(r"\{([^}]+)\}", path)
        for method, operation in methods.items():
            where = f"{method} {path}"
            if operation["operationId"] in ids:
                fail(f"{where}: {operation['operationId']} is there twice")
            ids.add(operation["operationId"])
            declared = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            if declared != variables:
                fail(f"{where}: parameters {declared}, but the path has {variables}")


def check_answers(document, path):
    operations = {operation["operationId"]: operation
                  for methods in document["paths"].values() for operation in methods.values()}
    checked = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            answer = json.loads(line)
            responses = operations[answer["id"]]["responses"]
            response = responses.get(str(answer["status"]))
            if response is None:
                if answer["status"] < 400:
                    fail(f"{answer['id']}: {answer['status']} is not in the document")
                response = responses["default"]
            content = response.get("content", {}).get(answer["type"])
            if content is None:
                fail(f"{answer['id']}: {answer['type']} is not in the document")
            schema = dict(content["schema"], components=document["components"])
            if answer["id"] == "exportVcluster" and answer["status"] == 200:
                schema = document["components"]["schemas"]["Definition"]
            for error in list(jsonschema.Draft202012Validator(schema).iter_errors(answer["body"]))[:3]:
                fail(f"{answer['id']} {answer['status']}: {list(error.path)}: {error.message[:300]}")
            checked += 1
    if checked < 300:
        fail(f"only {checked} answers were looked at")
    print(f"{len(operations)} operations, {checked} answers as the document says")


def main():
    source, printer, roles_test = sys.argv[1:4]
    document = json.loads(subprocess.run([printer, "openapi"], check=True, capture_output=True).stdout)
    check_structure(document)
    check_schemas(document)
    check_operations(document)
    routes = subprocess.run([printer, "routes"], check=True, capture_output=True, text=True).stdout
    with open(os.path.join(source, "docs/rest.md"), encoding="utf-8") as file:
        if routes not in file.read():
            fail("docs/rest.md has another table of routes: put in what 'rest_document routes' prints")
    with tempfile.TemporaryDirectory(prefix="strata-openapi.") as directory:
        answers = os.path.join(directory, "answers.jsonl")
        subprocess.run([roles_test, "--gtest_brief=1"], check=True,
                       env=dict(os.environ, STRATA_REST_ANSWERS=answers))
        check_answers(document, answers)


if __name__ == "__main__":
    main()
