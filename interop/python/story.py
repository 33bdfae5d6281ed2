"""Plays the story of ../README.md with boto3, against the server that the
environment names. Run by scripts/with-trent."""

import base64
import json
import os
import pathlib
import socket
import time
import unittest
import unittest.mock

import boto3
import botocore
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

HERE = pathlib.Path(__file__).parent
ACCOUNT = "111122223333"
MEMBERS = json.loads((HERE.parent / "members.json").read_text())
REFUSALS = json.loads((HERE.parent / "refusals.json").read_text())
SEEN = set()


def client(region="us-east-1", **config):
    c = boto3.client("kms", region_name=region, config=Config(retries={"total_max_attempts": 1}, **config))
    c.meta.events.register("before-parse.kms.*", check_members)
    return c


def check_members(operation_model, response_dict, **_):
    """Holds an answer as it is on the wire against members.json and the model."""
    if response_dict["status_code"] != 200:
        return
    name, body = operation_model.name, response_dict["body"]
    SEEN.add(name)
    want = MEMBERS[name]
    if not want:
        assert body == b"", f"{name} answers {body!r}, want nothing"
        return
    answer = json.loads(body)
    assert sorted(set(answer) - {"NextMarker"}) == want, f"{name} has {sorted(answer)}, want {want}"
    if "KeyMetadata" in answer and answer["KeyMetadata"]["KeyState"] != "PendingDeletion":
        assert sorted(answer["KeyMetadata"]) == MEMBERS["KeyMetadata"], sorted(answer["KeyMetadata"])
    conforms(answer, operation_model.output_shape, name)


KINDS = {"string": str, "boolean": bool, "integer": int, "long": int, "timestamp": (int, float), "blob": str}


def conforms(value, shape, where):
    """Checks a value against its shape: members that are known, of the right
    type, with everything that is required."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), where
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{where}: the model does not know {unknown}"
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{where}: {missing} missing"
        for name, v in value.items():
            conforms(v, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for i, v in enumerate(value):
            conforms(v, shape.member, f"{where}[{i}]")
    else:
        assert isinstance(value, KINDS[shape.type_name]), f"{where}: {value!r} is no {shape.type_name}"
        if shape.type_name == "string" and shape.enum:
            assert value in shape.enum, f"{where}: {value!r} is not of the enum"
        if shape.type_name == "blob":
            base64.b64decode(value, validate=True)


class Story(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.kms = client()
        cls.key = cls.kms.create_key(Description="the story's")["KeyMetadata"]
        cls.kms.create_alias(AliasName="alias/story", TargetKeyId=cls.key["KeyId"])

    def create_key(self, **kw):
        return self.kms.create_key(**kw)["KeyMetadata"]["KeyId"]

    def test_data_key_by_every_name(self):
        names = [self.key["KeyId"], self.key["Arn"], "alias/story", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/story"]
        context = {"tenant": "blue", "purpose": "story"}
        for made in names:
            k = self.kms.generate_data_key(KeyId=made, KeySpec="AES_256", EncryptionContext=context)
            self.assertEqual(len(k["Plaintext"]), 32)
            for used in names + [None]:
                kw = {"KeyId": used} if used else {}
                d = self.kms.decrypt(CiphertextBlob=k["CiphertextBlob"], EncryptionContext=context, **kw)
                self.assertEqual(d["Plaintext"], k["Plaintext"])
                self.assertEqual(d["KeyId"], self.key["Arn"])
                self.assertEqual(d["KeyMaterialId"], self.key["CurrentKeyMaterialId"])
                self.assertEqual(d["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT")
        k = self.kms.generate_data_key_without_plaintext(KeyId=names[0], NumberOfBytes=1024)
        self.assertEqual(len(self.kms.decrypt(CiphertextBlob=k["CiphertextBlob"])["Plaintext"]), 1024)
        self.assertEqual(len(self.kms.generate_random(NumberOfBytes=1024)["Plaintext"]), 1024)

    def test_wrong_context(self):
        blob = self.kms.encrypt(KeyId="alias/story", Plaintext=b"secret", EncryptionContext={"a": "bc"})["CiphertextBlob"]
        for context in {}, {"a": "bd"}, {"ab": "c"}, {"A": "bc"}, {"a": "bc", "d": "e"}, {"a": ""}:
            with self.assertRaises(self.kms.exceptions.InvalidCiphertextException):
                self.kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)

    def test_re_encrypt(self):
        other = self.create_key()
        one, two = {"stage": "one", "ü": "漢"}, {"stage": "two"}
        blob = self.kms.encrypt(KeyId=self.key["KeyId"], Plaintext=b"moved", EncryptionContext=one)["CiphertextBlob"]
        r = self.kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=one, DestinationKeyId=other, DestinationEncryptionContext=two)
        self.assertEqual(r["SourceKeyId"], self.key["Arn"])
        self.assertTrue(r["KeyId"].endswith(other))
        self.assertEqual(self.kms.decrypt(CiphertextBlob=r["CiphertextBlob"], EncryptionContext=two)["Plaintext"], b"moved")
        with self.assertRaises(self.kms.exceptions.InvalidCiphertextException):
            self.kms.decrypt(CiphertextBlob=r["CiphertextBlob"], EncryptionContext=one)
        with self.assertRaises(self.kms.exceptions.InvalidCiphertextException):
            self.kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=two, DestinationKeyId=other)
        with self.assertRaises(self.kms.exceptions.IncorrectKeyException):
            self.kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=one, SourceKeyId=other, DestinationKeyId=other)

    def test_key_life(self):
        k = self.create_key(Description="to be altered")

        def state():
            m = self.kms.describe_key(KeyId=k)["KeyMetadata"]
            self.assertEqual(m["Enabled"], m["KeyState"] == "Enabled")
            return m["KeyState"]

        self.kms.update_key_description(KeyId=k, Description="")
        self.assertEqual(self.kms.describe_key(KeyId=k)["KeyMetadata"]["Description"], "")
        self.kms.disable_key(KeyId=k)
        self.assertEqual(state(), "Disabled")
        with self.assertRaises(self.kms.exceptions.DisabledException):
            self.kms.encrypt(KeyId=k, Plaintext=b"a")
        self.kms.enable_key(KeyId=k)
        self.assertEqual(state(), "Enabled")
        s = self.kms.schedule_key_deletion(KeyId=k, PendingWindowInDays=7)
        self.assertAlmostEqual(s["DeletionDate"].timestamp(), time.time() + 7 * 86400, delta=60)
        self.assertEqual((s["KeyState"], s["PendingWindowInDays"]), ("PendingDeletion", 7))
        m = self.kms.describe_key(KeyId=k)["KeyMetadata"]
        self.assertEqual(sorted(m), sorted(MEMBERS["KeyMetadata"] + ["DeletionDate"]))
        with self.assertRaises(self.kms.exceptions.KMSInvalidStateException):
            self.kms.enable_key(KeyId=k)
        self.kms.cancel_key_deletion(KeyId=k)
        self.assertEqual(state(), "Disabled")
        self.assertEqual(self.kms.schedule_key_deletion(KeyId=k)["PendingWindowInDays"], 30)

    def test_alias_life(self):
        one, two, name = self.create_key(), self.create_key(), "alias/life"
        self.kms.create_alias(AliasName=name, TargetKeyId=one)
        blob = self.kms.encrypt(KeyId=name, Plaintext=b"first")["CiphertextBlob"]
        self.kms.update_alias(AliasName=name, TargetKeyId=two)
        self.assertEqual(self.kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"], two)
        self.assertEqual(self.kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"first")
        with self.assertRaises(self.kms.exceptions.IncorrectKeyException):
            self.kms.decrypt(CiphertextBlob=blob, KeyId=name)
        self.assertEqual(self.kms.list_aliases(KeyId=one)["Aliases"], [])
        (alias,) = self.kms.list_aliases(KeyId=two)["Aliases"]
        self.assertEqual(sorted(alias), ["AliasArn", "AliasName", "CreationDate", "LastUpdatedDate", "TargetKeyId"])
        self.assertLess(alias["CreationDate"], alias["LastUpdatedDate"])
        self.kms.delete_alias(AliasName=name)
        with self.assertRaises(self.kms.exceptions.NotFoundException):
            self.kms.delete_alias(AliasName=name)

    def test_tags(self):
        k = self.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}])
        self.kms.tag_resource(KeyId=k, Tags=[{"TagKey": "a", "TagValue": "2"}, {"TagKey": "ü 漢", "TagValue": "3"}])
        self.kms.untag_resource(KeyId=k, TagKeys=["b", "absent"])
        tags = {t["TagKey"]: t["TagValue"] for t in self.kms.list_resource_tags(KeyId=k)["Tags"]}
        self.assertEqual(tags, {"a": "2", "ü 漢": "3"})
        with self.assertRaisesRegex(self.kms.exceptions.TagException, "Too many tags"):
            self.create_key(Tags=[{"TagKey": str(i), "TagValue": ""} for i in range(51)])

    def test_policies(self):
        k = self.create_key()
        self.assertEqual(self.kms.list_key_policies(KeyId=k)["PolicyNames"], ["default"])
        default = json.loads(self.kms.get_key_policy(KeyId=k)["Policy"])
        self.assertEqual(default["Statement"][0]["Principal"], {"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        policy = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Deny", "Principal": "*", "Action": "kms:GenerateDataKey", "Resource": "*"}]})
        self.kms.put_key_policy(KeyId=k, PolicyName="default", Policy=policy)
        self.assertEqual(self.kms.get_key_policy(KeyId=k), self.kms.get_key_policy(KeyId=k, PolicyName="default") | {"ResponseMetadata": unittest.mock.ANY})
        self.assertEqual(self.kms.get_key_policy(KeyId=k)["Policy"], policy)
        self.kms.encrypt(KeyId=k, Plaintext=b"a")
        with self.assertRaises(botocore.exceptions.ClientError) as e:
            self.kms.generate_data_key(KeyId=k, KeySpec="AES_256")
        self.assertEqual(e.exception.response["Error"], {
            "Code": "AccessDeniedException",
            "Message": f"User: arn:aws:iam::{ACCOUNT}:user/admin is not authorized to perform: kms:GenerateDataKey on resource: "
                       f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{k} with an explicit deny in a resource-based policy"})

    def test_pages(self):
        k = self.create_key()
        for i in range(7):
            self.kms.create_alias(AliasName=f"alias/pages/{i}", TargetKeyId=k)
        self.kms.tag_resource(KeyId=k, Tags=[{"TagKey": str(i), "TagValue": ""} for i in range(7)])
        for operation, member, name, kw in (
            ("list_aliases", "Aliases", "AliasName", {"KeyId": k}),
            ("list_resource_tags", "Tags", "TagKey", {"KeyId": k}),
            ("list_keys", "Keys", "KeyId", {}),
            ("list_aliases", "Aliases", "AliasName", {}),
        ):
            pages = list(self.kms.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}, **kw))
            self.assertGreater(len(pages), 2)
            got = [item[name] for page in pages for item in page[member]]
            self.assertEqual(len(got), len(set(got)), "listed twice")
            self.assertEqual(sorted(got), sorted(item[name] for item in getattr(self.kms, operation)(**kw)[member]))
            for page in pages:
                self.assertEqual(page["Truncated"], "NextMarker" in page)
        page = self.kms.list_aliases(KeyId=k, Limit=3)
        with self.assertRaises(self.kms.exceptions.InvalidMarkerException):
            self.kms.list_keys(Marker=page["NextMarker"])
        # One list goes on where it was, whatever has come in between.
        self.kms.create_alias(AliasName="alias/pages/1a", TargetKeyId=k)
        rest = self.kms.list_aliases(KeyId=k, Marker=page["NextMarker"])["Aliases"]
        self.assertEqual([a["AliasName"] for a in rest], [f"alias/pages/{i}" for i in range(3, 7)])

    def test_same_calls_at_once(self):
        keys = {self.kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
        self.assertEqual(len(keys), 5)
        k = keys.pop()
        for _ in range(3):
            self.kms.disable_key(KeyId=k)
            self.kms.enable_key(KeyId=k)
            self.kms.disable_key(KeyId=k)
            self.assertEqual(self.kms.describe_key(KeyId=k)["KeyMetadata"]["KeyState"], "Disabled")
            self.kms.enable_key(KeyId=k)
        for _ in range(3):
            self.kms.create_alias(AliasName="alias/at-once", TargetKeyId=k)
            self.kms.delete_alias(AliasName="alias/at-once")

    def test_other_region(self):
        abroad = client("eu-west-1")
        with self.assertRaisesRegex(abroad.exceptions.NotFoundException, "Invalid arn us-east-1"):
            abroad.describe_key(KeyId=self.key["Arn"])
        with self.assertRaisesRegex(abroad.exceptions.NotFoundException, f"Key 'arn:aws:kms:eu-west-1:{ACCOUNT}:key/{self.key['KeyId']}' does not exist"):
            abroad.describe_key(KeyId=self.key["KeyId"])

    def test_captured(self):
        """The bytes of a request that has been answered, sent once more."""
        url = os.environ["AWS_ENDPOINT_URL"]
        body = b'{"Description":"captured"}'
        request = AWSRequest("POST", url + "/", data=body, headers={"X-Amz-Target": "TrentService.CreateKey", "Content-Type": "application/x-amz-json-1.1"})
        SigV4Auth(Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), "kms", "us-east-1").add_auth(request)
        host, port = url.removeprefix("http://").split(":")
        head = f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in request.headers.items()) + "\r\n"

        def send():
            with socket.create_connection((host, int(port)), timeout=30) as s:
                s.sendall(head.encode() + body)
                answer = b"".join(iter(lambda: s.recv(65536), b""))
            return int(answer.split()[1]), json.loads(answer.split(b"\r\n\r\n", 1)[1])

        self.assertEqual(send()[0], 200)
        time.sleep(3)  # until a second sighting is no repeated call any more
        status, answer = send()
        self.assertEqual((status, answer["__type"]), (400, "InvalidSignatureException"))
        descriptions = [self.kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"]["Description"] for k in self.kms.list_keys()["Keys"]]
        self.assertEqual(descriptions.count("captured"), 1)

    def test_refusals(self):
        lenient = client(parameter_validation=False)
        disabled, deleting = (self.kms.create_key()["KeyMetadata"] for _ in range(2))
        self.kms.disable_key(KeyId=disabled["KeyId"])
        self.kms.schedule_key_deletion(KeyId=deleting["KeyId"])
        places = {"account": ACCOUNT, "id": self.key["KeyId"], "arn": self.key["Arn"], "disabled": disabled["KeyId"],
                  "disabledArn": disabled["Arn"], "deleting": deleting["KeyId"], "deletingArn": deleting["Arn"]}

        def fill(text):
            for name, value in places.items():
                text = text.replace("{" + name + "}", value)
            return text

        for case in REFUSALS:
            given = json.loads(fill(json.dumps(case["input"])))
            for blob in "Plaintext", "CiphertextBlob":
                if blob in given:
                    given[blob] = base64.b64decode(given[blob])
            with self.subTest(operation=case["operation"], input=given):
                with self.assertRaises(botocore.exceptions.ClientError) as e:
                    getattr(lenient, botocore.xform_name(case["operation"]))(**given)
                error = e.exception.response["Error"]
                self.assertEqual(error["Code"], case["code"])
                self.assertEqual(e.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)
                known = getattr(lenient.exceptions, case["code"], None) if case["code"] in lenient.exceptions._code_to_exception else None
                if known:
                    self.assertIsInstance(e.exception, known)
                text = fill(case["text"] or "")
                if text.endswith("…"):
                    self.assertTrue(error["Message"].startswith(text[:-1]), error["Message"])
                else:
                    self.assertEqual(error["Message"], text)

    @classmethod
    def tearDownClass(cls):
        cls.kms.close()


def tearDownModule():
    missing = set(MEMBERS) - SEEN - {"KeyMetadata"}
    assert not missing, f"not called: {sorted(missing)}"


if __name__ == "__main__":
    unittest.main(verbosity=2)
