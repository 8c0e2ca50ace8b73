"""Checks Kubernetes manifests against the API's own schemas, and prints them as one JSON array.

manifests.py FILE... [--version 1.30]
"""

import argparse
import json

import kubernetes_validate
import yaml

parser = argparse.ArgumentParser()
parser.add_argument("files", nargs="+")
parser.add_argument("--version", default="1.30")
arguments = parser.parse_args()

documents = []
for path in arguments.files:
    with open(path, encoding="utf-8") as file:
        for document in yaml.safe_load_all(file):
            # Strict: an unknown key is an error.
            kubernetes_validate.validate(document, arguments.version, strict=True)
            documents.append(document)
print(json.dumps(documents))
