"""The table `adobe`: apps written for Adobe Concurrency Monitoring."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Application = Annotated[str, Field(min_length=1, max_length=128)]


class AdobeSettings(BaseModel):
    """Settings of `/edge/adobe/v2/…`: the allowed apps, the attribute that names the stream, the interval of calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    applications: list[Application] = Field(
        [], description="ids of the apps that may call; none given: any with auth = open, else no one"
    )
    stream_attribute: str = Field(
        "channel", min_length=1, max_length=128, description="the metadata that is the stream"
    )
    interval_seconds: float = Field(60, ge=1, le=3_600, description="how soon an app is asked to call again")
