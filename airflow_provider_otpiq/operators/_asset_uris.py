"""Assets with URIs such as ``otpiq://shop/campaigns``, in OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import Asset


def to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """
    Return an asset's dataset, named like the campaigns in the lineage of the operators.

    :param asset: an asset whose URI has the scheme ``otpiq``.
    :param lineage_context: not used.
    :return: the dataset: namespace ``otpiq://shop``, name ``campaigns``.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    url = urlsplit(asset.uri)
    return Dataset(namespace=f"{url.scheme}://{url.netloc}", name=url.path.strip("/") or "/")
