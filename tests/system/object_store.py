"""The S3 of moto's server."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from dev.running_airflow import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


class Store(NamedTuple):
    """A bucket, and the Airflow connection ``aws_default`` to it."""

    url: str
    connection: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The connection as an environment variable."""
        return {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(self.connection)}


@contextlib.contextmanager
def object_store(host: str = LOOPBACK) -> Iterator[Store]:
    """Run the server, and yield its only bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(host, port=0, verbose=False)
    server.start()
    extra = {"endpoint_url": "http://{}:{}".format(*server.get_host_and_port()), "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    boto3.client("s3", **extra, **keys).create_bucket(Bucket="marketing")
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    yield Store("s3://aws_default@marketing", connection)
    server.stop()
