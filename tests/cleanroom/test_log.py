from hypothesis import given
from hypothesis import strategies as st

from harness.cleanroom.log import CappedLog, legible


def test_a_short_log_is_whole():
    log = CappedLog()
    log.feed(b"one\n")
    log.feed(b"two\n")
    assert log.text() == "one\ntwo\n"


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_head_and_tail_are_kept_and_the_rest_is_counted(chunks):
    log = CappedLog(head=10, tail=20)
    for chunk in chunks:
        log.feed(chunk)
    whole = b"".join(chunks)
    if len(whole) <= 30:
        assert log.text() == legible(whole)
    else:
        between = f"\n[... {len(whole) - 30} bytes left out ...]\n"
        assert log.text() == legible(whole[:10]) + between + legible(whole[-20:])


def test_memory_stays_small():
    log = CappedLog(head=10, tail=100)
    for _ in range(10_000):
        log.feed(b"x" * 7)
    assert sum(map(len, log._tail)) <= 107


def test_nothing_that_steers_a_terminal_survives():
    nasty = "\x1b]0;title\x07\x1b[2J\r\x08\x7f\x9b31m\u202egpj\u2066\u200b\u2028".encode()
    text = legible(nasty + b"\xff\xfe ok\t\n")
    assert "\\x1b]0;title\\x07\\x1b[2J\\r\\x08\\x7f\\x9b31m\\u202egpj\\u2066\\u200b\\u2028" in text
    assert text.endswith(" ok\t\n")
    assert all(char.isprintable() or char in "\t\n" for char in text)


def test_ordinary_text_is_left_alone():
    assert legible("naïve θ ≤ ½ 🎉\n".encode()) == "naïve θ ≤ ½ 🎉\n"
