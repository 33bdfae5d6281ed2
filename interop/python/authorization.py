"""Who may do what with a key, row by row as docs/authorization.md has it: key
policies, identity policies, boundaries, grants and accounts, with boto3 and the
AWS CLI. Run by scripts/with-trent."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HOME, ABROAD = "111122223333", "444455556666"
AWS = str(pathlib.Path(sys.executable).parent / "aws")
TRENT = os.environ["TRENT_BINARY"]
ADMIN = f"arn:aws:iam::{HOME}:user/admin"


def client(service, key=None):
    config = Config(retries={"total_max_attempts": 1})
    if key is None:
        return boto3.client(service, config=config)
    return boto3.client(service, config=config, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
                        aws_session_token=key.get("SessionToken"))


def trent(*args, code=0):
    done = subprocess.run([TRENT, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, f"trent {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, **more):
    return {"Effect": "Deny", "Action": action, "Resource": "*", **more}


# The statements of key policies.
KEEPER = allow("kms:*", Principal={"AWS": ADMIN})
DELEGATION = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:root"})
EVERYBODY = allow("kms:Encrypt", Principal="*")


class World:
    """Two accounts with users, made once."""

    def __init__(self):
        self.kms, self.iam = client("kms"), client("iam")
        made = json.loads(trent("account", "create", ABROAD, "--name", "Elsewhere", "--output", "json"))
        self.root_abroad = {"AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"]}
        self.iam_abroad = client("iam", self.root_abroad)
        self.users = {}

    def user(self, name, *statements, account=HOME, boundary=None):
        """A user's access key; its one inline policy and its boundary are what is given here."""
        iam = self.iam if account == HOME else self.iam_abroad
        if (account, name) not in self.users:
            iam.create_user(UserName=name)
            self.users[account, name] = iam.create_access_key(UserName=name)["AccessKey"]
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*(statements or [allow("s3:*")])))
        if boundary:
            arn = iam.create_policy(PolicyName=f"bound-{len(self.users)}-{os.urandom(4).hex()}", PolicyDocument=document(boundary))["Policy"]["Arn"]
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=arn)
        else:
            try:
                iam.delete_user_permissions_boundary(UserName=name)
            except iam.exceptions.NoSuchEntityException:
                pass
        return self.users[account, name]

    def key(self, *statements):
        return self.kms.create_key(Policy=document(*statements), BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["Arn"]


def encrypts(key, key_id, **more):
    """Whether an access key may encrypt; a refusal must be AccessDenied and nothing else."""
    try:
        client("kms", key).encrypt(KeyId=key_id, Plaintext=b"x", **more)
        return True
    except ClientError as e:
        assert e.response["Error"]["Code"] == "AccessDeniedException", e
        return False


class Authorization(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = World()

    def test_confused_cases(self):
        w = self.w
        app_arn, foreign_arn = f"arn:aws:iam::{HOME}:user/app", f"arn:aws:iam::{ABROAD}:user/app"
        w.user("app"), w.user("app", account=ABROAD)
        named = allow("kms:Encrypt", Principal={"AWS": app_arn})
        for name, policy, grantee, caller, want in [
            ("IAM allows all, the key policy does not name the account", [KEEPER], None, dict(statements=[allow("kms:*")]), False),
            ("IAM denies, the key policy names the user", [KEEPER, named], None, dict(statements=[deny("kms:Encrypt")]), False),
            ("IAM denies, no delegation", [KEEPER, EVERYBODY], None, dict(statements=[deny("kms:*")]), False),
            ("delegation allows nobody by itself", [DELEGATION], None, dict(), False),
            ("delegation and IAM", [DELEGATION], None, dict(statements=[allow("kms:Encrypt")]), True),
            ("everybody, at home", [KEEPER, EVERYBODY], None, dict(), True),
            ("everybody, from abroad without IAM", [KEEPER, EVERYBODY], None, dict(account=ABROAD), False),
            ("everybody, from abroad with IAM", [KEEPER, EVERYBODY], None, dict(account=ABROAD, statements=[allow("kms:Encrypt")]), True),
            ("a foreign user named, without IAM", [KEEPER, allow("kms:Encrypt", Principal={"AWS": foreign_arn})], None, dict(account=ABROAD), False),
            ("a foreign user named, with IAM", [KEEPER, allow("kms:Encrypt", Principal={"AWS": foreign_arn})], None, dict(account=ABROAD, statements=[allow("kms:Encrypt")]), True),
            ("a foreign account named, with IAM", [KEEPER, allow("kms:Encrypt", Principal={"AWS": ABROAD})], None, dict(account=ABROAD, statements=[allow("kms:Encrypt")]), True),
            ("a grant, the key policy silent", [KEEPER], app_arn, dict(), True),
            ("a grant, and a deny in IAM", [KEEPER], app_arn, dict(statements=[deny("kms:Encrypt")]), False),
            ("a grant, and a deny in the key policy", [KEEPER, deny("kms:Encrypt", Principal={"AWS": app_arn})], app_arn, dict(), False),
            ("a grant abroad, without IAM", [KEEPER], foreign_arn, dict(account=ABROAD), False),
            ("a grant abroad, with IAM", [KEEPER], foreign_arn, dict(account=ABROAD, statements=[allow("kms:Encrypt")]), True),
            ("a statement without Resource", [KEEPER, {"Effect": "Allow", "Principal": "*", "Action": "kms:*"}], None, dict(), False),
            ("a statement without Action", [KEEPER, {"Effect": "Allow", "Principal": "*", "Resource": "*"}], None, dict(), False),
            ("another Resource in the key policy", [KEEPER, allow("kms:*", "arn:aws:kms:us-east-1:111122223333:key/other", Principal="*")], None, dict(), False),
            ("an alias in an identity policy", [DELEGATION], None, dict(statements=[allow("kms:*", "arn:aws:kms:*:*:alias/*")]), False),
            ("a boundary that is silent", [DELEGATION], None, dict(statements=[allow("kms:*")], boundary=allow("s3:*")), False),
            ("a boundary that allows", [DELEGATION], None, dict(statements=[allow("kms:*")], boundary=allow("kms:*")), True),
            ("a boundary that is silent, the user named", [KEEPER, named], None, dict(boundary=allow("s3:*")), True),
            ("a boundary that denies, the user named", [KEEPER, named], None, dict(boundary=deny("kms:*")), False),
        ]:
            with self.subTest(name):
                arn = w.key(*policy)
                if grantee:
                    w.kms.create_grant(KeyId=arn, GranteePrincipal=grantee, Operations=["Encrypt"])
                key = w.user("app", *caller.get("statements", []), account=caller.get("account", HOME), boundary=caller.get("boundary"))
                self.assertEqual(encrypts(key, arn), want)

    def test_sessions(self):
        """Roles and their sessions: in policies, under session policies, and across accounts."""
        w = self.w
        w.user("app", allow("sts:AssumeRole"))
        anybody = document({"Effect": "Allow", "Principal": {"AWS": HOME}, "Action": "sts:AssumeRole"})
        role = w.iam.create_role(RoleName="batch", AssumeRolePolicyDocument=anybody)["Role"]["Arn"]
        w.iam_abroad.create_role(RoleName="batch", AssumeRolePolicyDocument=anybody)
        foreign = f"arn:aws:iam::{ABROAD}:role/batch"
        night = f"arn:aws:sts::{HOME}:assumed-role/batch/night"
        sts = client("sts", w.user("app", allow("sts:AssumeRole")))

        def session(arn, *policy, name="night"):
            more = {"Policy": document(*policy)} if policy else {}
            return sts.assume_role(RoleArn=arn, RoleSessionName=name, **more)["Credentials"]

        def named(arn):
            return allow("kms:Encrypt", Principal={"AWS": arn})

        silent = allow("s3:*")
        for name, policy, credentials, want in [
            ("the role named", [KEEPER, named(role)], session(role), True),
            ("the role named, a session policy that is silent", [KEEPER, named(role)], session(role, silent), False),
            ("the role named, a session policy that allows", [KEEPER, named(role)], session(role, allow("kms:*")), True),
            ("the session named, a session policy that is silent", [KEEPER, named(night)], session(role, silent), True),
            ("the session named, a session policy that denies", [KEEPER, named(night)], session(role, deny("kms:*")), False),
            ("the session named, another session", [KEEPER, named(night)], session(role, name="day"), False),
            ("delegation, the role without a policy", [DELEGATION], session(role), False),
            ("delegation, and what only the session policy allows", [DELEGATION], session(role, allow("kms:*")), False),
            ("a foreign role named, its account silent", [KEEPER, named(foreign)], session(foreign), False),
        ]:
            with self.subTest(name):
                self.assertEqual(encrypts(credentials, w.key(*policy)), want)
        w.iam.put_role_policy(RoleName="batch", PolicyName="p", PolicyDocument=document(allow("kms:Encrypt")))
        self.assertTrue(encrypts(session(role), w.key(DELEGATION)))
        w.iam_abroad.put_role_policy(RoleName="batch", PolicyName="p", PolicyDocument=document(allow("kms:Encrypt")))
        self.assertTrue(encrypts(session(foreign), w.key(KEEPER, named(foreign))))
        granted = w.key(KEEPER)
        w.kms.create_grant(KeyId=granted, GranteePrincipal=role, Operations=["Encrypt"])
        self.assertTrue(encrypts(session(role), granted))
        running = session(role)
        w.iam.delete_role_policy(RoleName="batch", PolicyName="p")
        self.assertFalse(encrypts(running, w.key(DELEGATION)))

    def test_root_user(self):
        """The root user is its account, and no more."""
        w = self.w
        root = w.root_abroad
        theirs = client("kms", root)
        named = theirs.create_key(Policy=document(allow("kms:*", Principal={"AWS": ABROAD})))["KeyMetadata"]["Arn"]
        self.assertTrue(encrypts(root, named))
        w.user("keeper", account=ABROAD)
        silent = theirs.create_key(BypassPolicyLockoutSafetyCheck=True,
                                   Policy=document(allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ABROAD}:user/keeper"})))["KeyMetadata"]["Arn"]
        self.assertFalse(encrypts(root, silent))

    def test_refused_policies(self):
        w = self.w
        for name, statement, text in [
            ("a group", allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:group/g"}), "Policy contains a statement with one or more invalid principals."),
            ("nobody", allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:user/ghost"}), "Policy contains a statement with one or more invalid principals."),
            ("locked out", allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ABROAD}:root"}), "The new key policy will not allow you to update the key policy in the future."),
        ]:
            with self.subTest(name), self.assertRaises(w.kms.exceptions.MalformedPolicyDocumentException) as refused:
                w.kms.create_key(Policy=document(statement))
            self.assertEqual(refused.exception.response["Error"]["Message"], text)
        with self.assertRaises(w.kms.exceptions.MalformedPolicyDocumentException) as refused:
            w.kms.create_key(Policy=document(DELEGATION, allow("kms:Encrypt", Principal="*", Condition={"ForAllValues:StringEquals": {"kms:EncryptionContext:tenant": "a"}})))
        self.assertIn("OverlyPermissiveCondition:", refused.exception.response["Error"]["Message"])

    def test_a_deleted_user_is_shown_by_its_id(self):
        """A key policy names people, not names: who is made anew under an old name inherits nothing."""
        w = self.w
        w.iam.create_user(UserName="leaver")
        arn = w.key(DELEGATION, allow("kms:Encrypt", Principal={"AWS": f"arn:aws:iam::{HOME}:user/leaver"}))
        self.assertIn("user/leaver", w.kms.get_key_policy(KeyId=arn)["Policy"])
        w.iam.delete_user(UserName="leaver")
        w.iam.create_user(UserName="leaver")
        key = w.iam.create_access_key(UserName="leaver")["AccessKey"]
        self.assertFalse(encrypts(key, arn))
        policy = w.kms.get_key_policy(KeyId=arn)["Policy"]
        self.assertNotIn("user/leaver", policy)
        self.assertIn('"AIDA', policy)
        with self.assertRaises(w.kms.exceptions.MalformedPolicyDocumentException):
            w.kms.put_key_policy(KeyId=arn, Policy=policy)

    def test_grant_token_works_at_once(self):
        w = self.w
        arn = w.key(KEEPER)
        key = w.user("app")
        granted = w.kms.create_grant(KeyId=arn, GranteePrincipal=f"arn:aws:iam::{HOME}:user/app", Operations=["GenerateDataKey", "Decrypt"],
                                     Constraints={"EncryptionContextSubset": {"tenant": "a"}})
        app = client("kms", key)
        made = app.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext={"tenant": "a", "table": "t"}, GrantTokens=[granted["GrantToken"]])
        self.assertEqual(app.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"tenant": "a", "table": "t"})["Plaintext"], made["Plaintext"])
        for context in [{}, {"tenant": "b"}, {"Tenant": "a"}]:
            with self.assertRaises(ClientError) as refused:
                app.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=context)
            self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDeniedException")
        with self.assertRaises(app.exceptions.InvalidGrantTokenException):
            app.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext={"tenant": "a"}, GrantTokens=[granted["GrantToken"][:-4]])
        w.kms.retire_grant(GrantToken=granted["GrantToken"])
        with self.assertRaises(ClientError) as refused:
            app.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext={"tenant": "a"}, GrantTokens=[granted["GrantToken"]])
        self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDeniedException")

    def test_across_accounts_by_arn_alone(self):
        w = self.w
        arn = w.key(KEEPER, allow(["kms:Encrypt", "kms:Decrypt"], Principal={"AWS": ABROAD}))
        w.kms.create_alias(AliasName="alias/shared", TargetKeyId=arn)
        key = w.user("app", allow("kms:*"), account=ABROAD)
        self.assertTrue(encrypts(key, arn))
        self.assertTrue(encrypts(key, f"arn:aws:kms:us-east-1:{HOME}:alias/shared"))
        foreign = client("kms", key)
        blob = foreign.encrypt(KeyId=arn, Plaintext=b"across")["CiphertextBlob"]
        self.assertEqual(foreign.decrypt(CiphertextBlob=blob)["Plaintext"], b"across")
        for short in ["alias/shared", arn.split("/")[1]]:
            with self.assertRaises(foreign.exceptions.NotFoundException):
                foreign.encrypt(KeyId=short, Plaintext=b"x")
        absent = arn[:-12] + "000000000000"
        texts = []
        for forbidden in [w.key(KEEPER), absent]:
            with self.assertRaises(ClientError) as refused:
                foreign.encrypt(KeyId=forbidden, Plaintext=b"x")
            texts.append(refused.exception.response["Error"])
        self.assertEqual(texts[0], texts[1], "what exists abroad can be told")
        with self.assertRaises(ClientError) as refused:  # administration stays at home
            foreign.disable_key(KeyId=arn)
        self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDeniedException")

    def test_conditions(self):
        w = self.w
        key = w.user("app")
        principal = {"AWS": f"arn:aws:iam::{HOME}:user/app"}
        for condition, context, want in [
            ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "a"}, True),
            ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "b"}, False),
            ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {}, False),
            ({"Null": {"kms:EncryptionContextKeys": "false"}}, {"any": "thing"}, True),
            ({"Null": {"kms:EncryptionContextKeys": "false"}}, {}, False),
            ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, True),
            ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
            ({"Bool": {"aws:SecureTransport": "true"}}, {}, False),
            ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, True),
            ({"StringEquals": {"kms:CallerAccount": HOME}}, {}, True),
            ({"StringLike": {"aws:UserAgent": "*Botocore*"}}, {}, True),
            ({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}, {}, False),
        ]:
            with self.subTest(condition=condition, context=context):
                self.assertEqual(encrypts(key, w.key(KEEPER, allow("kms:Encrypt", Principal=principal, Condition=condition)), EncryptionContext=context), want)

    def test_command_line(self):
        """The same by the AWS CLI, and why, by trent policy explain."""
        w = self.w
        arn = w.key(DELEGATION)
        key = w.user("app", allow("kms:Decrypt"))
        env = dict(os.environ, AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])

        def aws(*args):
            return subprocess.run([AWS, "kms", *args], capture_output=True, text=True, timeout=60, env=env)

        call = ["encrypt", "--key-id", arn, "--plaintext", "eA=="]
        refused = aws(*call)
        self.assertIn("because no identity-based policy allows the kms:Encrypt action", refused.stderr)
        explained = trent("policy", "explain", "--principal", f"arn:aws:iam::{HOME}:user/app", "--action", "kms:Encrypt", "--key", arn)
        self.assertTrue(explained.startswith("DENIED"), explained)
        self.assertIn("identity policy 1\n  1 (Allow) nearly matches: Action", explained)
        subprocess.run([AWS, "kms", "create-grant", "--key-id", arn, "--grantee-principal", f"arn:aws:iam::{HOME}:user/app", "--operations", "Encrypt"], check=True, capture_output=True, timeout=60)
        self.assertEqual(aws(*call).returncode, 0)
        explained = trent("policy", "explain", "--principal", f"arn:aws:iam::{HOME}:user/app", "--action", "kms:Encrypt", "--key", arn)
        self.assertTrue(explained.startswith("ALLOWED"), explained)
        self.assertIn("covers the request", explained)

    def test_closed_account(self):
        made = json.loads(trent("account", "create", "--output", "json"))
        root = {"AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"]}
        arn = client("kms", root).create_key()["KeyMetadata"]["Arn"]
        self.assertTrue(encrypts(root, arn))
        trent("account", "close", made["Account"]["AccountId"])
        with self.assertRaises(ClientError) as refused:
            client("kms", root).encrypt(KeyId=arn, Plaintext=b"x")
        self.assertEqual(refused.exception.response["Error"]["Code"], "UnrecognizedClientException")
        trent("account", "reopen", made["Account"]["AccountId"])
        self.assertTrue(encrypts(root, arn))


if __name__ == "__main__":
    unittest.main()
