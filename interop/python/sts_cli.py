"""Assumes roles as clients do: the AWS CLI by a profile, by a token in a file and by
hand, boto3 by itself; and asks who somebody is, also by a presigned link.
Run by scripts/with-trent, with TRENT_OIDC_ALLOW_HTTP_LOOPBACK=true."""

import base64
import datetime
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import boto3
import botocore.exceptions
import rsa

ACCOUNT = "111122223333"
AWS = str(pathlib.Path(sys.executable).parent / "aws")
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def aws(*args, code=0, env=None, without=()):
    """Runs aws and gives what it prints: JSON, or the error's text."""
    merged = {name: value for name, value in {**os.environ, **(env or {})}.items() if name not in without}
    done = subprocess.run([AWS, *args, "--output", "json"], capture_output=True, text=True, timeout=120, env=merged)
    if done.returncode != code:
        raise AssertionError(f"aws {' '.join(args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    if code:
        return done.stderr.strip()
    return json.loads(done.stdout) if done.stdout.strip() else None


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}})


def as_env(credentials):
    return dict(zip(CREDENTIALS, (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An OpenID Connect issuer on a loopback port, with one RSA key."""

    def __init__(self):
        self.public, self.private = rsa.newkeys(2048)
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path):
        if path != "/keys":
            return {"issuer": "http://" + self.host, "jwks_uri": "http://" + self.host + "/keys"}
        number = lambda n: b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))
        return {"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": number(self.public.n), "e": number(self.public.e)}]}

    def token(self, subject, **more):
        now = int(time.time())
        claims = {"iss": "http://" + self.host, "sub": subject, "aud": ["sts.amazonaws.com"], "iat": now, "exp": now + 600, **more}
        text = b64(b'{"alg":"RS256","kid":"k1","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(rsa.sign(text.encode(), self.private, "SHA-256"))


class STS(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = aws("kms", "create-key")["KeyMetadata"]["KeyId"]
        cls.data_key = ["kms", "generate-data-key", "--key-id", cls.key, "--key-spec", "AES_256"]
        aws("iam", "create-user", "--user-name", "ci")
        cls.ci = aws("iam", "create-access-key", "--user-name", "ci")["AccessKey"]
        cls.ci_env = {"AWS_ACCESS_KEY_ID": cls.ci["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": cls.ci["SecretAccessKey"]}
        cls.role("deploy", policy(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"}, Action="sts:AssumeRole", Condition={"StringEquals": {"sts:ExternalId": "42"}}))
        cls.role("batch", policy(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"}, Action=["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]))

    @classmethod
    def role(cls, name, trust):
        aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust)
        aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "use", "--policy-document", policy(Action="kms:*", Resource="*"))

    def arn(self, name):
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def test_profile(self):
        """A profile with a role, as ~/.aws/config has it."""
        with tempfile.TemporaryDirectory() as d:
            config = pathlib.Path(d, "config")
            config.write_text(
                f"[profile ci]\naws_access_key_id = {self.ci['AccessKeyId']}\naws_secret_access_key = {self.ci['SecretAccessKey']}\n"
                f"[profile deploy]\nsource_profile = ci\nrole_arn = {self.arn('deploy')}\nexternal_id = 42\nrole_session_name = release\nduration_seconds = 900\n"
                f"[profile wrong]\nsource_profile = ci\nrole_arn = {self.arn('deploy')}\nexternal_id = 43\n")
            env = {"AWS_CONFIG_FILE": str(config), "HOME": d}
            me = aws("sts", "get-caller-identity", "--profile", "deploy", env=env, without=CREDENTIALS)
            self.assertEqual(me["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/release")
            self.assertRegex(me["UserId"], r"^AROA\w+:release$")
            aws(*self.data_key, "--profile", "deploy", env=env, without=CREDENTIALS)
            text = aws(*self.data_key, "--profile", "wrong", env=env, without=CREDENTIALS, code=255)
            self.assertIn(f"(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::{ACCOUNT}:user/ci is not authorized to perform: sts:AssumeRole on resource: {self.arn('deploy')}", text)

    def test_by_hand(self):
        """Tags, a source identity and a session policy that cuts down."""
        got = aws("sts", "assume-role", "--role-arn", self.arn("batch"), "--role-session-name", "one", "--duration-seconds", "900", "--tags", "Key=team,Value=books",
                  "--transitive-tag-keys", "team", "--source-identity", "carol", "--policy", policy(Action="kms:GenerateDataKey", Resource="*"), env=self.ci_env)
        self.assertEqual((got["SourceIdentity"], got["AssumedRoleUser"]["Arn"]), ("carol", f"arn:aws:sts::{ACCOUNT}:assumed-role/batch/one"))
        left = datetime.datetime.fromisoformat(got["Credentials"]["Expiration"]) - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(840 < left.total_seconds() <= 900, left)
        session = as_env(got["Credentials"])
        aws(*self.data_key, env=session)
        text = aws("kms", "describe-key", "--key-id", self.key, env=session, code=255)
        self.assertTrue(text.endswith("because no session policy allows the kms:DescribeKey action"), text)
        self.assertIn("(AccessDenied)", aws("iam", "create-user", "--user-name", "mallory", env=session, code=255))
        bad = {**session, "AWS_SESSION_TOKEN": session["AWS_SESSION_TOKEN"][:-4] + "AAAA"}
        self.assertIn("(UnrecognizedClientException) when calling the GenerateDataKey operation: The security token included in the request is invalid.", aws(*self.data_key, env=bad, code=255))
        self.assertIn("(InvalidClientTokenId)", aws("sts", "get-caller-identity", env=bad, code=255))
        self.assertIn("(UnrecognizedClientException)", aws(*self.data_key, env={k: v for k, v in session.items() if k != "AWS_SESSION_TOKEN"}, code=255))

    def test_revoked(self):
        """What the console does to revoke all sessions of a role."""
        self.role("leaky", policy(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"}, Action="sts:AssumeRole"))
        assume = ["sts", "assume-role", "--role-arn", self.arn("leaky"), "--role-session-name", "one"]
        old = as_env(aws(*assume, env=self.ci_env)["Credentials"])
        aws(*self.data_key, env=old)
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        aws("iam", "put-role-policy", "--role-name", "leaky", "--policy-name", "AWSRevokeOlderSessions", "--policy-document",
            json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"aws:TokenIssueTime": soon}}}}))
        self.assertIn("with an explicit deny in an identity-based policy", aws(*self.data_key, env=old, code=255))
        for name in "use", "AWSRevokeOlderSessions":
            aws("iam", "delete-role-policy", "--role-name", "leaky", "--policy-name", name)
        aws("iam", "delete-role", "--role-name", "leaky")
        self.assertIn("(UnrecognizedClientException)", aws(*self.data_key, env=old, code=255))

    def test_session_of_a_user(self):
        session = as_env(aws("sts", "get-session-token", "--duration-seconds", "900", env=self.ci_env)["Credentials"])
        self.assertEqual(aws("sts", "get-caller-identity", env=session)["Arn"], f"arn:aws:iam::{ACCOUNT}:user/ci")
        self.assertIn("(InvalidClientTokenId)", aws("iam", "list-access-keys", env=session, code=255))
        self.assertIn("(AccessDenied)", aws("sts", "get-session-token", env=session, code=255))
        self.assertEqual(aws("sts", "get-access-key-info", "--access-key-id", self.ci["AccessKeyId"])["Account"], ACCOUNT)

    def test_web_identity(self):
        """A pod: a token in a file, a role, and no credentials."""
        issuer = Issuer()
        arn = aws("iam", "create-open-id-connect-provider", "--url", "https://" + issuer.host, "--client-id-list", "sts.amazonaws.com")["OpenIDConnectProviderArn"]
        subject = "system:serviceaccount:shop:orders"
        self.role("orders", policy(Principal={"Federated": arn}, Action="sts:AssumeRoleWithWebIdentity",
                                   Condition={"StringEquals": {issuer.host + ":sub": subject, issuer.host + ":aud": "sts.amazonaws.com"}}))
        with tempfile.TemporaryDirectory() as d:
            file = pathlib.Path(d, "token")
            env = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": self.arn("orders"), "AWS_ROLE_SESSION_NAME": "pod", "HOME": d}
            file.write_text(issuer.token(subject))
            aws(*self.data_key, env=env, without=CREDENTIALS)
            self.assertEqual(aws("sts", "get-caller-identity", env=env, without=CREDENTIALS)["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/orders/pod")
            for token, error in {
                issuer.token("system:serviceaccount:shop:other"): "(AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform sts:AssumeRoleWithWebIdentity",
                issuer.token(subject, aud="somebody"): "(InvalidIdentityToken) when calling the AssumeRoleWithWebIdentity operation: Incorrect token audience",
                issuer.token(subject, exp=int(time.time()) - 1): "(ExpiredTokenException)",
                issuer.token(subject)[:-6] + "AAAAAA": "(InvalidIdentityToken)",
                issuer.token(subject, iss="https://evil.example"): "(InvalidIdentityToken)",
            }.items():
                file.write_text(token)
                self.assertIn(error, aws(*self.data_key, env=env, without=CREDENTIALS, code=255))
            # boto3 does the same by itself, without the command line.
            file.write_text(issuer.token(subject))
            keep = dict(os.environ)
            try:
                for name in CREDENTIALS:
                    os.environ.pop(name, None)
                os.environ.update(env)
                session = boto3.session.Session()
                self.assertEqual(len(session.client("kms").generate_data_key(KeyId=self.key, KeySpec="AES_256")["Plaintext"]), 32)
            finally:
                os.environ.clear()
                os.environ.update(keep)
        issuer.server.shutdown()

    def test_presigned(self):
        """A link that says who made it, as cluster authenticators hand it on."""
        for session, who in {None: "user/ci", "s": "assumed-role/batch/link"}.items():
            env = {"aws_access_key_id": self.ci["AccessKeyId"], "aws_secret_access_key": self.ci["SecretAccessKey"]}
            if session:
                c = boto3.client("sts", **env).assume_role(RoleArn=self.arn("batch"), RoleSessionName="link")["Credentials"]
                env = {"aws_access_key_id": c["AccessKeyId"], "aws_secret_access_key": c["SecretAccessKey"], "aws_session_token": c["SessionToken"]}
            client = boto3.client("sts", **env)
            link = client.generate_presigned_url("get_caller_identity", Params={}, ExpiresIn=60, HttpMethod="GET")
            with urllib.request.urlopen(link) as answer:
                self.assertIn(who + "</Arn>", answer.read().decode())
            for bad in link.replace("GetCallerIdentity", "GetSessionToken"), link + "&Action=GetCallerIdentity", link[:-1] + ("0" if link[-1] != "0" else "1"):
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(bad)
                self.assertIn(refused.exception.code, (400, 403))
                refused.exception.close()

            # One with a header that names the cluster, without which it is worth nothing.
            client.meta.events.register("before-sign.sts.GetCallerIdentity", lambda request, **_: request.headers.add_header("x-k8s-aws-id", "blue"))
            link = client.generate_presigned_url("get_caller_identity", Params={}, ExpiresIn=60, HttpMethod="GET")
            self.assertIn("x-k8s-aws-id", link)
            with urllib.request.urlopen(urllib.request.Request(link, headers={"x-k8s-aws-id": "blue"})) as answer:
                self.assertIn(who + "</Arn>", answer.read().decode())
            for headers in {}, {"x-k8s-aws-id": "red"}:
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(urllib.request.Request(link, headers=headers))
                self.assertEqual(refused.exception.code, 403)
                refused.exception.close()

    def test_errors_are_typed(self):
        sts = boto3.client("sts", aws_access_key_id=self.ci["AccessKeyId"], aws_secret_access_key=self.ci["SecretAccessKey"])
        with self.assertRaises(sts.exceptions.MalformedPolicyDocumentException):
            sts.assume_role(RoleArn=self.arn("batch"), RoleSessionName="one", Policy="{}")
        with self.assertRaises(sts.exceptions.PackedPolicyTooLargeException):
            sts.assume_role(RoleArn=self.arn("batch"), RoleSessionName="one", Tags=[{"Key": f"{i:02}" + "k" * 100, "Value": "v" * 200} for i in range(50)])
        with self.assertRaises(sts.exceptions.InvalidIdentityTokenException):
            sts.assume_role_with_web_identity(RoleArn=self.arn("batch"), RoleSessionName="one", WebIdentityToken="a.b.c")
        with self.assertRaises(botocore.exceptions.ClientError) as refused:
            sts.assume_role(RoleArn=self.arn("batch"), RoleSessionName="one", DurationSeconds=7200)
        self.assertEqual(refused.exception.response["Error"]["Message"], "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


if __name__ == "__main__":
    unittest.main(verbosity=2)
