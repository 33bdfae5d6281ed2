"""Plays a part of the story with the AWS CLI, as a person at a shell would.
Run by scripts/with-trent."""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ACCOUNT = "111122223333"
AWS = str(pathlib.Path(sys.executable).parent / "aws")


def aws(*args, code=0):
    """Runs aws kms and gives what it prints: JSON, or the error's text."""
    done = subprocess.run([AWS, "kms", *args, "--output", "json"], capture_output=True, text=True, timeout=120)
    if done.returncode != code:
        raise AssertionError(f"aws kms {' '.join(args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    if code:
        return done.stderr.strip()
    return json.loads(done.stdout) if done.stdout.strip() else None


class CLI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = aws("create-key", "--description", "of the CLI", "--tags", "TagKey=team,TagValue=books")["KeyMetadata"]
        aws("create-alias", "--alias-name", "alias/cli", "--target-key-id", cls.key["KeyId"])

    def test_data_key(self):
        k = aws("generate-data-key", "--key-id", "alias/cli", "--key-spec", "AES_256", "--encryption-context", "tenant=blue")
        self.assertEqual(len(base64.b64decode(k["Plaintext"])), 32)
        with tempfile.NamedTemporaryFile() as f:
            f.write(base64.b64decode(k["CiphertextBlob"]))
            f.flush()
            for kw in [], ["--key-id", self.key["Arn"]]:
                d = aws("decrypt", "--ciphertext-blob", "fileb://" + f.name, "--encryption-context", "tenant=blue", *kw)
                self.assertEqual((d["Plaintext"], d["KeyId"]), (k["Plaintext"], self.key["Arn"]))
            text = aws("decrypt", "--ciphertext-blob", "fileb://" + f.name, "--encryption-context", "tenant=blux", code=255)
            self.assertIn("(InvalidCiphertextException) when calling the Decrypt operation", text)

    def test_life(self):
        k = self.key["KeyId"]
        aws("disable-key", "--key-id", k)
        text = aws("generate-data-key", "--key-id", k, "--key-spec", "AES_256", code=255)
        self.assertTrue(text.endswith(f"An error occurred (DisabledException) when calling the GenerateDataKey operation: {self.key['Arn']} is disabled."), text)
        aws("enable-key", "--key-id", k)
        aws("put-key-policy", "--key-id", k, "--policy", aws("get-key-policy", "--key-id", k)["Policy"])
        other = aws("create-key")["KeyMetadata"]["KeyId"]
        aws("schedule-key-deletion", "--key-id", other, "--pending-window-in-days", "7")
        self.assertEqual(aws("describe-key", "--key-id", other)["KeyMetadata"]["KeyState"], "PendingDeletion")
        aws("cancel-key-deletion", "--key-id", other)

    def test_lists(self):
        for i in range(4):
            aws("create-alias", "--alias-name", f"alias/cli/{i}", "--target-key-id", self.key["KeyId"])
        names = [a["AliasName"] for a in aws("list-aliases", "--key-id", self.key["KeyId"], "--page-size", "2")["Aliases"]]
        self.assertEqual(sorted(names), ["alias/cli"] + [f"alias/cli/{i}" for i in range(4)])
        page = aws("list-aliases", "--key-id", self.key["KeyId"], "--max-items", "2")
        rest = aws("list-aliases", "--key-id", self.key["KeyId"], "--starting-token", page["NextToken"])
        self.assertEqual(len(page["Aliases"]) + len(rest["Aliases"]), 5)
        self.assertEqual(aws("list-resource-tags", "--key-id", self.key["KeyId"])["Tags"], [{"TagKey": "team", "TagValue": "books"}])

    def test_refused(self):
        text = aws("describe-key", "--key-id", "alias/absent", code=255)
        self.assertIn(f"(NotFoundException) when calling the DescribeKey operation: Alias arn:aws:kms:us-east-1:{ACCOUNT}:alias/absent is not found.", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
