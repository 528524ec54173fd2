"""Machines of EC2: moto answers, and what its instances are told to do is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.fake_ec2 import KEYS, REGION, Ec2, moto
from system.real import until
from system.test_links import Hosts, hosts, where

from hanse.model.aims import Tariff
from hanse.model.rental import Rental
from hanse.model.resources import Amount
from hanse.node.providers.aws import AwsProvider, AwsSettings
from hanse.node.providers.port import NotBrought, Order, Owned

__all__ = ["hosts"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as told:
        yield told


@pytest.fixture
def ec2(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ec2]:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    directory = tmp_path / "ec2"
    directory.mkdir()
    made = Ec2(url, directory)
    yield made
    made.close()
    living = made.alive()
    if living:
        made.client.terminate_instances(InstanceIds=living)


def image(ec2: Ec2) -> str:
    return str(ec2.client.register_image(Name=f"image-{os.urandom(4).hex()}")["ImageId"])


def order(ec2: Ec2, id: str, *, spot: bool = False) -> Order:
    rental = Rental(name="small", amount=Amount(cpus_milli=1000), tariff=Tariff(spot=spot))
    how = {"image": image(ec2), "instance_type": "t3.small", "setup": "sleep 1000"}
    return Order(id, rental, how, "a-secret")


def provider(ec2: Ec2, owner: str) -> AwsProvider:
    return AwsProvider(AwsSettings(region=REGION, endpoint=ec2.url), owner)


def test_instances_are_told_apart_by_their_owners_and_ended_once(ec2: Ec2) -> None:
    mine, other = provider(ec2, "n-1"), provider(ec2, "n-2")
    handle = mine.bring(order(ec2, "small-1-1", spot=True))
    assert mine.owned() == [Owned("small-1-1", handle)]
    assert other.owned() == []
    (instance,) = ec2.instances("pending", "running")
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["hanse:node"] == "small-1-1"
    assert "a-secret" not in str(instance)
    assert instance["InstanceLifecycle"] == "spot"
    mine.send_away(Owned("small-1-1", ""))
    mine.send_away(Owned("small-1-1", handle))
    mine.send_away(Owned("small-1-1", "i-0123456789abcdef0"))
    assert mine.owned() == []


def test_what_aws_refuses_is_told_in_its_words(ec2: Ec2) -> None:
    wrong = order(ec2, "small-1-1")._replace(how={"launch_template": "there-is-none"})
    with pytest.raises(NotBrought, match="LaunchTemplate"):
        provider(ec2, "n-1").bring(wrong)


def test_metadata_of_an_instance_take_a_sessions_token_unless_a_template_says_how(
    ec2: Ec2,
) -> None:
    mine = provider(ec2, "n-3")
    mine.bring(order(ec2, "small-3-1"))
    plain = {"ImageId": image(ec2), "InstanceType": "t3.small"}
    ec2.client.create_launch_template(LaunchTemplateName="ours", LaunchTemplateData=plain)
    told = order(ec2, "small-3-2")._replace(how={"launch_template": "ours"})
    mine.bring(told)
    options = {
        tag["Value"]: one["MetadataOptions"]
        for one in ec2.instances("pending", "running")
        for tag in one["Tags"]
        if tag["Key"] == "hanse:node"
    }
    assert options["small-3-1"]["HttpTokens"] == "required"
    assert options["small-3-1"]["HttpPutResponseHopLimit"] == 1
    assert options["small-3-1"]["HttpEndpoint"] == "enabled"
    assert options["small-3-2"]["HttpTokens"] == "optional"


FILE = """
[aws]
kind = "aws"
region = "{region}"
endpoint = "{url}"

[aws.offers.small]
cpus = 1
price = 0.02
start = "10s"
idle = "2s"
spot = true

[aws.offers.small.how]
image = "{image}"
instance_type = "t3.small"
"""


def test_a_job_runs_on_an_instance_that_its_own_user_data_boots(
    hosts: Hosts, ec2: Ec2, tmp_path: Path
) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(FILE.format(region=REGION, url=ec2.url, image=image(ec2)))
    home = hosts.node("home", "--no-work", "--providers", str(file))
    with home.connect() as client:
        job = client.map(where, range(20), deadline=600)
        places = {place for _, place in job}
    assert len(places) == 1
    assert str(ec2.directory) in places.pop()
    assert len(ec2.booted) == 1
    until(lambda: not ec2.alive())
