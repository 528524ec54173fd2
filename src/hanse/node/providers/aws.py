"""Machines of EC2, on demand or spot, by boto3, which finds its credentials in its own ways.

An instance is marked with the tags `hanse:home` (whose it is) and `hanse:node` (our id of it), and
asked for with a ClientToken of both, so asking twice brings one. Its token comes in its user data:
whoever may read that of the instance, or is on it, could link one machine of that name, until it is
sent away. So where no launch template says how, the instance's metadata are told only to who shows
a session's token, and no further than to the instance itself: an item that can be made to fetch any
address, or is in a container with a network of its own, does not get at it (version 2 of the
service, which our own notice of spot ends speaks).

When the node on it ends, or its script does, the instance shuts itself down, and that terminates
it; so it does some time after its life is over, whatever became of its home.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hanse import limits
from hanse.decoding import from_builtins
from hanse.errors import UsageError
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned

_HOME, _NODE = "hanse:home", "hanse:node"
_LIVING = ["pending", "running", "stopping", "stopped"]
_GONE = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")

# Errors of EC2's own, after which there may be an instance; and that there is one of this token.
_DOUBTFUL = (
    "InternalError", "InternalFailure", "ServerInternal", "ServiceUnavailable", "Unavailable",
    "IdempotentParameterMismatch",
)  # fmt: skip

_USER_DATA = """\
#!/bin/sh
trap 'shutdown -h now' EXIT
shutdown -h +{minutes} || :
{setup}
umask 077
cat > /run/hanse-token <<'END' || exit 1
{token}
END
hanse up --rented --cpus {cpus:g}{more} < /run/hanse-token
"""
_METADATA = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
_LATE_MIN = 15  # after the home should have ended it, an instance ends itself


class AwsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In the file, of the provider.

    Attributes:
        region: of AWS, such as "eu-central-1".
        profile: of the user's AWS configuration.
        endpoint: another service that speaks as EC2 does.
    """

    region: str
    profile: str | None = None
    endpoint: str | None = None


class AwsOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In the file, of an offer, as `how`. What a launch template says need not be said again.

    Attributes:
        setup: lines of shell that are run first, as root: they make sure that `hanse` is there.
    """

    launch_template: str | None = None
    image: str | None = None
    instance_type: str | None = None
    subnet: str | None = None
    security_groups: list[str] = []
    key_name: str | None = None
    instance_profile: str | None = None
    setup: str = ""

    def __post_init__(self) -> None:
        if self.launch_template is None and (self.image is None or self.instance_type is None):
            raise ValueError("it takes a launch_template, or an image and an instance_type")


class AwsProvider:
    """See `port.Provider`."""

    def __init__(self, settings: AwsSettings, owner: str) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise UsageError("machines of AWS take boto3: pip install 'hanse[aws]'") from error
        self._refused, self._failed = ClientError, BotoCoreError
        self._owner = owner
        config = Config(
            connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 4}
        )
        try:
            session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
            self._ec2 = session.client("ec2", endpoint_url=settings.endpoint, config=config)
        except BotoCoreError as error:
            raise UsageError(f"AWS: {error}") from error

    def bring(self, order: Order) -> str:
        how = from_builtins(order.how, AwsOffer)
        asked: dict[str, Any] = {
            "MinCount": 1, "MaxCount": 1,
            "ClientToken": f"{self._owner}-{order.id}"[-64:],
            "InstanceInitiatedShutdownBehavior": "terminate",
            "UserData": user_data(how, order),
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [
                {"Key": _HOME, "Value": self._owner}, {"Key": _NODE, "Value": order.id},
                {"Key": "Name", "Value": f"hanse {order.id}"},
            ]}],
            **_of(how),
        }  # fmt: skip
        if order.rental.tariff.spot:
            asked["InstanceMarketOptions"] = {
                "MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}
            }  # fmt: skip
        told = self._ask("run_instances", **asked)
        return str(told["Instances"][0]["InstanceId"])

    def owned(self) -> list[Owned] | None:
        return self._find()

    def send_away(self, machine: Owned) -> None:
        handles = [machine.handle] if machine.handle else [
            each.handle for each in self._find() if each.id == machine.id
        ]  # fmt: skip
        if handles:
            self._ask("terminate_instances", InstanceIds=handles)

    def _find(self) -> list[Owned]:
        filters = [
            {"Name": f"tag:{_HOME}", "Values": [self._owner]},
            {"Name": "instance-state-name", "Values": _LIVING},
        ]
        found: list[Owned] = []
        more: dict[str, str] = {}
        while True:
            told = self._ask("describe_instances", Filters=filters, **more)
            for reservation in told["Reservations"]:
                for instance in reservation["Instances"]:
                    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
                    found.append(Owned(tags.get(_NODE, ""), str(instance["InstanceId"])))
            if not told.get("NextToken"):
                return found
            more = {"NextToken": told["NextToken"]}

    def _ask(self, what: str, **asked: Any) -> Mapping[str, Any]:
        try:
            told: Mapping[str, Any] = getattr(self._ec2, what)(**asked)
        except self._refused as error:
            about = error.response.get("Error", {})
            code = about.get("Code", "")
            if what == "terminate_instances" and code in _GONE:
                return {}
            kind = InDoubt if code in _DOUBTFUL else NotBrought
            raise kind(f"AWS: {code}: {about.get('Message', error)}") from error
        except self._failed as error:  # it may have been understood, and the answer lost
            raise InDoubt(f"AWS: {error}") from error
        return told


def user_data(how: AwsOffer, order: Order) -> str:
    """What the machine does when it is up: it works until it is wanted no more, and goes."""
    cpus = order.rental.amount.cpus_milli / 1000
    more = " --evictions aws" if order.rental.tariff.spot else ""
    setup = how.setup.strip() or ":"
    minutes = order.rental.life_ns // (60 * limits.SECOND) + _LATE_MIN
    return _USER_DATA.format(setup=setup, token=order.token, cpus=cpus, more=more, minutes=minutes)


def _of(how: AwsOffer) -> dict[str, Any]:
    """The part of a request that the offer says."""
    asked: dict[str, Any] = {}
    if how.launch_template is not None:
        name = how.launch_template
        key = "LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName"
        asked["LaunchTemplate"] = {key: name}
    else:
        asked["MetadataOptions"] = _METADATA
    plain = {
        "ImageId": how.image, "InstanceType": how.instance_type, "SubnetId": how.subnet,
        "KeyName": how.key_name, "SecurityGroupIds": how.security_groups,
    }  # fmt: skip
    asked |= {key: told for key, told in plain.items() if told}
    if how.instance_profile:
        asked["IamInstanceProfile"] = {"Name": how.instance_profile}
    return asked
