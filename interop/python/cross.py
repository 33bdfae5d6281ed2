"""OpenSSL on the other side of each algorithm, both ways: it makes the private keys, which are
imported; what the server signs, encrypts or derives, it verifies, decrypts or derives, and the
other way round. What the command does not have, the cryptography package has, which carries a
newer OpenSSL. Run by scripts/with-trent."""

import hashlib
import itertools
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa

from external import KMS, openssl

CURVES = {"ECC_NIST_P256": ("P-256", "sha256"), "ECC_NIST_P384": ("P-384", "sha384"), "ECC_NIST_P521": ("P-521", "sha512"), "ECC_SECG_P256K1": ("secp256k1", "sha256")}
MESSAGE = bytes(range(256)) * 16  # 4,096 bytes, the most that is signed whole
MLDSA = {"ML_DSA_44": mldsa.MLDSA44PrivateKey, "ML_DSA_65": mldsa.MLDSA65PrivateKey, "ML_DSA_87": mldsa.MLDSA87PrivateKey}


def generate(*options):
    """A private key as PKCS #8, DER."""
    return openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", data=openssl("genpkey", "-quiet", *options))


def rsa(bits):
    return generate("-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")


def ec(name):
    return generate("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{name}")


def public(private):
    return openssl("pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER")


def half(private, *args, data):
    return openssl("pkeyutl", *args, "-keyform", "DER", "-inkey", private, data=data)


class Cross(unittest.TestCase):
    kms = KMS()

    def key(self, spec, usage, private):
        """Imports a private key, and sees that the public half is the one that OpenSSL derives."""
        id = self.kms.imported(spec, usage, private)
        self.assertEqual(self.kms.call("get_public_key", KeyId=id)["PublicKey"], public(private))
        return id

    def signs(self, id, private, algorithm, digest, *options):
        digested = hashlib.new(digest, MESSAGE).digest()
        options = [f for o in (f"digest:{digest}", *options) for f in ("-pkeyopt", o)]
        for message, form in ((MESSAGE, "RAW"), (digested, "DIGEST")):
            request = {"KeyId": id, "Message": message, "MessageType": form, "SigningAlgorithm": algorithm}
            ours = self.kms.call("sign", **request)["Signature"]
            done = openssl("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", public(private), "-sigfile", ours, *options, data=digested)
            self.assertIn(b"Verified Successfully", done)
            theirs = half(private, "-sign", *options, data=digested)
            self.assertTrue(self.kms.call("verify", Signature=theirs, **request)["SignatureValid"])

    def test_rsa_signatures(self):
        for bits in (2048, 3072, 4096):
            private = rsa(bits)
            id = self.key(f"RSA_{bits}", "SIGN_VERIFY", private)
            for size in (256, 384, 512):
                with self.subTest(bits=bits, size=size):
                    self.signs(id, private, f"RSASSA_PKCS1_V1_5_SHA_{size}", f"sha{size}", "rsa_padding_mode:pkcs1")
                    self.signs(id, private, f"RSASSA_PSS_SHA_{size}", f"sha{size}", "rsa_padding_mode:pss", "rsa_pss_saltlen:digest")

    def test_ecdsa(self):
        for spec, (name, digest) in CURVES.items():
            with self.subTest(spec=spec):
                private = ec(name)
                self.signs(self.key(spec, "SIGN_VERIFY", private), private, f"ECDSA_SHA_{digest[3:]}", digest)

    def test_ed25519(self):
        private = generate("-algorithm", "ED25519")
        request = {"KeyId": self.key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", private), "Message": MESSAGE, "SigningAlgorithm": "ED25519_SHA_512"}
        ours = self.kms.call("sign", **request)["Signature"]
        theirs = openssl("pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", private, "-in", MESSAGE)
        self.assertEqual(ours, theirs)  # Ed25519 is deterministic

    def test_ml_dsa(self):
        for spec, kind in MLDSA.items():
            with self.subTest(spec=spec):
                private = kind.generate()
                id = self.kms.imported(spec, "SIGN_VERIFY", private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
                request = {"KeyId": id, "Message": MESSAGE, "SigningAlgorithm": "ML_DSA_SHAKE_256"}
                their_public = private.public_key()
                spki = their_public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
                self.assertEqual(self.kms.call("get_public_key", KeyId=id)["PublicKey"], spki)
                their_public.verify(self.kms.call("sign", **request)["Signature"], MESSAGE)
                self.assertTrue(self.kms.call("verify", Signature=private.sign(MESSAGE), **request)["SignatureValid"])

    def test_rsa_encryption(self):
        for bits, digest in itertools.product((2048, 3072, 4096), ("sha1", "sha256")):
            with self.subTest(bits=bits, digest=digest):
                private = rsa(bits)
                id = self.key(f"RSA_{bits}", "ENCRYPT_DECRYPT", private)
                algorithm = {"KeyId": id, "EncryptionAlgorithm": "RSAES_OAEP_" + {"sha1": "SHA_1", "sha256": "SHA_256"}[digest]}
                most = bits // 8 - 2 - 2 * hashlib.new(digest).digest_size
                options = ("-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}", "-pkeyopt", f"rsa_mgf1_md:{digest}")
                for plain in (b"x", MESSAGE[:most]):
                    ours = self.kms.call("encrypt", Plaintext=plain, **algorithm)["CiphertextBlob"]
                    self.assertEqual(half(private, "-decrypt", *options, data=ours), plain)
                    theirs = openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public(private), *options, data=plain)
                    self.assertEqual(self.kms.call("decrypt", CiphertextBlob=theirs, **algorithm)["Plaintext"], plain)

    def test_agreement(self):
        for spec in ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"):
            with self.subTest(spec=spec):
                private, peer = ec(CURVES[spec][0]), ec(CURVES[spec][0])
                id = self.key(spec, "KEY_AGREEMENT", private)
                ours = self.kms.call("derive_shared_secret", KeyId=id, KeyAgreementAlgorithm="ECDH", PublicKey=public(peer))["SharedSecret"]
                theirs = openssl("pkeyutl", "-derive", "-keyform", "DER", "-inkey", peer, "-peerform", "DER", "-peerkey", public(private))
                self.assertEqual(ours, theirs)

    def test_macs(self):
        for size, length in (("224", 28), ("256", 32), ("384", 48), ("512", 64), ("512", 128)):
            with self.subTest(size=size):
                key = MESSAGE[:length]
                request = {"KeyId": self.kms.imported(f"HMAC_{size}", "GENERATE_VERIFY_MAC", key), "Message": MESSAGE, "MacAlgorithm": f"HMAC_SHA_{size}"}
                theirs = openssl("dgst", f"-sha{size}", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary", data=MESSAGE)
                self.assertEqual(self.kms.call("generate_mac", **request)["Mac"], theirs)
                self.assertTrue(self.kms.call("verify_mac", Mac=theirs, **request)["MacValid"])

    def test_key_pairs(self):
        """The pairs that GenerateDataKeyPair gives out are of one key, as OpenSSL reads them."""
        sealing = self.kms.call("create_key")["KeyMetadata"]["KeyId"]
        for spec in ("RSA_2048", *CURVES, "ECC_NIST_EDWARDS25519"):
            with self.subTest(spec=spec):
                pair = self.kms.call("generate_data_key_pair", KeyId=sealing, KeyPairSpec=spec)
                self.assertEqual(public(pair["PrivateKeyPlaintext"]), pair["PublicKey"])
                openssl("pkey", "-inform", "DER", "-in", pair["PrivateKeyPlaintext"], "-check", "-noout")

    def test_wrapping(self):
        """Each wrapping algorithm under each wrapping key carries each kind of key that it may."""
        ways = itertools.product(("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"), ("RSA_2048", "RSA_3072", "RSA_4096"))
        p256, p521, pkcs8 = ec("P-256"), ec("P-521"), rsa(2048)
        for algorithm, wrapping in ways:
            how = {"algorithm": algorithm, "wrapping": wrapping}
            with self.subTest(**how):
                id = self.kms.imported("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", MESSAGE[:32], **how)
                sealed = self.kms.call("encrypt", KeyId=id, Plaintext=b"secret")["CiphertextBlob"]
                self.assertEqual(self.kms.call("decrypt", CiphertextBlob=sealed)["Plaintext"], b"secret")
                for spec, private in (("ECC_NIST_P256", p256), ("ECC_NIST_P521", p521), ("RSA_2048", pkcs8)):
                    if algorithm.startswith("RSAES") and (spec == "RSA_2048" or spec == "ECC_NIST_P521" and wrapping == "RSA_2048"):
                        continue  # larger than the wrapping key takes
                    id = self.kms.imported(spec, "SIGN_VERIFY", private, **how)
                    self.assertEqual(self.kms.call("get_public_key", KeyId=id)["PublicKey"], public(private))


if __name__ == "__main__":
    unittest.main(verbosity=2)
