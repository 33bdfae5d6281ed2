"""Keys whose material is made elsewhere: imports it, wrapped by OpenSSL, and calls for it."""

import os
import subprocess
import tempfile

import boto3
import botocore.exceptions
from botocore.config import Config

HASHES = {"SHA_1": "sha1", "SHA_256": "sha256"}
WRAP_PAD_IV = "A65959A6"  # RFC 5649, 3


class Refused(Exception):
    """The server refused a request."""

    def __init__(self, error):
        super().__init__(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}")
        self.code = error.response["Error"]["Code"]


def openssl(*args, data=b""):
    """Runs openssl. An argument that is bytes becomes the name of a file that holds them."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, arg in enumerate(args):
            if isinstance(arg, bytes):
                name = os.path.join(folder, str(i))
                with open(name, "wb") as f:
                    f.write(arg)
                arg = name
            names.append(arg)
        done = subprocess.run(("openssl", *names), input=data, capture_output=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(names)}: {done.stderr.decode()}")
    return done.stdout


def oaep(public, digest, plain):
    return openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public, "-pkeyopt", "rsa_padding_mode:oaep",
                   "-pkeyopt", f"rsa_oaep_md:{digest}", "-pkeyopt", f"rsa_mgf1_md:{digest}", data=plain)


def wrap(algorithm, public, material):
    """Wraps material to a wrapping key, as GetParametersForImport gave it out."""
    if algorithm.startswith("RSAES_OAEP_"):
        return oaep(public, HASHES[algorithm.removeprefix("RSAES_OAEP_")], material)
    key = os.urandom(32)
    wrapped = openssl("enc", "-e", "-id-aes256-wrap-pad", "-K", key.hex(), "-iv", WRAP_PAD_IV, data=material)
    return oaep(public, HASHES[algorithm.removeprefix("RSA_AES_KEY_WRAP_")], key) + wrapped


class KMS:
    """boto3, with refusals that are easy to ask about."""

    def __init__(self):
        self.client = boto3.client("kms", config=Config(parameter_validation=False, retries={"max_attempts": 1}))

    def call(self, method, **members):
        try:
            return getattr(self.client, method)(**members)
        except botocore.exceptions.ClientError as e:
            raise Refused(e) from e

    def external(self, spec, usage):
        """Makes a key without material."""
        return self.call("create_key", Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]

    def put(self, key, material, algorithm="RSA_AES_KEY_WRAP_SHA_256", wrapping="RSA_2048", wrapped=wrap):
        """Imports material into a key."""
        p = self.call("get_parameters_for_import", KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping)
        self.call("import_key_material", KeyId=key, ImportToken=p["ImportToken"], EncryptedKeyMaterial=wrapped(algorithm, p["PublicKey"], material),
                  ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")

    def imported(self, spec, usage, material, **how):
        key = self.external(spec, usage)
        self.put(key, material, **how)
        return key
