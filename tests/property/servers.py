# ruff: noqa: N803 - the arguments of S3 have capital letters
"""S3 servers for ``sites.S3Site``: one in memory, which answers at once and has the machine's clock, and moto's."""

import contextlib
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.kernel.clock import ManualClock


class MemoryServer:
    """As much of S3 as a synchronizer asks for, by the names and answers of the client that ``S3Store`` has."""

    bucket = "memory"

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    def open(self) -> S3Store:
        """A store that asks this server."""
        store = S3Store("data.objects.gateway1", Endpoint("memory:", "us-east-1", "access", "secretsecret"))
        store.connection._client = self
        return store

    def close(self) -> None:
        """Nothing is open."""

    # --- what others do

    def put(self, key: str, data: bytes) -> None:
        self._objects[key] = data, datetime.fromtimestamp(self._clock.time_ns() // 10**9, UTC)

    def copy(self, source: str, target: str) -> None:
        self.put(target, self._objects[source][0])

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self._objects.pop(key, None)

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self._objects if key.startswith(prefix))

    # --- the client

    def _describe(self, operation: str, key: str) -> dict[str, Any]:
        if key not in self._objects:
            error = {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(error, operation)
        data, when = self._objects[key]
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return {"Size": len(data), "ETag": f'"{etag}"', "LastModified": when}

    async def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        found = self._describe("HeadObject", Key)
        return found | {"ContentLength": found.pop("Size"), "Metadata": {}}

    async def get_object(self, Bucket: str, Key: str, Range: str = "bytes=0-") -> dict[str, Any]:
        found = await self.head_object(Bucket, Key)
        first, _, last = Range.removeprefix("bytes=").partition("-")
        data = self._objects[Key][0]
        if int(first) >= len(data):
            error = {"Error": {"Code": "InvalidRange"}, "ResponseMetadata": {"HTTPStatusCode": 416}}
            raise ClientError(error, "GetObject")
        part = data[int(first) : int(last) + 1 if last else None]
        return found | {"ContentLength": len(part), "Body": _Body(part)}

    async def put_object(self, Bucket: str, Key: str, Body: bytes, ChecksumCRC32: str = "") -> dict[str, Any]:
        self.put(Key, Body)
        return self._describe("PutObject", Key)

    async def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self.delete([Key])
        return {}

    async def list_objects_v2(
        self, Bucket: str, Prefix: str, MaxKeys: int, Delimiter: str = "", StartAfter: str = ""
    ) -> dict[str, Any]:
        contents: list[dict[str, Any]] = []
        folders: dict[str, None] = {}
        for key in self.list(Prefix):
            if key <= StartAfter:
                continue
            if len(contents) + len(folders) == MaxKeys:
                return {"IsTruncated": True, "NextContinuationToken": "more", "Contents": contents}
            name, is_folder, _ = key[len(Prefix) :].partition(Delimiter) if Delimiter else (key, "", "")
            if is_folder:
                folders[Prefix + name + Delimiter] = None
            else:
                contents.append({"Key": key} | self._describe("ListObjectsV2", key))
        return {"IsTruncated": False, "Contents": contents, "CommonPrefixes": [{"Prefix": each} for each in folders]}


class _Body(contextlib.AbstractAsyncContextManager[Any]):
    """The stream of an answer."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def read(self) -> bytes:
        return self._data


class MotoServer:
    """A new bucket of moto's server, changed by a client that knows nothing of us."""

    def __init__(self, _: ManualClock, url: str) -> None:
        self._url = url
        self.bucket = f"machine-{secrets.token_hex(6)}"

    def open(self) -> S3Store:
        """A store that asks this server."""
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b" * 20, "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=self._url, **keys)
        self._client.create_bucket(Bucket=self.bucket)
        return S3Store("data.objects.gateway1", Endpoint(self._url, "us-east-1", "access", "secretsecret"))

    def close(self) -> None:
        self.delete(self.list(""))
        self._client.delete_bucket(Bucket=self.bucket)
        self._client.close()

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def copy(self, source: str, target: str) -> None:
        self._client.copy_object(Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source})

    def delete(self, keys: list[str]) -> None:
        if keys:
            self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})

    def list(self, prefix: str) -> list[str]:
        found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())
        return [entry["Key"] for entry in found]
