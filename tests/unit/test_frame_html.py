"""Frames as tables for notebooks."""

from html.parser import HTMLParser

import foliot as fo
import pytest

VOID = {"br", "img", "hr"}


class Balanced(HTMLParser):
    """Text of a page whose tags are checked to close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.words = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(frame):
    """The text of a frame's page."""
    parser = Balanced()
    parser.feed(frame._repr_html_())
    parser.close()
    assert parser.open == []
    return "\n".join(parser.words)


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def run(*systems, **options):
    with fo.Scheduler(fo.World(), fo.Schedule(*systems), **options) as scheduler:
        return scheduler.tick(0.1)


def test_page_names_what_ran_and_what_did_not():
    text = read(run(make("move"), make("draw", run_if=lambda ctx: False)))
    assert "frame 0" in text
    assert "move" in text
    assert "draw\nrun_if said no" in text


def test_page_of_an_empty_frame_is_a_page():
    assert "frame 0" in read(run())


def test_page_counts_commands():
    def spawn(ctx):
        for _ in range(3):
            ctx.commands.spawn()

    assert "commands: 3 spawn" in read(run(make("a", spawn, commands=True)))


def test_page_tells_failures_with_their_systems():
    def fail(ctx):
        raise LookupError("<b>gone</b>")

    text = read(run(make("bad", fail), errors="continue"))
    assert "LookupError: <b>gone</b> (in system `bad`, frame 0)" in text
    quarantined = read(run(make("bad", fail), errors=fo.quarantine(after=1)))
    assert "switched off: bad" in quarantined


@pytest.mark.parametrize("name", ["<script>", "a & b", '"'])
def test_names_are_text(name):
    assert name in read(run(make(name)))


def test_page_has_the_picture_of_a_traced_frame():
    assert "<svg" in run(make("a"), trace=True)._repr_html_()
    assert "<svg" not in run(make("a"))._repr_html_()


def test_page_of_many_systems_is_bounded():
    frame = run(*(make(f"s{number}") for number in range(300)))
    text = read(frame)
    assert "and 100 more systems" in text
    assert "s199" in text
    assert "s200" not in text


def test_page_tells_missed_deadlines():
    clock = fo.VirtualClock()
    context = fo.SchedulingContext(budget=1e-3, period=10e-3, deadline=1e-3, overrun="notify")
    late = make("late", lambda ctx: clock.advance(5e-3), budget=context)
    text = read(run(late, clock=clock, workers=1))
    assert "missed deadlines: late 1" in text
