"""Every operation that AWS's own SDK knows goes to the handler of that name, or is refused by it."""

from urllib.parse import urlsplit

import botocore.session
import pytest

from cellsmono.gateway.s3.addressing import parse_query
from cellsmono.gateway.s3.operations import find_operation
from cellsmono.gateway.s3.subresources import refuse_feature

MODEL = botocore.session.get_session().get_service_model("s3")
SAME = {
    "DeleteBucketLifecycle": "DeleteBucketLifecycleConfiguration",
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "ListBucketAnalyticsConfigurations": "GetBucketAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetBucketIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetBucketInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetBucketMetricsConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
    "ListObjectsV2": "ListObjects",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Other names of operations, and those that differ by a parameter alone."""


def find(name):
    model = MODEL.operation_model(name)
    url = urlsplit(model.http["requestUri"])
    members = model.input_shape.members if model.input_shape else {}
    required = model.input_shape.required_members if model.input_shape else ()
    query = url.query.split("&") if url.query else []
    for member in required:
        serialization = members[member].serialization
        if serialization.get("location") == "querystring":
            query.append(serialization["name"] + "=1")
    bucket, key = "b" if "{Bucket}" in url.path else "", "k" if "{Key" in url.path else ""
    is_copy = "CopySource" in required
    return find_operation(model.http["method"], bucket, key, parse_query("&".join(query)), is_copy)


@pytest.mark.parametrize("name", sorted(set(MODEL.operation_names) - {"WriteGetObjectResponse"}))
def test_no_operation_is_taken_for_another(name):
    found, handler = find(name)
    assert found == SAME.get(name, name) or handler is refuse_feature
