"""Valid ids, and the reasons given for invalid ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlimit.ids import is_id, wrong_with_id
from streamlimit.store.valkey.codec import pack_rare_id
from streamlimit.store.valkey.decode import unpack_id
from streamlimit.web.forms import read_form
from streamlimit.web.problems import Problem
from streamlimit.web.segments import SegmentForm, read_segment_form

IDS = [
    "a", "a b", " ", "auth0|507f1f77bcf86cd799439011", "google-oauth2|103547991597142817347", "ada+tv@example.org",
    "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "Big Buck Bunny (2008)", "été", "e\u0301te\u0301",
    "映画\u3000第1話", "a\u202fb",
    "می\u200cخواهم", "用户", "\N{CLAPPER BOARD}", "...", ".hidden", "a..b", "%2F", "100%", "#1", "a?b&c=d", "<b>",
    "{a}", "~", "$", "*",
    "5f0c2f4e-8f0b-4b57-9a57-0e8a0a3a1b11", "5F0C2F4E-8F0B-4B57-9A57-0E8A0A3A1B11",
    "filmnoir-s01e-0001-cut2-directorscut", "5f0c 2f4-8f0b-4b57-9a57-0e8a0a3a1b1 ",
    "x" * 128, "é" * 128, "\N{CLAPPER BOARD}" * 64, "\ufffd", "\u00a0",
]  # fmt: skip
NO_IDS = {
    "is empty": ["", ],
    "has 129 characters": ["x" * 129, "é" * 129],
    "takes 258 bytes": ["用" * 86],
    "takes 260 bytes": ["\N{CLAPPER BOARD}" * 65],
    "holds a control character (U+0000)": ["\0", "a\0b"],
    "holds a control character (U+000A)": ["a\n", "\n", "a\nb"],
    "holds a control character (U+007F)": ["a\x7f"],
    "holds a control character (U+0085)": ["a\x85b"],
    "holds a line or paragraph separator (U+2028)": ["a\u2028"],
    "holds a line or paragraph separator (U+2029)": ["\u2029"],
    "holds half a surrogate pair (U+D800)": ["\ud800"],
    "holds half a surrogate pair (U+DCFF)": ["caf\udcff"],
    "holds a slash": ["/", "a/b", "https://id.example/users/1"],
    "holds a backslash": ["\\", "DOMAIN\\ada"],
    "is '.'": ["."],
    "is '..'": [".."],
}  # fmt: skip
SURROGATES = {"\ud800"}
"""No form can hold them: the decoder refuses."""

PAIRS = [(reason, text) for reason, texts in NO_IDS.items() for text in texts]


@pytest.mark.parametrize("text", IDS, ids=ascii)
def test_nearly_any_text_is_an_id(text: str) -> None:
    assert is_id(text)
    assert wrong_with_id(text) is None
    assert unpack_id(pack_rare_id(text)) == text, "and the packed form gives it back"


@pytest.mark.parametrize(("reason", "text"), PAIRS, ids=lambda each: ascii(each)[:40])
def test_what_is_no_id_is_told_why(reason: str, text: str) -> None:
    assert not is_id(text)
    assert (wrong_with_id(text) or "").startswith(reason)


@pytest.mark.parametrize("field", ["user_id", "session_id", "stream_id", "replace"])
@pytest.mark.parametrize("text", IDS + [text for _, text in PAIRS if not SURROGATES & {*text}], ids=ascii)
def test_the_quick_way_to_read_a_form_agrees_with_the_long_one(field: str, text: str) -> None:
    body = json.dumps({"user_id": "u", "session_id": "s", "stream_id": "m"} | {field: text}).encode()
    found = []
    for read in (read_segment_form, lambda body: read_form(SegmentForm, body)):
        try:
            found.append(read(body))
        except Problem as problem:
            found.append((problem.code, problem.detail, problem.extra))
    assert found[0] == found[1]
    assert isinstance(found[0], SegmentForm) == is_id(text)


_ids = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\\u2028\u2029"), min_size=1, max_size=128
)


@given(_ids.filter(is_id))
def test_an_id_survives_packing_in_at_most_255_bytes(text: str) -> None:
    packed = pack_rare_id(text)
    assert len(packed) <= 255
    assert unpack_id(packed) == text


@given(st.lists(st.sampled_from(["é", "用", "\N{CLAPPER BOARD}", "a"]), min_size=64, max_size=128))
def test_an_id_of_exactly_256_bytes_does_too(parts: list[str]) -> None:
    text = "".join(parts)
    while len(text.encode()) > 256:
        text = text[1:]
    text += "x" * (256 - len(text.encode()))
    if is_id(text):
        packed = pack_rare_id(text)
        assert len(packed) == 255
        assert unpack_id(packed) == text
