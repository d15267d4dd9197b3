"""The S3 of moto's server."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from dev.running_airflow import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


class Store(NamedTuple):
    """An empty bucket, and the Airflow connection ``aws_default`` to it."""

    url: str
    connection: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The connection as an environment variable."""
        return {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(self.connection)}


@contextlib.contextmanager
def object_store_server(host: str = LOOPBACK) -> Iterator[str]:
    """Run the server, and yield its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(host, port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def new_bucket(endpoint: str, name: str) -> Store:
    """Make a bucket."""
    import boto3

    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket=name)
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    return Store(f"s3://aws_default@{name}", connection)
