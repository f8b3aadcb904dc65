"""Holds each message upstream against its schema in config/schemas."""

import json
import pathlib

from jsonschema import Draft202012Validator

FOLDER = pathlib.Path(__file__).parents[2] / "config" / "schemas"
KINDS = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json") if file.stem != "asyncapi"}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in KINDS.items()}


def misfit(topic, body):
    """What is wrong with a message, in words; None where nothing is."""
    first = topic.split("/")[0]
    name = "points" if topic.startswith("birth/points/") else first
    if name not in VALIDATORS:
        return f"{topic}: no schema speaks of it"
    wrong = [f"{topic}: {error.json_path} {error.message}"[:500] for error in VALIDATORS[name].iter_errors(body)]
    return "\n".join(wrong) or None
