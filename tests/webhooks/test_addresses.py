"""Which addresses may be called, and that what was checked is what is called."""

import asyncio

import pytest

from streamlimit.webhooks.addresses import (
    PINNED_SECONDS,
    Addresses,
    AddressRefused,
    is_plainly_private,
    is_public,
)

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # where clouds keep their credentials
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b::192.88.99.1",
    "::ffff:0:7f00:1",  # translated, not mapped: RFC 2765's other form
    "::ffff:0:808:808",
    "::ffff:100.64.0.1",
    "::8.8.8.8",
    "192.0.0.8",
    "192.0.0.170",
    "192.88.99.1",
    "198.19.255.255",
    "100.127.255.255",
    "172.20.0.1",
    "233.252.0.1",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:1ff:ffff::1",
    "2002:808:808::1",
    "3ffe::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "feff::1",
    "fe80::1%1",
    "2606:4700::1111%eth0",
]
PUBLIC = [
    *(
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
    ),
    *(
        "169.253.0.1",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.88.98.1",
        "192.167.1.1",
        "198.17.1.1",
        "198.20.0.0",
    ),
    *("223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2001:200::1", "2001:4860:4860::8888", "2003::1"),
    *("3ffd::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]
"""Some of them just beside a block that is not."""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_told_in_whatever_form(address: str) -> None:
    assert not is_public(address)
    assert is_plainly_private(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)
    assert not is_plainly_private(address)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "hooks.localhost"])
def test_names_of_this_machine_are_private(name: str) -> None:
    assert is_plainly_private(name)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "10.1", "0251.0376.0251.0376"]
)
def test_an_address_that_only_the_system_reads_is_told_at_the_start(host: str) -> None:
    assert is_plainly_private(host)


@pytest.mark.parametrize("name", ["example.org", "8.8.2056", "0x08080808", "1e100.net", "a", "127.0.0.1.example.org"])
def test_names_and_public_addresses_of_odd_spelling_are_not(name: str) -> None:
    assert not is_plainly_private(name)


class Names:
    """A resolver in the test's hands, and a clock."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked, self.now = list(answers), 0, 0.0

    async def __call__(self, name: str) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def addresses(self, allow_private: bool = False) -> Addresses:
        return Addresses(allow_private, self, lambda: self.now)


def test_a_name_at_a_private_address_is_refused_without_telling_it() -> None:
    addresses = Names(["10.0.0.7"]).addresses()
    with pytest.raises(AddressRefused, match="private") as refused:
        asyncio.run(addresses.of("intranet.example"))
    assert "10.0.0.7" not in str(refused.value)
    with pytest.raises(AddressRefused):
        asyncio.run(addresses.of("127.0.0.1"))


def test_of_a_mixed_answer_only_the_public_addresses_are_called() -> None:
    assert asyncio.run(Names(["10.0.0.7", "8.8.8.8", "::1"]).addresses().of("mixed.example")) == ["8.8.8.8"]


def test_all_may_be_called_where_the_operator_says_so() -> None:
    assert asyncio.run(Names(["127.0.0.1"]).addresses(allow_private=True).of("localhost")) == ["127.0.0.1"]


async def test_a_name_that_points_elsewhere_a_moment_later_gains_nothing() -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    addresses = names.addresses()

    assert await addresses.of("evil.example") == ["8.8.8.8"]
    assert await addresses.of("evil.example") == ["8.8.8.8"]
    assert names.asked == 1
    names.now = PINNED_SECONDS
    with pytest.raises(AddressRefused):
        await addresses.of("evil.example")


async def test_the_address_that_answered_is_tried_first_and_one_that_did_not_is_asked_for_again() -> None:
    names = Names(["2606:4700::1111", "1.1.1.1"], ["8.8.8.8"])
    addresses = names.addresses()

    await addresses.of("dual.example")
    addresses.prefer("dual.example", "1.1.1.1")
    assert await addresses.of("dual.example") == ["1.1.1.1", "2606:4700::1111"]
    addresses.forget("dual.example")
    assert await addresses.of("dual.example") == ["8.8.8.8"]
