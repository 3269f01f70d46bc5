"""Every option of a datasource in a bucket, from the configuration to what the server is sent or shows."""

import base64
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cellsmono.app.datasource_checks import S3_KEYS
from cellsmono.datasource.objects.s3 import copying, staging
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.kernel.errors import Unavailable

ACCESS_KEY, SECRET_KEY = "AKOPTION", "secret/of+options"
DOMAIN = "s3.one.amazonaws.com.test"
"""Moto takes hosts above such a one for buckets."""
MIB = 1 << 20
OFF = {"path_style": "--host-style"}
OWNER = {"CELLSMONO_OWNER_ACCESS_KEY": "OWNERKEY", "CELLSMONO_OWNER_SECRET_KEY": "owner-secret-key"}


class Authority:
    """A certificate authority of one's own, and a server's certificate that it signed."""

    def __init__(self, folder):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of one's own")])
        self.file = folder / "authority.pem"
        self._folder = folder
        made = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), [])
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name, key, constraints, names):
        now = datetime.now(UTC)
        usage = x509.KeyUsage(True, False, False, False, False, constraints.ca, constraints.ca, False, False)
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
        known = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(known, critical=False).add_extension(above, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def make_context(self, *names):
        """What a server with a certificate for these names needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        made = self._sign(name, key, x509.BasicConstraints(ca=False, path_length=None), names)
        file = self._folder / f"{secrets.token_hex(4)}.pem"
        plain = serialization.NoEncryption()
        written = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        file.write_bytes(written + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def domain(monkeypatch):
    """A domain whose every host is this machine."""
    real = socket.getaddrinfo

    def find(host, *arguments, **options):
        return real("127.0.0.1" if host and host.endswith(DOMAIN) else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    return DOMAIN


@pytest.fixture
def open_store(open_it, proxy, behind, monkeypatch):
    """Serve the bucket with such options; the datasource's store."""
    monkeypatch.setattr("cellsmono.datasource.objects.s3.patience.ATTEMPTS", 1)

    @asynccontextmanager
    async def start(**options):
        source = {"name": "docs", "storage": "s3", "endpoint": proxy.url, "bucket": behind.name, "watch": "off"}
        source |= {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, **options}
        async with open_it(source, follow=False) as core:
            yield core.datasources.triple("docs").store

    return start


async def body(*parts):
    for part in parts:
        yield part


async def put(store, key, *parts):
    return await store.put_node(key, body(*parts), PlainDigest(), WriteOptions(size=sum(map(len, parts))))


async def read(store, key):
    opened = await store.open_node(key)
    try:
        return await opened.reader.read(0, opened.node.size)
    finally:
        opened.reader.close()


async def make_all(store, monkeypatch):
    """An object in one call, one in parts, copies of both, and an upload in parts of a client."""
    monkeypatch.setattr(staging, "PART_BYTES", 5 * MIB)
    await put(store, "small", b"hello")
    await put(store, "large", b"x" * 6 * MIB)
    await store.copy_node("small", "small copy", CopyOptions())
    monkeypatch.setattr(copying, "MOST_AT_ONCE", 5 * MIB)
    await store.copy_node("large", "large copy", CopyOptions())
    await store.move_node("small copy", "moved")
    upload = (await store.create_upload("parts", b"", WriteOptions())).upload_id
    part = await store.put_part(upload, 1, body(b"p" * 5 * MIB), PlainDigest(), 5 * MIB)
    await store.complete_upload(upload, [part], "e" * 32 + "-1", WriteOptions())
    await store.update_meta("small", lambda meta: meta)
    return ["large", "large copy", "moved", "parts", "small"]


async def test_every_object_has_the_storage_class(open_store, behind, monkeypatch):
    async with open_store(storage_class="STANDARD_IA") as store:
        keys = await make_all(store, monkeypatch)
    for key in keys:
        assert behind.head_object(Bucket=behind.name, Key=key)["StorageClass"] == "STANDARD_IA", key


async def test_every_object_has_the_tags(open_store, behind, monkeypatch):
    async with open_store(object_tags="team=photo%20desk&cost=4711") as store:
        keys = await make_all(store, monkeypatch)
    for key in keys:
        tags = behind.get_object_tagging(Bucket=behind.name, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "photo desk", "cost": "4711"}, key


async def test_requests_are_signed_for_the_region(open_store, proxy):
    async with open_store(region="eu-central-7") as store:
        await put(store, "x", b"1")
        assert await read(store, "x") == b"1"
    scopes = {head["authorization"].split("Credential=")[1].split(",")[0] for head in proxy.heads}
    assert {scope.split("/")[0] for scope in scopes} == {ACCESS_KEY}
    assert {tuple(scope.split("/")[2:]) for scope in scopes} == {("eu-central-7", "s3", "aws4_request")}


async def test_the_old_signature_is_right(open_store, proxy, behind, monkeypatch):
    """See "Signing and authenticating REST requests" of the Amazon S3 developer guide: version 2, HMAC-SHA1."""
    async with open_store(signature="s3", storage_class="STANDARD_IA") as store:
        keys = await make_all(store, monkeypatch)
        assert await read(store, "parts") == b"p" * 5 * MIB
        assert await store.delete_node("small")
    assert set(keys) == {"large", "large copy", "moved", "parts", "small"}
    methods = {head[":method"] for head in proxy.heads}
    assert methods == {"GET", "PUT", "POST", "DELETE", "HEAD"}
    for head in proxy.heads:
        assert head["authorization"] == f"AWS {ACCESS_KEY}:{sign_v2(head, SECRET_KEY)}", head


SIGNED_QUERIES = {"uploads", "uploadId", "partNumber", "delete", "tagging"}


def sign_v2(head, secret):
    """The signature of a request in path style."""
    amazons = [f"{name}:{value}\n" for name, value in sorted(head.items()) if name.startswith("x-amz-")]
    path, _, query = head[":target"].partition("?")
    wanted = sorted(pair for pair in query.split("&") if pair.split("=")[0] in SIGNED_QUERIES)
    # A sub-resource without a value is signed without the sign of equality.
    resource = path + ("?" if wanted else "") + "&".join(pair.removesuffix("=") for pair in wanted)
    date = "" if "x-amz-date" in head else head["date"]
    plain = [head[":method"], head.get("content-md5", ""), head.get("content-type", ""), date]
    text = "\n".join(plain) + "\n" + "".join(amazons) + resource
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


async def test_buckets_are_named_in_the_path_or_in_the_host(open_store, proxy, behind, domain, monkeypatch):
    endpoint = f"http://{domain}:{proxy.port}"
    for is_path in (True, False):
        proxy.heads.clear()
        async with open_store(endpoint=endpoint, path_style=is_path) as store:
            await make_all(store, monkeypatch)
            assert await read(store, "small") == b"hello"
        host = f"{domain}:{proxy.port}" if is_path else f"{behind.name}.{domain}:{proxy.port}"
        assert {head["host"] for head in proxy.heads} == {host}
        assert {head[":target"].startswith(f"/{behind.name}") for head in proxy.heads} == {is_path}
        for key in ("small", "large"):
            assert behind.head_object(Bucket=behind.name, Key=key)
            behind.delete_object(Bucket=behind.name, Key=key)


@pytest.fixture
async def secured(moto_server, proxy, authority):
    """The same server behind TLS, with a certificate for one name and one address."""
    names = [x509.DNSName(DOMAIN), x509.DNSName("*." + DOMAIN), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    made = type(proxy)(moto_server)
    async with made.running(tls=authority.make_context(*names)):
        yield made


async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(open_store, secured, authority, domain, behind):
    endpoint = f"https://{domain}:{secured.port}"
    for options in ({}, {"path_style": False}):
        async with open_store(endpoint=endpoint, ca_file=str(authority.file), **options) as store:
            await put(store, "x", b"over TLS")
            assert await read(store, "x") == b"over TLS"
            assert await store.delete_node("x")
    assert {head["host"].split(":")[0] for head in secured.heads} == {domain, f"{behind.name}.{domain}"}


@pytest.mark.parametrize("trusts", [True, False])
async def test_a_certificate_that_does_not_fit_is_told(open_store, secured, authority, domain, tmp_path, trusts):
    """The authority is not named; or it is, and the certificate is for another address."""
    options = {"endpoint": f"https://{domain}:{secured.port}"}
    if trusts:
        options = {"endpoint": f"https://127.0.0.1:{secured.port}", "ca_file": str(authority.file)}
    async with open_store(**options) as store:
        with pytest.raises(Unavailable, match="ca_file") as caught:
            await put(store, "x", b"1")
        assert caught.value.reason == "tls"
    assert secured.heads == []


async def test_no_certificate_is_checked_where_that_is_wanted(open_store, secured):
    async with open_store(endpoint=f"https://127.0.0.1:{secured.port}", verify_tls=False) as store:
        await put(store, "x", b"1")
        assert await read(store, "x") == b"1"
    assert secured.heads


@pytest.mark.parametrize("signs", [True, False])
async def test_bodies_are_signed_over_tls_when_that_is_wanted(open_store, secured, authority, domain, signs):
    options = {"endpoint": f"https://{domain}:{secured.port}", "ca_file": str(authority.file)}
    async with open_store(sign_payload=signs, **options) as store:
        await put(store, "x", b"hello")
        assert await read(store, "x") == b"hello"
    (sent,) = (head for head in secured.heads if head[":method"] == "PUT" and head[":target"].endswith("/x"))
    signed = sent["x-amz-content-sha256"]
    assert (signed == hashlib.sha256(b"hello").hexdigest()) is signs, signed


@pytest.mark.parametrize("checks", [True, False])
async def test_checksums_go_along_unless_they_are_off(open_store, proxy, behind, checks, monkeypatch):
    async with open_store(checksums=checks) as store:
        await make_all(store, monkeypatch)
    sent = [head for head in proxy.heads if head[":method"] == "PUT" and "x-amz-copy-source" not in head]
    assert sent
    assert {"x-amz-checksum-crc32" in head for head in sent} == {checks}
    assert not [head for head in proxy.heads if "x-amz-trailer" in head or "transfer-encoding" in head]
    # S3 wants the list of a multi-delete protected: by MD5, which every server knows, where the others are off.
    async with open_store(checksums=checks) as store:
        assert await store.delete_nodes(["small", "large"]) == [None, None]
    assert store_keys(behind) == ["large copy", "moved", "parts"]
    (deletion,) = (head for head in proxy.heads if head[":target"].endswith("?delete"))
    assert ("content-md5" in deletion, "x-amz-checksum-crc32" in deletion) == (not checks, checks)


def store_keys(behind):
    keys = [entry["Key"] for entry in behind.list_objects_v2(Bucket=behind.name)["Contents"]]
    return [key for key in keys if not key.startswith(".")]


def test_every_option_has_a_flag(moto_server, behind, tmp_path, authority):
    """``ds add`` with each of them, and what is stored then; all differ from what they are by default."""
    (tmp_path / "secret").write_text("secret/of+options")
    (tmp_path / "token").write_text("token of sixteen or more characters")
    flags = {
        "endpoint": moto_server,
        "region": "eu-central-7",
        "access_key": "AKOPTION",
        "secret_key_file": str(tmp_path / "secret"),
        "path_style": False,
        "signature": "s3",
        "storage_class": "STANDARD_IA",
        "object_tags": "a=b&c=d",
        "read_only": True,
        "checksums": False,
        "verify_tls": False,
        "ca_file": str(authority.file),
        "sign_payload": True,
        "request_seconds": 7.5,
        "notify_token_file": str(tmp_path / "token"),
    }
    words = ["ds", "add", f"docs=s3://{behind.name}/base", "--data-dir", str(tmp_path / "data"), "-o", "json"]
    for name, value in flags.items():
        flag = name.replace("_", "-")
        words += {True: [f"--{flag}"], False: [OFF.get(name, f"--no-{flag}")]}.get(value, [f"--{flag}", str(value)])
    environ = {**OWNER, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "cellsmono", *words], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)["config"]
    assert {name: config[name] for name in flags} == flags
    assert set(S3_KEYS) - set(flags) == {"bucket", "prefix", "secret_key", "notify_token"}
