"""Plays the life of a key's material with boto3: rotation, material that OpenSSL
made and wrapped, and keys in several Regions. Run by scripts/with-trent."""

import datetime
import pathlib
import subprocess
import tempfile
import unittest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HERE, THERE = "us-east-1", "eu-west-2"
NEVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def client(region=HERE):
    return boto3.client("kms", region_name=region, config=Config(retries={"total_max_attempts": 1}))


class Rotation(unittest.TestCase):
    def test_ten_rotations(self):
        kms = client()
        made = kms.create_key()["KeyMetadata"]
        key, blobs = made["KeyId"], {}

        def keep():
            current = kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
            out = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
            self.assertEqual(out["KeyMaterialId"], current)
            blobs[current] = (out["CiphertextBlob"], out["Plaintext"])

        keep()
        for _ in range(10):
            self.assertEqual(kms.rotate_key_on_demand(KeyId=key)["KeyId"], made["Arn"])
            keep()
        self.assertEqual(len(blobs), 11)
        for material, (blob, plaintext) in blobs.items():
            out = kms.decrypt(CiphertextBlob=blob)
            self.assertEqual((out["KeyMaterialId"], out["Plaintext"]), (material, plaintext))
        pages = list(kms.get_paginator("list_key_rotations").paginate(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL", PaginationConfig={"PageSize": 4}))
        entries = [e for p in pages for e in p["Rotations"]]
        self.assertEqual([e["KeyMaterialId"] for e in entries], list(blobs))
        self.assertEqual([e["KeyMaterialState"] for e in entries], ["NON_CURRENT"] * 10 + ["CURRENT"])
        self.assertEqual([e.get("RotationType") for e in entries], [None] + ["ON_DEMAND"] * 10)

    def test_automatic(self):
        kms = client()
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        self.assertFalse(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
        kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
        status = kms.get_key_rotation_status(KeyId=key)
        ahead = status["NextRotationDate"] - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 180 and ahead.days in (179, 180), status)
        kms.disable_key_rotation(KeyId=key)
        self.assertFalse(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
        rsa = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        with self.assertRaises(kms.exceptions.UnsupportedOperationException):
            kms.enable_key_rotation(KeyId=rsa)


class OpenSSL:
    """Makes keys and wraps them, in a directory of its own."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.dir.name)

    def run(self, *args):
        done = subprocess.run(["openssl", *args], cwd=self.path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def read(self, name):
        return (self.path / name).read_bytes()

    def write(self, name, content):
        (self.path / name).write_bytes(content)

    def random(self, size):
        self.run("rand", "-out", "random", str(size))
        return self.read("random")

    def private_key(self, *args):
        """A private key as PKCS #8 in DER; its public half lies in public.pem."""
        self.run("genpkey", "-out", "key.pem", *args)
        self.run("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem")
        self.run("pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
        return self.read("key.der")

    def oaep(self, md, content):
        self.write("in", content)
        self.run("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "wrapping.der", "-in", "in", "-out", "out",
                 "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{md}", "-pkeyopt", f"rsa_mgf1_md:{md}")
        return self.read("out")

    def wrap(self, algorithm, wrapping_key, material):
        self.write("wrapping.der", wrapping_key)
        md = "sha1" if algorithm.endswith("SHA_1") else "sha256"
        if not algorithm.startswith("RSA_AES"):
            return self.oaep(md, material)
        aes = self.random(32)
        self.write("material", material)
        self.run("enc", "-id-aes256-wrap-pad", "-e", "-K", aes.hex(), "-iv", "A65959A6", "-in", "material", "-out", "wrapped")
        return self.oaep(md, aes) + self.read("wrapped")


def import_material(kms, openssl, key, material, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048", **more):
    got = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)
    return kms.import_key_material(KeyId=key, ImportToken=got["ImportToken"], EncryptedKeyMaterial=openssl.wrap(algorithm, got["PublicKey"], material), **more)


class Imports(unittest.TestCase):
    def setUp(self):
        self.kms, self.openssl = client(), OpenSSL()
        self.addCleanup(self.openssl.dir.cleanup)

    def external(self, **more):
        key = self.kms.create_key(Origin="EXTERNAL", **more)["KeyMetadata"]
        self.assertEqual((key["KeyState"], key["Enabled"]), ("PendingImport", False))
        return key["KeyId"]

    def test_each_algorithm(self):
        for algorithm, material, of in [
            ("RSAES_OAEP_SHA_1", self.openssl.random(32), {}),
            ("RSAES_OAEP_SHA_256", self.openssl.random(32), {}),
            ("RSAES_OAEP_SHA_256", self.openssl.random(64), {"KeySpec": "HMAC_512", "KeyUsage": "GENERATE_VERIFY_MAC"}),
        ]:
            key = self.external(**of)
            import_material(self.kms, self.openssl, key, material, algorithm, **NEVER)
            self.assertEqual(self.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Enabled", algorithm)

    def test_private_keys_sign(self):
        for algorithm, args, spec, signing, md in [
            ("RSA_AES_KEY_WRAP_SHA_1", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
            ("RSA_AES_KEY_WRAP_SHA_256", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"], "RSA_3072", "RSASSA_PKCS1_V1_5_SHA_384", "sha384"),
            ("RSAES_OAEP_SHA_256", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ECC_NIST_P256", "ECDSA_SHA_256", "sha256"),
            ("RSA_AES_KEY_WRAP_SHA_256", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "ECC_NIST_P521", "ECDSA_SHA_512", "sha512"),
        ]:
            private = self.openssl.private_key(*args)
            key = self.external(KeySpec=spec, KeyUsage="SIGN_VERIFY")
            import_material(self.kms, self.openssl, key, private, algorithm, **NEVER)
            self.openssl.write("signature", self.kms.sign(KeyId=key, Message=b"message", SigningAlgorithm=signing)["Signature"])
            self.openssl.write("message", b"message")
            self.openssl.run("dgst", f"-{md}", "-verify", "public.pem", "-signature", "signature", "message")

    def test_expiry_and_rotation(self):
        key, first, second = self.external(), self.openssl.random(32), self.openssl.random(32)
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)
        name = import_material(self.kms, self.openssl, key, first, ValidTo=until, KeyMaterialDescription="the first")["KeyMaterialId"]
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
        now = self.kms.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual((now["ExpirationModel"], now["CurrentKeyMaterialId"]), ("KEY_MATERIAL_EXPIRES", name))
        with self.assertRaises(self.kms.exceptions.IncorrectKeyMaterialException):
            import_material(self.kms, self.openssl, key, second, **NEVER)
        import_material(self.kms, self.openssl, key, second, ImportType="NEW_KEY_MATERIAL", **NEVER)
        self.kms.rotate_key_on_demand(KeyId=key)
        self.assertEqual(self.kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"plain")
        entries = self.kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        self.assertEqual([(e["KeyMaterialState"], e["ImportState"], e.get("KeyMaterialDescription")) for e in entries],
                         [("NON_CURRENT", "IMPORTED", "the first"), ("CURRENT", "IMPORTED", None)])
        self.assertEqual(self.kms.delete_imported_key_material(KeyId=key, KeyMaterialId=name)["KeyMaterialId"], name)
        with self.assertRaisesRegex(ClientError, "KMSInvalidStateException.*is pending import."):
            self.kms.decrypt(CiphertextBlob=blob)
        self.assertEqual(import_material(self.kms, self.openssl, key, first, KeyMaterialId=name, **NEVER)["KeyMaterialId"], name)
        self.assertEqual(self.kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"plain")


class Regions(unittest.TestCase):
    def test_replica_decrypts(self):
        here, there = client(), client(THERE)
        made = here.create_key(MultiRegion=True)["KeyMetadata"]
        key = made["KeyId"]
        self.assertRegex(key, "^mrk-[0-9a-f]{32}$")
        blob = here.encrypt(KeyId=key, Plaintext=b"plain", EncryptionContext={"a": "b"})["CiphertextBlob"]
        out = here.replicate_key(KeyId=key, ReplicaRegion=THERE, Description="the other", Tags=[{"TagKey": "a", "TagValue": "b"}])
        self.assertEqual(out["ReplicaKeyMetadata"]["Arn"], made["Arn"].replace(HERE, THERE))
        self.assertEqual(there.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})["Plaintext"], b"plain")
        here.rotate_key_on_demand(KeyId=key)
        self.assertEqual(here.decrypt(CiphertextBlob=there.encrypt(KeyId=key, Plaintext=b"back")["CiphertextBlob"])["Plaintext"], b"back")
        with self.assertRaises(here.exceptions.AlreadyExistsException):
            here.replicate_key(KeyId=key, ReplicaRegion=THERE)
        with self.assertRaisesRegex(ClientError, "UnsupportedOperationException.*is not a multi-region primary key."):
            there.replicate_key(KeyId=key, ReplicaRegion="ap-northeast-1")
        here.update_primary_region(KeyId=key, PrimaryRegion=THERE)
        config = here.describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
        self.assertEqual((config["MultiRegionKeyType"], config["PrimaryKey"]["Region"], [k["Region"] for k in config["ReplicaKeys"]]), ("REPLICA", THERE, [HERE]))
        deleted = there.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.assertEqual((deleted["KeyState"], deleted.get("DeletionDate")), ("PendingReplicaDeletion", None))
        self.assertEqual(here.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})["Plaintext"], b"plain")

    def test_imports_in_each_region(self):
        openssl = OpenSSL()
        self.addCleanup(openssl.dir.cleanup)
        here, there, material = client(), client(THERE), openssl.random(32)
        key = here.create_key(MultiRegion=True, Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        name = import_material(here, openssl, key, material, **NEVER)["KeyMaterialId"]
        here.replicate_key(KeyId=key, ReplicaRegion=THERE)
        self.assertEqual(there.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "PendingImport")
        self.assertEqual(import_material(there, openssl, key, material, **NEVER)["KeyMaterialId"], name)
        blob = here.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
        here.delete_imported_key_material(KeyId=key)
        self.assertEqual(there.decrypt(CiphertextBlob=blob)["Plaintext"], b"plain")


if __name__ == "__main__":
    unittest.main(verbosity=2)
