"""
A task's lineage for OpenLineage: from files to an audience, to campaigns, to a report.

Only Airflow's OpenLineage provider uses this module, so only this module imports it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.openlineage.facet import (
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
)
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider_otpiq._audience.follow_up import FollowUpRequest
from airflow_provider_otpiq._storage import absolute, split_location

if TYPE_CHECKING:
    from airflow_provider_otpiq._audience.manifest import Audience
    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq._broadcast.result import BroadcastResult
    from airflow_provider_otpiq._report.collect import WrittenReport

_WILDCARD = re.compile(r"[*?\[]")


def audience_lineage(prepared: tuple[AudienceRequest, list[Audience]] | None) -> OperatorLineage[Any, Any]:
    """
    Return the source files, the audience that is followed up, and the folder of the audience or of each group.

    Nothing if the task failed.
    """
    if prepared is None:
        return OperatorLineage()
    request, audiences = prepared
    locations = [file for source in (request.source, request.suppress) if isinstance(source, tuple) for file in source]
    inputs = [file_dataset(location) for location in dict.fromkeys(locations)]
    if isinstance(request, FollowUpRequest):
        inputs.append(_folder_of(request.audience))
    return OperatorLineage(
        inputs=[InputDataset(*name) for name in inputs],
        outputs=[
            output_dataset(_folder_of(audience.location), audience.manifest.counts.recipients) for audience in audiences
        ],
    )


def broadcast_lineage(result: BroadcastResult | None) -> OperatorLineage[Any, Any]:
    """Return the audience's folder, and the campaigns that the task worked on; nothing if the task failed."""
    if result is None:
        return OperatorLineage()
    broadcast = result.ledger.broadcast
    return OperatorLineage(
        inputs=[InputDataset(*_folder_of(broadcast.audience))],
        outputs=[
            output_dataset(campaign_dataset(broadcast.project, campaign.campaign_id), campaign.recipients)
            for campaign in result.campaigns
        ],
    )


def report_lineage(written: WrittenReport | None) -> OperatorLineage[Any, Any]:
    """Return the broadcast's campaigns, and the report's file; nothing if the task failed."""
    if written is None:
        return OperatorLineage()
    members = written.members
    campaigns = (
        [campaign_dataset(members.project, campaign_id) for campaign_id in members.campaign_ids] if members else []
    )
    return OperatorLineage(
        inputs=[InputDataset(*campaign) for campaign in campaigns],
        outputs=[output_dataset(file_dataset(written.destination), written.counts["messages"])],
    )


def campaign_dataset(project: str | None, campaign_id: str) -> tuple[str, str]:
    """Return a campaign's namespace and name as a dataset; the project is None for a ledger of version 0.3.0."""
    return f"otpiq://{quote(project or '', safe='')}", f"campaigns/{campaign_id}"


def file_dataset(location: str) -> tuple[str, str]:
    """
    Return a file's or folder's namespace and name as a dataset, by OpenLineage's naming specification.

    A glob is the folder above it. The part before ``@`` in a URL, such as an Airflow connection, is left out.
    """
    url = location if "://" in location else f"file://{absolute(location)}"
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    start, *wildcards = _WILDCARD.split(path, maxsplit=1)
    path = start.rpartition("/")[0] if wildcards else start.rstrip("/")
    if scheme == "file":
        return "file", f"{slash}{path}"
    return f"{scheme}://{host.rpartition('@')[2]}", path or "/"


def output_dataset(name: tuple[str, str], rows: int | None) -> OutputDataset:
    """Return a dataset that a task has written, with its number of people or rows if that is known."""
    facets: dict[str, Any] = {}
    if rows is not None:
        facets["outputStatistics"] = OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return OutputDataset(*name, outputFacets=facets)


def _folder_of(manifest: str) -> tuple[str, str]:
    return file_dataset(split_location(manifest)[0])
