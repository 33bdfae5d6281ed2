"""Plays an enclave: asks with boto3 for what only it may read, under documents of a
development root, and opens the answers with openssl. Run by scripts/with-trent."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import boto3
import botocore.exceptions
from asn1crypto import cms
from botocore.config import Config

ACCOUNT = "111122223333"
IMAGE, ROLE, OTHER = "a1" * 48, "b2" * 48, "c3" * 48
SIZES = (2048, 3072, 4096)
# Where padding, pieces of 1,000 bytes and lengths of lengths change.
LENGTHS = (1, 2, 15, 16, 17, 31, 32, 33, 111, 112, 127, 128, 239, 240, 255, 256, 991, 992, 999, 1000, 1001, 1007, 1008, 1023, 1024)
LONGER = (1103, 1104, 1231, 1232, 1983, 1984, 1999, 2000, 2001, 2015, 2016, 2375, 2999, 3000, 3008, 3967, 3968, 3999, 4000, 4080, 4095, 4096)
ALGORITHM = "RSAES_OAEP_SHA_256"
MEMBERS = {
    "Decrypt": {"KeyId", "EncryptionAlgorithm", "CiphertextForRecipient"},
    "GenerateDataKey": {"KeyId", "CiphertextBlob", "CiphertextForRecipient"},
    "GenerateDataKeyPair": {"KeyId", "KeyPairSpec", "PublicKey", "PrivateKeyCiphertextBlob", "CiphertextForRecipient"},
    "DeriveSharedSecret": {"KeyId", "KeyAgreementAlgorithm", "KeyOrigin", "CiphertextForRecipient"},
    "GenerateRandom": {"CiphertextForRecipient"},
}


def run(*args):
    done = subprocess.run(args, capture_output=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"{' '.join(args)}: exit code {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


class Enclave:
    """A key pair of its own, and documents that say what runs there."""

    def __init__(self, bits, dir):
        self.dir = pathlib.Path(dir)
        self.key, self.public = self.dir / f"{bits}.key.pem", self.dir / f"{bits}.pem"
        run("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", str(self.key))
        run("openssl", "pkey", "-in", str(self.key), "-pubout", "-out", str(self.public))

    def document(self, root=os.environ["TRENT_ATTESTATION_DEV_ROOT"], **pcrs):
        out = self.dir / "document"
        measured = [arg for name, value in (pcrs or {"PCR0": IMAGE}).items() for arg in ("--pcr", f"{name[3:]}={value}")]
        run(os.environ["TRENT_BINARY"], "attest", "document", "--dev-root", root, "--public-key", str(self.public), *measured, "--out", str(out))
        return out.read_bytes()

    def recipient(self, **pcrs):
        return {"AttestationDocument": self.document(**pcrs), "KeyEncryptionAlgorithm": ALGORITHM}

    def open(self, blob):
        file = self.dir / "blob"
        file.write_bytes(blob)
        return run("openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(self.key), "-in", str(file))


def client():
    kms = boto3.client("kms", config=Config(retries={"total_max_attempts": 1}))
    kms.meta.events.register("before-parse.kms.*", check_members)
    return kms


def check_members(operation_model, response_dict, **_):
    """The answer to a recipient, as it is on the wire, has no member for what is secret."""
    answer = json.loads(response_dict["body"] or "{}")
    if "CiphertextForRecipient" in answer:
        want = MEMBERS[operation_model.name]
        assert set(answer) == want, f"{operation_model.name} has {sorted(answer)}, want {sorted(want)}"


def policy(*statements):
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Principal": root, "Resource": "*", **s} for s in statements]})


class Recipient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(dir.cleanup)
        cls.kms = client()
        cls.key = cls.kms.create_key()["KeyMetadata"]
        cls.enclaves = {bits: Enclave(bits, dir.name) for bits in SIZES}
        cls.enclave = cls.enclaves[2048]

    def refused(self, code, call, text="", **kw):
        with self.assertRaises(botocore.exceptions.ClientError) as e:
            call(**kw)
        error = e.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        self.assertIn(text, error["Message"])
        return error["Message"]

    def test_data_keys(self):
        for bits, enclave in self.enclaves.items():
            to = enclave.recipient()
            for size in [{"KeySpec": "AES_256"}, {"KeySpec": "AES_128"}, *({"NumberOfBytes": n} for n in LENGTHS)]:
                with self.subTest(bits=bits, **size):
                    k = self.kms.generate_data_key(KeyId=self.key["KeyId"], EncryptionContext={"a": "b"}, Recipient=to, **size)
                    self.assertNotIn("Plaintext", k)
                    self.assertNotIn("KeyMaterialId", k)
                    opened = enclave.open(k["CiphertextForRecipient"])
                    self.assertEqual(len(opened), size.get("NumberOfBytes") or int(size["KeySpec"][4:]) // 8)
                    plain = self.kms.decrypt(CiphertextBlob=k["CiphertextBlob"], EncryptionContext={"a": "b"})
                    self.assertEqual(plain["Plaintext"], opened)

    def test_decrypt(self):
        for bits, enclave in self.enclaves.items():
            to = enclave.recipient()
            for n in LENGTHS + LONGER:
                with self.subTest(bits=bits, length=n):
                    plain = os.urandom(n)
                    blob = self.kms.encrypt(KeyId=self.key["KeyId"], Plaintext=plain)["CiphertextBlob"]
                    d = self.kms.decrypt(CiphertextBlob=blob, Recipient=to)
                    self.assertNotIn("Plaintext", d)
                    self.assertNotIn("KeyMaterialId", d)
                    self.assertEqual((d["KeyId"], d["EncryptionAlgorithm"]), (self.key["Arn"], "SYMMETRIC_DEFAULT"))
                    self.assertEqual(enclave.open(d["CiphertextForRecipient"]), plain)

    def test_random(self):
        for bits, enclave in self.enclaves.items():
            to, seen = enclave.recipient(), set()
            for n in LENGTHS:
                with self.subTest(bits=bits, length=n):
                    r = self.kms.generate_random(NumberOfBytes=n, Recipient=to)
                    self.assertNotIn("Plaintext", r)
                    opened = enclave.open(r["CiphertextForRecipient"])
                    self.assertEqual(len(opened), n)
                    seen.add(opened[-8:])
            self.assertGreaterEqual(len(seen), len(LENGTHS) - 2, "random bytes come again")

    def test_key_pairs(self):
        for bits, enclave in self.enclaves.items():
            to = enclave.recipient()
            for spec in "RSA_2048", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P521":
                with self.subTest(bits=bits, spec=spec):
                    k = self.kms.generate_data_key_pair(KeyId=self.key["KeyId"], KeyPairSpec=spec, Recipient=to)
                    self.assertNotIn("PrivateKeyPlaintext", k)
                    self.assertNotIn("KeyMaterialId", k)
                    opened = enclave.open(k["CiphertextForRecipient"])
                    file = enclave.dir / "pair"
                    file.write_bytes(opened)
                    self.assertEqual(run("openssl", "pkey", "-inform", "DER", "-in", str(file), "-pubout", "-outform", "DER"), k["PublicKey"])
                    self.assertEqual(self.kms.decrypt(CiphertextBlob=k["PrivateKeyCiphertextBlob"])["Plaintext"], opened)

    def test_shared_secret(self):
        key = self.kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["KeyId"]
        peer = self.enclave.dir / "peer.pem"
        run("openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", str(peer))
        what = {"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": run("openssl", "pkey", "-in", str(peer), "-pubout", "-outform", "DER")}
        for enclave in self.enclaves.values():
            d = self.kms.derive_shared_secret(Recipient=enclave.recipient(), **what)
            self.assertNotIn("SharedSecret", d)
            self.assertEqual(enclave.open(d["CiphertextForRecipient"]), self.kms.derive_shared_secret(**what)["SharedSecret"])

    def test_rsa_decrypt(self):
        key = self.kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
        what = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
        blob = self.kms.encrypt(Plaintext=b"for the enclave", **what)["CiphertextBlob"]
        d = self.kms.decrypt(CiphertextBlob=blob, Recipient=self.enclave.recipient(), **what)
        self.assertEqual(self.enclave.open(d["CiphertextForRecipient"]), b"for the enclave")

    def test_asn1crypto(self):
        """A parser that has a model of CMS, and not only of BER, reads every part."""
        for bits, enclave in self.enclaves.items():
            for n in (1, 32, 1024):
                blob = self.kms.generate_random(NumberOfBytes=n, Recipient=enclave.recipient())["CiphertextForRecipient"]
                info = cms.ContentInfo.load(blob, strict=True)
                self.assertEqual(info["content_type"].native, "enveloped_data")
                self.assertEqual(info["content"]["version"].native, "v2")
                (one,) = info["content"]["recipient_infos"]
                self.assertEqual(one.chosen["version"].native, "v2")
                self.assertEqual(len(one.chosen["rid"].native), 32)
                self.assertEqual(one.chosen["key_encryption_algorithm"]["algorithm"].native, "rsaes_oaep")
                self.assertEqual(one.chosen["key_encryption_algorithm"]["parameters"]["hash_algorithm"]["algorithm"].native, "sha256")
                self.assertEqual(len(one.chosen["encrypted_key"].native), bits // 8)
                content = info["content"]["encrypted_content_info"]
                self.assertEqual(content["content_encryption_algorithm"]["algorithm"].native, "aes256_cbc")
                self.assertEqual(len(content["encrypted_content"].native), n // 16 * 16 + 16)

    def test_only_that_enclave(self):
        """A document that somebody else sends again gives an answer to the enclave alone."""
        to = self.enclave.recipient()
        blobs = [self.kms.generate_random(NumberOfBytes=32, Recipient=to)["CiphertextForRecipient"] for _ in range(2)]
        self.assertNotEqual(*blobs)
        for blob in blobs:
            self.assertEqual(len(self.enclave.open(blob)), 32)
            with self.assertRaises(AssertionError):
                self.enclaves[3072].open(blob)

    def denied(self, call, **kw):
        text = self.refused("AccessDeniedException", call, "is not authorized to perform: kms:", **kw)
        for measurement in (IMAGE, ROLE, OTHER, "attest"):
            self.assertNotIn(measurement, text, "a refusal tells what would have been right")

    def test_allow(self):
        """Who may, only with the right image under the right role."""
        measured = {"kms:RecipientAttestation:ImageSha384": IMAGE.upper(), "kms:RecipientAttestation:PCR3": ROLE}
        key = self.kms.create_key(Policy=policy(
            {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:DescribeKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]},
            {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Condition": {"StringEqualsIgnoreCase": measured}}))["KeyMetadata"]["KeyId"]
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"for the enclave")["CiphertextBlob"]
        for call, kw in ((self.kms.decrypt, {"KeyId": key, "CiphertextBlob": blob}), (self.kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"})):
            self.denied(call, **kw)
            for pcrs in {"PCR0": IMAGE}, {"PCR0": IMAGE, "PCR3": OTHER}, {"PCR0": OTHER, "PCR3": ROLE}, {"PCR0": ROLE, "PCR3": IMAGE}, {"PCR3": ROLE, "PCR8": IMAGE}:
                self.denied(call, Recipient=self.enclave.recipient(**{"PCR0": OTHER, **pcrs}), **kw)
            self.assertIn("CiphertextForRecipient", call(Recipient=self.enclave.recipient(PCR0=IMAGE, PCR3=ROLE), **kw))
        d = self.kms.decrypt(CiphertextBlob=blob, Recipient=self.enclave.recipient(PCR0=IMAGE, PCR3=ROLE, PCR8=OTHER))
        self.assertEqual(self.enclave.open(d["CiphertextForRecipient"]), b"for the enclave")

    def test_deny(self):
        """Nobody, but with one of two images; other actions are as they were."""
        key = self.kms.create_key(Policy=policy(
            {"Effect": "Allow", "Action": "kms:*"},
            {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Condition": {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": [IMAGE, ROLE]}}}))["KeyMetadata"]["KeyId"]
        blob = self.kms.generate_data_key(KeyId=key, KeySpec="AES_256")["CiphertextBlob"]
        self.denied(self.kms.decrypt, KeyId=key, CiphertextBlob=blob)
        self.denied(self.kms.decrypt, KeyId=key, CiphertextBlob=blob, Recipient=self.enclave.recipient(PCR0=OTHER))
        for image in IMAGE, ROLE:
            self.kms.decrypt(CiphertextBlob=blob, Recipient=self.enclave.recipient(PCR0=image))

    def test_bad_documents(self):
        good, dir = self.enclave.document(), self.enclave.dir
        altered = bytearray(good)
        altered[len(good) // 2] ^= 1
        signature = bytearray(good)
        signature[-1] ^= 1
        foreign = str(dir / "foreign.pem")
        run(os.environ["TRENT_BINARY"], "attest", "dev-root", "--out", foreign)
        debug = self.enclave.document(PCR0="00" * 48)
        calls = (self.kms.generate_random, {"NumberOfBytes": 1}), (self.kms.generate_data_key, {"KeyId": self.key["KeyId"], "KeySpec": "AES_256"})
        for name, document in {
            "nothing that one could read": b"\x01",
            "text": b"attest me",
            "cut off": good[:-1],
            "longer": good + b"\x00",
            "altered": bytes(altered),
            "with another signature": bytes(signature),
            "under another root": self.enclave.document(root=foreign),
            "of an enclave in debug mode": debug,
            "far too long": good + bytes(200_000),
        }.items():
            for call, kw in calls:
                with self.subTest(name):
                    text = self.refused("ValidationException", call, Recipient={"AttestationDocument": document, "KeyEncryptionAlgorithm": ALGORITHM}, **kw)
                    self.assertIn("document", text)
                    self.assertNotIn(IMAGE, text)
        self.refused("ValidationException", self.kms.generate_random, "keyEncryptionAlgorithm", NumberOfBytes=1,
                     Recipient={"AttestationDocument": good, "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"})
        for half in {"AttestationDocument": good}, {"KeyEncryptionAlgorithm": ALGORITHM}:
            self.refused("ValidationException", self.kms.generate_random, "Recipient", NumberOfBytes=1, Recipient=half)


if __name__ == "__main__":
    unittest.main()
