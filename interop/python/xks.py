"""External key stores, with a second opinion on each side: a small XKS proxy of its own, with the cryptography of
pyca, that a Trent uses; and curl, which signs as AWS KMS does, against trent xks-proxy. Run by scripts/with-trent, whose
server has the keys of the latter."""

import base64
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import pathlib
import re
import ssl
import subprocess
import tempfile
import threading
import unittest

import boto3
import botocore.exceptions
from botocore.config import Config
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TRENT = os.environ["TRENT_BINARY"]
KEY_ID, SECRET = "PYTHONPYTHONPYTHON22", base64.b64encode(bytes(range(32))).decode()
PREFIX = "/python"
BASE = PREFIX + "/kms/xks/v1"
TEXT = b"CANARY-plaintext"
CONTEXT = {"tenant": "a", "table": "invoices"}


def certificate(dir):
    """A certificate for 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy under test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    )
    cert_file, key_file = pathlib.Path(dir) / "cert.pem", pathlib.Path(dir) / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(cert_file), str(key_file)


def b64(raw):
    return base64.b64encode(raw).decode()


class Refusal(Exception):
    def __init__(self, status, name):
        self.status, self.name = status, name


def verify(handler, body):
    """Signature Version 4, from the description of it in the API, over what was sent."""
    sent = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/kms-xks-proxy/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
        handler.headers.get("Authorization", ""))
    if not sent or sent[1] != KEY_ID:
        raise Refusal(401, "AuthenticationFailedException")
    _, date, region, signed, signature = sent.groups()
    names = signed.split(";")
    assert {"host", "x-amz-date"} <= set(names), names
    headers = "".join(f"{n}:{' '.join(handler.headers[n].split())}\n" for n in names)
    canonical = f"POST\n{handler.path}\n\n{headers}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{date}/{region}/kms-xks-proxy/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{handler.headers['X-Amz-Date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), signature):
        raise Refusal(401, "AuthenticationFailedException")
    handler.server.regions.add(region)


class Handler(http.server.BaseHTTPRequestHandler):
    """A proxy with keys in memory. Its initialization vectors have 16 bytes, and its metadata is the version of a key."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            verify(self, body)
            status, answer = 200, self.answer(json.loads(body))
        except Refusal as r:
            status, answer = r.status, {"errorName": r.name}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, request):
        self.server.requests.append((self.path, request))
        if self.path == BASE + "/health":
            return {"xksProxyFleetSize": 1, "xksProxyVendor": "a", "xksProxyModel": "b", "ekmVendor": "c",
                    "ekmFleetDetails": [{"id": "1", "model": "m", "healthStatus": "ACTIVE"}]}
        found = re.fullmatch(re.escape(BASE) + r"/keys/([A-Za-z0-9._-]+)/(metadata|encrypt|decrypt)", self.path)
        if not found:
            raise Refusal(404, "InvalidUriPathException")
        key = self.server.keys.get(found[1])
        if not key:
            raise Refusal(404, "KeyNotFoundException")
        if found[2] == "metadata":
            return {"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT", "WRAP"], "keyStatus": "DISABLED" if key["disabled"] else "ENABLED"}
        if key["disabled"]:
            raise Refusal(400, "InvalidStateException")
        return getattr(self, found[2])(key, request)

    @staticmethod
    def bound(request, metadata):
        aad = base64.b64decode(request.get("additionalAuthenticatedData") or "")
        return aad, len(aad).to_bytes(2, "big") + aad + len(metadata).to_bytes(1, "big") + metadata

    def encrypt(self, key, request):
        assert request["encryptionAlgorithm"] == "AES_GCM"
        metadata, iv = b"key_version=1", os.urandom(16)
        aad, data = self.bound(request, metadata)
        sealed = AESGCM(key["material"]).encrypt(iv, base64.b64decode(request["plaintext"], validate=True), data)
        text, tag = sealed[:-16], sealed[-16:]
        answer = {"ciphertext": b64(text), "ciphertextMetadata": b64(metadata), "initializationVector": b64(iv), "authenticationTag": b64(tag)}
        if request.get("ciphertextDataIntegrityValueAlgorithm") == "SHA_256":
            answer["ciphertextDataIntegrityValue"] = b64(hashlib.sha256(aad + metadata + iv + text + tag).digest())
        return answer

    def decrypt(self, key, request):
        text, tag, iv, metadata = (base64.b64decode(request.get(n) or "", validate=True) for n in ("ciphertext", "authenticationTag", "initializationVector", "ciphertextMetadata"))
        try:
            return {"plaintext": b64(AESGCM(key["material"]).decrypt(iv, text + tag, self.bound(request, metadata)[1]))}
        except InvalidTag:
            raise Refusal(400, "InvalidCiphertextException") from None


def client(endpoint=None, key=None, secret=None):
    return boto3.client("kms", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, config=Config(retries={"total_max_attempts": 1}))


def serving(command, env=None):
    """Starts a command that serves, and gives it with its address."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    for line in process.stderr:
        if found := re.search(r"msg=serving address=(\S+)", line):
            process.reader = threading.Thread(target=process.stderr.read, daemon=True)
            process.reader.start()
            return process, found[1]
    raise AssertionError(f"{command[:2]} did not start")


def ended(process):
    process.terminate()
    process.wait(30)
    process.reader.join(30)
    process.stderr.close()


class TrentWithKeysElsewhere(unittest.TestCase):
    """Trent is the client, and the proxy is the one above."""

    @classmethod
    def setUpClass(cls):
        dir = cls.enterClassContext(tempfile.TemporaryDirectory())
        cert, key = certificate(dir)
        cls.proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.proxy.keys = {name: {"material": os.urandom(32), "disabled": False} for name in ("one", "two.2", "off")}
        cls.proxy.keys["off"]["disabled"] = True
        cls.proxy.requests, cls.proxy.regions = [], set()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        cls.proxy.socket = tls.wrap_socket(cls.proxy.socket, server_side=True)
        threading.Thread(target=cls.proxy.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.proxy.server_close)
        cls.addClassCleanup(cls.proxy.shutdown)

        data = dir + "/data"
        subprocess.run([TRENT, "init", "--dir", data], check=True, stdout=subprocess.DEVNULL)
        server, address = serving([TRENT, "serve", "--dir", data, "--listen", "127.0.0.1:0", "--xks-ca", cert,
                                   "--xks-proxy", f"127.0.0.1=127.0.0.1:{cls.proxy.server_port}", "--xks-timeout", "10s"])
        cls.addClassCleanup(ended, server)
        own = dict(re.findall(r"(\w+) = (\S+)", pathlib.Path(data, "admin.credentials").read_text()))
        cls.kms = client("http://" + address, own["aws_access_key_id"], own["aws_secret_access_key"])
        cls.store = cls.new_store("python", SECRET)
        cls.kms.connect_custom_key_store(CustomKeyStoreId=cls.store)

    @classmethod
    def new_store(cls, name, secret, path=BASE):
        return cls.kms.create_custom_key_store(
            CustomKeyStoreName=name, CustomKeyStoreType="EXTERNAL_KEY_STORE", XksProxyUriEndpoint="https://127.0.0.1", XksProxyUriPath=path,
            XksProxyConnectivity="PUBLIC_ENDPOINT", XksProxyAuthenticationCredential={"AccessKeyId": KEY_ID, "RawSecretAccessKey": secret})["CustomKeyStoreId"]

    def new_key(self, name):
        return self.kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=self.store, XksKeyId=name)["KeyMetadata"]

    def refused(self, code, text, call, **members):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**members)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        self.assertIn(text, caught.exception.response["Error"]["Message"])

    def test_story(self):
        described = self.kms.describe_custom_key_stores(CustomKeyStoreName="python")["CustomKeyStores"][0]
        self.assertEqual(described["ConnectionState"], "CONNECTED")
        self.assertEqual(described["XksProxyConfiguration"]["AccessKeyId"], KEY_ID)
        key = self.new_key("one")
        self.assertEqual((key["CustomKeyStoreId"], key["XksKeyConfiguration"], key["KeyState"]), (self.store, {"Id": "one"}, "Enabled"))
        sealed = self.kms.encrypt(KeyId=key["Arn"], Plaintext=TEXT, EncryptionContext=CONTEXT)
        path, request = self.proxy.requests[-1]
        self.assertEqual(path, BASE + "/keys/one/encrypt")
        about = request["requestMetadata"]
        self.assertEqual((about["kmsOperation"], about["kmsKeyArn"]), ("Encrypt", key["Arn"]))
        self.assertEqual(about["kmsRequestId"], sealed["ResponseMetadata"]["RequestId"])
        self.assertEqual(about["awsPrincipalArn"].split(":")[4], "111122223333")
        self.assertNotIn(TEXT, base64.b64decode(request["plaintext"]))
        self.assertEqual(self.proxy.regions, {"us-east-1"})
        self.assertEqual(self.kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)["Plaintext"], TEXT)
        self.assertEqual(sealed["CiphertextBlob"][0], 2)
        data = self.kms.generate_data_key(KeyId=key["KeyId"], NumberOfBytes=1024)
        self.assertEqual(self.kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"], data["Plaintext"])
        other = self.new_key("two.2")
        moved = self.kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=CONTEXT, DestinationKeyId=other["KeyId"])
        self.assertEqual(self.kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"], TEXT)

        self.refused("KMSInvalidStateException", "encryption context", self.kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"tenant": "b"})
        for at in range(33, len(sealed["CiphertextBlob"]), 7):
            bent = bytearray(sealed["CiphertextBlob"])
            bent[at] ^= 0x40
            with self.assertRaises(botocore.exceptions.ClientError):
                self.kms.decrypt(CiphertextBlob=bytes(bent), EncryptionContext=CONTEXT)
        # By hand: what the external key gives is a ciphertext of version 1, and not the plaintext.
        blob = sealed["CiphertextBlob"]
        m, v = blob[33], blob[34]
        metadata, iv, tag, text = (blob[a:b] for a, b in ((35, 35 + m), (35 + m, 35 + m + v), (35 + m + v, 51 + m + v), (51 + m + v, len(blob))))
        pairs = b"".join(len(p).to_bytes(4, "big") + p for k, w in sorted(CONTEXT.items()) for p in (k.encode(), w.encode()))
        aad = blob[:33] + hashlib.sha256(len(CONTEXT).to_bytes(4, "big") + pairs).digest()
        inner = AESGCM(self.proxy.keys["one"]["material"]).decrypt(iv, text + tag, len(aad).to_bytes(2, "big") + aad + bytes([m]) + metadata)
        self.assertEqual((inner[0], inner[1:33], len(inner)), (1, blob[1:33], 109 + len(TEXT)))
        self.assertNotIn(TEXT, inner)

        self.proxy.keys["one"]["disabled"] = True
        self.refused("KMSInvalidStateException", "is not enabled in the external key manager", self.kms.decrypt, CiphertextBlob=blob, EncryptionContext=CONTEXT)
        self.proxy.keys["one"]["disabled"] = False
        self.kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)

    def test_refusals(self):
        self.refused("XksProxyIncorrectAuthenticationCredentialException", "", self.new_store, name="wrong", secret=SECRET[::-1], path="/other/kms/xks/v1")
        self.refused("XksProxyInvalidConfigurationException", "path", self.new_store, name="path", secret=SECRET, path="/other/kms/xks/v1")
        self.refused("XksProxyUriInUseException", "", self.new_store, name="again", secret=SECRET)
        self.refused("XksKeyNotFoundException", "", self.new_key, name="none")
        self.refused("XksKeyInvalidConfigurationException", "", self.new_key, name="off")


class KeysHereForOthers(unittest.TestCase):
    """curl is the client, and trent xks-proxy is the proxy, over keys of the server that this runs against."""

    @classmethod
    def setUpClass(cls):
        cls.kms = client()
        for name, spec, usage in (("orders", "HMAC_256", "GENERATE_VERIFY_MAC"), ("impotent_key", "ECC_NIST_P256", "SIGN_VERIFY")):
            key = cls.kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
            cls.kms.create_alias(AliasName="alias/xks/" + name, TargetKeyId=key)
        cls.dir = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.cert, key = certificate(cls.dir)
        made = subprocess.run([TRENT, "xks-proxy", "credential", "--credentials", cls.dir + "/credentials.json", "--path-prefix", PREFIX], check=True, capture_output=True)
        config = json.loads(made.stdout)
        assert config["XksProxyUriPath"] == BASE
        own = config["XksProxyAuthenticationCredential"]
        cls.user = own["AccessKeyId"] + ":" + own["RawSecretAccessKey"]
        proxy, address = serving([TRENT, "xks-proxy", "--listen", "127.0.0.1:0", "--tls-cert", cls.cert, "--tls-key", key, "--path-prefix", PREFIX,
                                  "--credentials", cls.dir + "/credentials.json", "--audit-file", cls.dir + "/audit.log", "--timeout", "10s"])
        cls.addClassCleanup(ended, proxy)
        cls.url = "https://" + address

    def curl(self, path, body, user=None, base=BASE):
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--cacert", self.cert, "--aws-sigv4", "aws:amz:us-east-1:kms-xks-proxy", "--user", user or self.user, "-H", "Content-Type:application/json",
             "--data-binary", "@-", "--write-out", "\n%{http_code}", f"{self.url}{base}/{path}"], input=json.dumps(body).encode(), capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        text, status = done.stdout.rsplit(b"\n", 1)
        return int(status), json.loads(text)

    @staticmethod
    def about(operation, **members):
        return {"requestMetadata": {"awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice", "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1",
                                    "kmsOperation": operation, "kmsRequestId": "r-1", "kmsViaService": "ebs"}, **members}

    def test_story(self):
        aad, text = b"project=nile,department=marketing", b"Hello World!"
        self.assertEqual(self.curl("health", {"requestMetadata": {"kmsOperation": "KmsHealthCheck", "kmsRequestId": "1"}})[1]["ekmFleetDetails"][0]["healthStatus"], "ACTIVE")
        self.assertEqual(self.curl("keys/orders/metadata", self.about("CreateKey")), (200, {"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"}))
        status, sealed = self.curl("keys/orders/encrypt", self.about(
            "Encrypt", plaintext=b64(text), encryptionAlgorithm="AES_GCM", additionalAuthenticatedData=b64(aad), ciphertextDataIntegrityValueAlgorithm="SHA_256"))
        self.assertEqual(status, 200)
        metadata, iv, cipher, tag, sum = (base64.b64decode(sealed[n], validate=True) for n in ("ciphertextMetadata", "initializationVector", "ciphertext", "authenticationTag", "ciphertextDataIntegrityValue"))
        self.assertEqual((len(iv), len(cipher), len(tag)), (12, len(text), 16))
        self.assertEqual(sum, hashlib.sha256(aad + metadata + iv + cipher + tag).digest())

        # By hand, as docs/spec/xks-proxy.md has it.
        self.assertEqual((metadata[0], len(metadata)), (1, 17))
        message = bytes([0, 0, 0, 1]) + b"trent xks message v1\0" + metadata[1:] + b"orders" + bytes([0, 0, 1, 0])
        key = self.kms.generate_mac(KeyId="alias/xks/orders", MacAlgorithm="HMAC_SHA_256", Message=message)["Mac"]
        bound = len(aad).to_bytes(2, "big") + aad + bytes([17]) + metadata
        self.assertEqual(AESGCM(key).decrypt(iv, cipher + tag, bound), text)

        parts = {n: sealed[n] for n in ("ciphertext", "ciphertextMetadata", "initializationVector", "authenticationTag")}
        decrypt = self.about("Decrypt", encryptionAlgorithm="AES_GCM", additionalAuthenticatedData=b64(aad), **parts)
        self.assertEqual(self.curl("keys/orders/decrypt", decrypt), (200, {"plaintext": b64(text)}))
        del decrypt["additionalAuthenticatedData"]
        status, refused = self.curl("keys/orders/decrypt", decrypt)
        self.assertEqual((status, refused["errorName"]), (400, "InvalidCiphertextException"))

    def test_refusals(self):
        encrypt = self.about("Encrypt", plaintext=b64(b"x"), encryptionAlgorithm="AES_GCM")
        for want, got in (
            ((404, "KeyNotFoundException"), self.curl("keys/none/encrypt", encrypt)),
            ((400, "InvalidKeyUsageException"), self.curl("keys/impotent_key/encrypt", encrypt)),
            ((400, "ValidationException"), self.curl("keys/orders/encrypt", self.about("Encrypt", encryptionAlgorithm="AES_GCM"))),
            ((401, "AuthenticationFailedException"), self.curl("keys/orders/encrypt", encrypt, user="Invalid" + self.user)),
            ((401, "AuthenticationFailedException"), self.curl("keys/orders/encrypt", encrypt, user=self.user.replace(":", ":Invalid"))),
            ((404, "InvalidUriPathException"), self.curl("keys/orders/encrypt", encrypt, base=PREFIX + "/invalid/kms/xks/v1")),
        ):
            self.assertEqual((got[0], got[1].get("errorName")), want)
        lines = [json.loads(line) for line in pathlib.Path(self.dir, "audit.log").read_text().splitlines()]
        self.assertIn(("Encrypt", "KeyNotFoundException", "none"), {(l.get("operation"), l.get("error"), l["params"].get("externalKeyId")) for l in lines})


if __name__ == "__main__":
    unittest.main()
