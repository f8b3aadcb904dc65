"""Holds each message upstream against the AsyncAPI channel of its topic and its schema, in config/schemas."""

import json
import pathlib

from jsonschema import Draft202012Validator

FOLDER = pathlib.Path(__file__).parents[2] / "config" / "schemas"
KINDS = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json") if file.stem != "asyncapi"}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in KINDS.items()}
CHANNELS = json.loads((FOLDER / "asyncapi.json").read_text())["channels"].values()


def is_of(address, topic):
    """Level by level, the four of the root aside."""
    said, levels = address.split("/")[4:], topic.split("/")
    return len(said) == len(levels) and all(a == b or (a[0] == "{" and b) for a, b in zip(said, levels))


def misfit(topic, body):
    """What is wrong with a message, in words; None where nothing is."""
    channels = [channel for channel in CHANNELS if is_of(channel["address"], topic)]
    if len(channels) != 1:
        return f"{topic}: {len(channels)} channels speak of it"
    [name] = channels[0]["messages"]
    wrong = [f"{topic}: {error.json_path} {error.message}"[:500] for error in VALIDATORS[name].iter_errors(body)]
    return "\n".join(wrong) or None
