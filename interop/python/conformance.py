"""Has boto3 perform the steps of trent conformance, and holds every answer against botocore's
model: no member that it does not know, none of another type, none missing that it requires.
Run as

    trent conformance python interop/python/conformance.py
"""

import base64
import datetime
import json
import os
import re
import sys

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.validate import ParamValidator

from external import wrap

PLACEHOLDER = re.compile(r"\$(\{[^}]*\}|[a-z_0-9]+)")


def native(shape, value):
    """The form that boto3 wants a JSON value in."""
    if shape.type_name == "blob":
        return base64.b64decode(value)
    if shape.type_name == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    if shape.type_name == "structure":
        return {k: native(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
    if shape.type_name == "list":
        return [native(shape.member, v) for v in value]
    if shape.type_name == "map":
        return {k: native(shape.value, v) for k, v in value.items()}
    return value


def text(value):
    """A value of an answer in the words of the steps."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def at(answer, path):
    for name in path.split("."):
        if isinstance(answer, list):
            answer = answer[int(name)]
        else:
            answer = answer[name]
    return text(answer)


def against_model(answer, shape):
    """What botocore's model has against an answer. A grant without a name is listed by AWS KMS
    with the name "", shorter than its own model allows."""
    for grant in answer.get("Grants", ()):
        if grant["Name"] == "":
            del grant["Name"]
    report = ParamValidator().validate(answer, shape)
    return report.generate_report() if report.has_errors() else ""


class Client:
    def __init__(self):
        config = Config(parameter_validation=False, retries={"max_attempts": 1})
        self.variables = json.loads(os.environ["TRENT_CONFORMANCE"])
        regions = {"": self.variables["region"], "elsewhere": self.variables["other_region"]}
        self.clients = {name: boto3.client("kms", region_name=region, config=config) for name, region in regions.items()}
        self.model = self.clients[""].meta.service_model
        self.methods = {operation: method for method, operation in self.clients[""].meta.method_to_api_mapping.items()}

    def value(self, expression):
        if expression.startswith("wrap "):
            _, algorithm, key, material = expression.split()
            wrapped = wrap(algorithm, base64.b64decode(self.variables[key.lstrip("$")]), bytes.fromhex(material))
            return base64.b64encode(wrapped).decode()
        return self.variables[expression]

    def fill(self, body):
        return PLACEHOLDER.sub(lambda m: json.dumps(self.value(m[1].strip("{}")))[1:-1], body)

    def perform(self, step):
        """Performs a step and says what was wrong, if anything."""
        operation = self.model.operation_model(step["action"])
        try:
            body = json.loads(self.fill(step["body"]))
        except KeyError as missing:
            return f"no step has saved {missing}"
        call = getattr(self.clients[step.get("region", "")], self.methods[step["action"]])
        want = step.get("error", "")
        try:
            answer = call(**native(operation.input_shape, body))
        except botocore.exceptions.ClientError as e:
            code = e.response["Error"]["Code"]
            if code != want:
                return f"{code}: {e.response['Error']['Message']}"
            named = [shape.name for shape in operation.error_shapes]
            return "" if code in named or code == "ValidationException" else f"{code} is no error of {step['action']}"
        if want:
            return "it succeeded"
        answer.pop("ResponseMetadata")
        if operation.output_shape is not None:
            if wrong := against_model(answer, operation.output_shape):
                return wrong
        for path, value in step.get("expect", {}).items():
            if at(answer, path) != self.fill(value):
                return f"{path} is {at(answer, path)}, not {self.fill(value)}"
        for name, path in step.get("save", {}).items():
            self.variables[name] = at(answer, path)
        return ""


def main():
    client, done, skipped, failed = Client(), 0, 0, 0
    for line in sys.stdin:
        step = json.loads(line)
        if step.get("needs") == "clock":
            skipped += 1
            continue
        done += 1
        if wrong := client.perform(step):
            failed += 1
            print(f"{step['action']} {step['body'][:200]} ({step.get('cell', '')}): {wrong}")
    print(f"boto3 {boto3.__version__}: {done} steps, {failed} with another outcome than they must; {skipped} want a clock that can be set")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
