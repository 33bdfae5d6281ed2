"""Makes users, keys, groups, roles, policies, boundaries and OpenID Connect
providers with the AWS CLI, as an operator at a shell would.
Run by scripts/with-trent."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ACCOUNT = "111122223333"
AWS = str(pathlib.Path(sys.executable).parent / "aws")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"

USE_KEYS = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "Use", "Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]})


def aws(*args, code=0, key=None):
    """Runs aws and gives what it prints: JSON, or the error's text."""
    env = dict(os.environ)
    if key:
        env.update(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    done = subprocess.run([AWS, *args, "--output", "json"], capture_output=True, text=True, timeout=120, env=env)
    if done.returncode != code:
        raise AssertionError(f"aws {' '.join(args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    if code:
        return done.stderr.strip()
    return json.loads(done.stdout) if done.stdout.strip() else None


def iam(*args, **kw):
    return aws("iam", *args, **kw)


class IAM(unittest.TestCase):
    def test_caller(self):
        me = aws("sts", "get-caller-identity")
        self.assertEqual((me["Account"], me["Arn"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/admin"))
        self.assertEqual(iam("get-user")["User"]["UserId"], me["UserId"])
        # Whatever the Region: IAM has none.
        self.assertEqual(aws("sts", "get-caller-identity", "--region", "eu-central-1"), me)
        self.assertEqual(iam("get-user", "--region", "ap-south-1")["User"]["UserId"], me["UserId"])

    def test_new_user_uses_a_key_at_once(self):
        """The life of a user, from the first key to the last."""
        user = iam("create-user", "--user-name", "bob", "--path", "/team/", "--tags", "Key=team,Value=books and maps")["User"]
        self.assertEqual(user["Arn"], f"arn:aws:iam::{ACCOUNT}:user/team/bob")
        self.assertTrue(user["UserId"].startswith("AIDA"))
        self.assertEqual(iam("list-user-tags", "--user-name", "bob")["Tags"], [{"Key": "team", "Value": "books and maps"}])
        key = iam("create-access-key", "--user-name", "bob")["AccessKey"]
        self.assertEqual(aws("sts", "get-caller-identity", key=key)["Arn"], user["Arn"])

        data_key = ["kms", "generate-data-key", "--key-id", aws("kms", "create-key")["KeyMetadata"]["KeyId"], "--key-spec", "AES_256"]
        self.assertIn("(AccessDeniedException)", aws(*data_key, key=key, code=255))
        iam("put-user-policy", "--user-name", "bob", "--policy-name", "use-keys", "--policy-document", USE_KEYS)
        aws(*data_key, key=key)
        self.assertEqual(iam("get-user-policy", "--user-name", "bob", "--policy-name", "use-keys")["PolicyDocument"], json.loads(USE_KEYS))

        # The same call within the same second has the same signature, which gives no
        # second secret. In another Region it is another call.
        second = iam("create-access-key", "--user-name", "bob", "--region", "eu-west-1")["AccessKey"]
        self.assertIn("(LimitExceeded)", iam("create-access-key", "--user-name", "bob", "--region", "eu-west-2", code=255))
        self.assertEqual({k["AccessKeyId"]: k["Status"] for k in iam("list-access-keys", "--user-name", "bob")["AccessKeyMetadata"]},
                         {key["AccessKeyId"]: "Active", second["AccessKeyId"]: "Active"})
        used = iam("get-access-key-last-used", "--access-key-id", key["AccessKeyId"])
        self.assertEqual((used["UserName"], used["AccessKeyLastUsed"]["Region"]), ("bob", "us-east-1"))
        self.assertNotIn("LastUsedDate", iam("get-access-key-last-used", "--access-key-id", second["AccessKeyId"])["AccessKeyLastUsed"])
        iam("update-access-key", "--user-name", "bob", "--access-key-id", key["AccessKeyId"], "--status", "Inactive")
        self.assertIn("(UnrecognizedClientException)", aws(*data_key, key=key, code=255))
        aws(*data_key, key=second)
        iam("delete-access-key", "--user-name", "bob", "--access-key-id", second["AccessKeyId"])
        self.assertIn("(UnrecognizedClientException)", aws(*data_key, key=second, code=255))
        self.assertIn("(InvalidClientTokenId)", iam("get-user", key=second, code=255))

        self.assertIn("(DeleteConflict) when calling the DeleteUser operation: Cannot delete entity, must delete access keys first.", iam("delete-user", "--user-name", "bob", code=255))
        iam("delete-access-key", "--user-name", "bob", "--access-key-id", key["AccessKeyId"])
        self.assertIn("must delete policies first.", iam("delete-user", "--user-name", "bob", code=255))
        iam("delete-user-policy", "--user-name", "bob", "--policy-name", "use-keys")
        iam("delete-user", "--user-name", "bob")
        self.assertIn("(NoSuchEntity) when calling the GetUser operation: The user with name bob cannot be found.", iam("get-user", "--user-name", "bob", code=255))

    def test_groups(self):
        iam("create-user", "--user-name", "carol")
        group = iam("create-group", "--group-name", "readers")["Group"]
        self.assertTrue(group["GroupId"].startswith("AGPA"))
        iam("add-user-to-group", "--group-name", "readers", "--user-name", "carol")
        self.assertEqual([u["UserName"] for u in iam("get-group", "--group-name", "readers")["Users"]], ["carol"])
        self.assertEqual([g["GroupName"] for g in iam("list-groups-for-user", "--user-name", "carol")["Groups"]], ["readers"])
        iam("attach-group-policy", "--group-name", "readers", "--policy-arn", "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser")
        key = iam("create-access-key", "--user-name", "carol")["AccessKey"]
        aws("kms", "list-keys", key=key)
        iam("put-group-policy", "--group-name", "readers", "--policy-name", "not-that",
            "--policy-document", json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "kms:ListKeys", "Resource": "*"}}))
        self.assertIn("with an explicit deny in an identity-based policy", aws("kms", "list-keys", key=key, code=255))
        iam("update-group", "--group-name", "readers", "--new-group-name", "viewers")
        self.assertEqual(iam("list-group-policies", "--group-name", "viewers")["PolicyNames"], ["not-that"])
        self.assertIn("(DeleteConflict)", iam("delete-group", "--group-name", "viewers", code=255))
        iam("delete-access-key", "--user-name", "carol", "--access-key-id", key["AccessKeyId"])
        iam("remove-user-from-group", "--group-name", "viewers", "--user-name", "carol")
        iam("detach-group-policy", "--group-name", "viewers", "--policy-arn", "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser")
        iam("delete-group-policy", "--group-name", "viewers", "--policy-name", "not-that")
        iam("delete-group", "--group-name", "viewers")
        iam("delete-user", "--user-name", "carol")

    def test_roles(self):
        role = iam("create-role", "--role-name", "backup", "--assume-role-policy-document", TRUST, "--description", "nightly", "--max-session-duration", "7200",
                   "--tags", "Key=team,Value=books", "Key=empty,Value=")["Role"]
        self.assertEqual((role["Arn"], role["AssumeRolePolicyDocument"]), (f"arn:aws:iam::{ACCOUNT}:role/backup", json.loads(TRUST)))
        self.assertTrue(role["RoleId"].startswith("AROA"))
        role = iam("get-role", "--role-name", "backup")["Role"]
        self.assertEqual((role["MaxSessionDuration"], role["Description"], role["Tags"]), (7200, "nightly", [{"Key": "team", "Value": "books"}, {"Key": "empty", "Value": ""}]))
        iam("update-role", "--role-name", "backup", "--max-session-duration", "3600")
        iam("update-role-description", "--role-name", "backup", "--description", "hourly")
        iam("untag-role", "--role-name", "backup", "--tag-keys", "team")
        role = iam("get-role", "--role-name", "BACKUP")["Role"]
        self.assertEqual((role["MaxSessionDuration"], role["Description"], role["Tags"]), (3600, "hourly", [{"Key": "empty", "Value": ""}]))
        iam("update-assume-role-policy", "--role-name", "backup", "--policy-document", TRUST.replace("root", "user/admin"))
        self.assertIn("(MalformedPolicyDocument)", iam("update-assume-role-policy", "--role-name", "backup", "--policy-document", USE_KEYS, code=255))
        self.assertIn('Invalid principal in policy: "AWS":', iam("update-assume-role-policy", "--role-name", "backup", "--policy-document", TRUST.replace("root", "user/nobody"), code=255))
        iam("put-role-policy", "--role-name", "backup", "--policy-name", "use-keys", "--policy-document", USE_KEYS)
        iam("attach-role-policy", "--role-name", "backup", "--policy-arn", ADMINISTRATOR)
        self.assertIn("must detach all policies first.", iam("delete-role", "--role-name", "backup", code=255))
        iam("detach-role-policy", "--role-name", "backup", "--policy-arn", ADMINISTRATOR)
        iam("delete-role-policy", "--role-name", "backup", "--policy-name", "use-keys")
        self.assertEqual(iam("list-instance-profiles-for-role", "--role-name", "backup")["InstanceProfiles"], [])
        iam("delete-role", "--role-name", "backup")

    def test_managed_policies(self):
        policy = iam("create-policy", "--policy-name", "use-keys", "--policy-document", USE_KEYS, "--description", "uses keys")["Policy"]
        arn = policy["Arn"]
        self.assertEqual((arn, policy["DefaultVersionId"], policy["AttachmentCount"], policy["IsAttachable"]), (f"arn:aws:iam::{ACCOUNT}:policy/use-keys", "v1", 0, True))
        other = USE_KEYS.replace("kms:Decrypt", "kms:Encrypt")
        self.assertFalse(iam("create-policy-version", "--policy-arn", arn, "--policy-document", other)["PolicyVersion"]["IsDefaultVersion"])
        iam("set-default-policy-version", "--policy-arn", arn, "--version-id", "v2")
        self.assertEqual([(v["VersionId"], v["IsDefaultVersion"]) for v in iam("list-policy-versions", "--policy-arn", arn)["Versions"]], [("v2", True), ("v1", False)])
        self.assertEqual(iam("get-policy-version", "--policy-arn", arn, "--version-id", "v2")["PolicyVersion"]["Document"], json.loads(other))

        iam("create-user", "--user-name", "dave")
        iam("attach-user-policy", "--user-name", "dave", "--policy-arn", arn)
        self.assertEqual(iam("list-attached-user-policies", "--user-name", "dave")["AttachedPolicies"], [{"PolicyName": "use-keys", "PolicyArn": arn}])
        self.assertEqual([u["UserName"] for u in iam("list-entities-for-policy", "--policy-arn", arn)["PolicyUsers"]], ["dave"])
        self.assertIn("(DeleteConflict)", iam("delete-policy", "--policy-arn", arn, code=255))
        self.assertEqual([p["PolicyName"] for p in iam("list-policies", "--scope", "Local", "--only-attached")["Policies"]], ["use-keys"])

        # A boundary allows nothing, and what it does not allow is not allowed.
        key = iam("create-access-key", "--user-name", "dave")["AccessKey"]
        data_key = ["kms", "generate-data-key", "--key-id", aws("kms", "create-key")["KeyMetadata"]["KeyId"], "--key-spec", "AES_256"]
        aws(*data_key, key=key)
        iam("put-user-permissions-boundary", "--user-name", "dave", "--permissions-boundary", "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser")
        self.assertEqual(iam("get-user", "--user-name", "dave")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"], "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser")
        self.assertIn("(AccessDeniedException)", aws(*data_key, key=key, code=255))
        iam("delete-user-permissions-boundary", "--user-name", "dave")
        aws(*data_key, key=key)

        iam("delete-access-key", "--user-name", "dave", "--access-key-id", key["AccessKeyId"])
        iam("detach-user-policy", "--user-name", "dave", "--policy-arn", arn)
        iam("delete-user", "--user-name", "dave")
        self.assertIn("more than one version", iam("delete-policy", "--policy-arn", arn, code=255))
        iam("delete-policy-version", "--policy-arn", arn, "--version-id", "v1")
        iam("delete-policy", "--policy-arn", arn)

    def test_providers(self):
        arn = iam("create-open-id-connect-provider", "--url", "https://id.example/realm", "--client-id-list", "sts.amazonaws.com", "--thumbprint-list", "a" * 40)["OpenIDConnectProviderArn"]
        self.assertEqual(arn, f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example/realm")
        iam("add-client-id-to-open-id-connect-provider", "--open-id-connect-provider-arn", arn, "--client-id", "trent")
        iam("remove-client-id-from-open-id-connect-provider", "--open-id-connect-provider-arn", arn, "--client-id", "sts.amazonaws.com")
        iam("update-open-id-connect-provider-thumbprint", "--open-id-connect-provider-arn", arn, "--thumbprint-list", "b" * 40)
        iam("tag-open-id-connect-provider", "--open-id-connect-provider-arn", arn, "--tags", "Key=a,Value=b")
        p = iam("get-open-id-connect-provider", "--open-id-connect-provider-arn", arn)
        self.assertEqual((p["Url"], p["ClientIDList"], p["ThumbprintList"], p["Tags"]), ("id.example/realm", ["trent"], ["b" * 40], [{"Key": "a", "Value": "b"}]))
        self.assertEqual(iam("list-open-id-connect-providers")["OpenIDConnectProviderList"], [{"Arn": arn}])
        iam("delete-open-id-connect-provider", "--open-id-connect-provider-arn", arn)
        self.assertEqual(iam("list-open-id-connect-providers")["OpenIDConnectProviderList"], [])

    def test_account_alias(self):
        iam("create-account-alias", "--account-alias", "the-books")
        self.assertEqual(iam("list-account-aliases")["AccountAliases"], ["the-books"])
        iam("delete-account-alias", "--account-alias", "the-books")
        self.assertEqual(iam("list-account-aliases")["AccountAliases"], [])

    def test_pages(self):
        for i in range(5):
            iam("create-group", "--group-name", f"page-{i}", "--path", "/pages/")
        names = [g["GroupName"] for g in iam("list-groups", "--path-prefix", "/pages/", "--page-size", "2")["Groups"]]
        self.assertEqual(names, [f"page-{i}" for i in range(5)])
        page = iam("list-groups", "--path-prefix", "/pages/", "--max-items", "3")
        rest = iam("list-groups", "--path-prefix", "/pages/", "--starting-token", page["NextToken"])
        self.assertEqual([g["GroupName"] for g in page["Groups"] + rest["Groups"]], names)
        for name in names:
            iam("delete-group", "--group-name", name)

    def test_documents_of_files(self):
        """A document as an editor leaves it: with line breaks, tabs and more than ASCII."""
        text = json.dumps(json.loads(USE_KEYS.replace("Use", "Use + & = % keys")), indent="\t", ensure_ascii=False) + "\r\n"
        with tempfile.NamedTemporaryFile("w", newline="") as f:
            f.write(text)
            f.flush()
            arn = iam("create-policy", "--policy-name", "file", "--policy-document", "file://" + f.name)["Policy"]["Arn"]
        self.assertEqual(iam("get-policy-version", "--policy-arn", arn, "--version-id", "v1")["PolicyVersion"]["Document"], json.loads(text))
        iam("delete-policy", "--policy-arn", arn)

    def test_refused(self):
        text = iam("create-user", "--user-name", "a b", code=255)
        self.assertIn(r"(ValidationError) when calling the CreateUser operation: 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+", text)
        self.assertIn("(NoSuchEntity)", iam("get-login-profile", "--user-name", "admin", code=255))
        self.assertIn("(InvalidAction)", iam("get-account-summary", code=255))


if __name__ == "__main__":
    unittest.main(verbosity=2)
