"""The picture of a plan: what it shows, what it leaves out, and that nothing runs through a box."""

import random
from xml.etree import ElementTree

import foliot as fo
import pytest
from foliot._layout import lay_out

Position = fo.component("Position", "f8")
Velocity = fo.component("Velocity", "f8")
SVG = "{http://www.w3.org/2000/svg}"


def make(name, **options):
    return fo.system(name=name, **options)(lambda ctx: None)


def drawn(*systems, **options):
    return ElementTree.fromstring(fo.Schedule(*systems, **options).plan().to_svg())


def texts(root):
    return [item.text for item in root.iter(f"{SVG}text")]


def titles(root):
    return [item.text for item in root.iter(f"{SVG}title")]


def size(root):
    return float(root.get("width")), float(root.get("height"))


def random_stages(seed):
    generator = random.Random(seed)
    stages, count = [], generator.randint(1, 60)
    while count > 0:
        names = [f"s{len(stages)}_{i}" for i in range(min(count, generator.randint(1, 25)))]
        stages.append(names)
        count -= len(names)
    stage_of = {name: stage for stage, names in enumerate(stages) for name in names}
    edges = {
        (before, after): generator.choice(("explicit", "conflict"))
        for before in stage_of
        for after in stage_of
        if stage_of[before] < stage_of[after] and generator.random() < 0.06
    }
    widths = {name: generator.uniform(44, 170) for name in stage_of}
    return stages, [(*pair, reason) for pair, reason in edges.items()], widths


def test_equal_plans_give_equal_pictures():
    def picture():
        return fo.Schedule(make("a", writes=Position), make("b", reads=Position)).plan().to_svg()

    assert picture() == picture()


def test_ground_of_its_own_covers_the_picture():
    root = drawn(make("a"))
    ground = root.find(f"{SVG}rect")
    width, height = size(root)
    assert ground.get("fill") == "#fff"
    assert (float(ground.get("width")), float(ground.get("height"))) == (width - 1, height - 1)


def test_merge_says_whose_commands_go_to_whom():
    root = drawn(make("one", commands=True), make("look", reads=Position))
    assert {"merge", "one", "→ look"} <= set(texts(root))
    assert "`look` must see the commands of `one`" in titles(root)


def test_merge_of_many_counts_the_rest():
    makers = [make(f"maker_{i}", commands=True) for i in range(4)]
    assert "maker_0 +3" in texts(drawn(*makers, make("look", reads=Position)))


def test_merge_at_the_end_says_so():
    assert "→ end of phase" in texts(drawn(make("one", commands=True)))


def test_edge_across_a_merge_is_left_out():
    root = drawn(
        make("one", writes=Position, commands=True), make("look", reads=Position, after="one")
    )
    assert not [title for title in titles(root) if "before" in title]


def test_stated_order_and_conflict_look_different():
    plan = fo.Schedule(
        make("a", writes=Position), make("b", writes=Position), make("c", after="a")
    ).plan()
    root = ElementTree.fromstring(plan.to_svg())
    dashes = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        path = group.find(f"{SVG}path")
        if title is not None and path is not None:
            dashes[title.text] = path.get("stroke-dasharray")
    assert dashes["a before c (stated order)"] is None
    assert dashes["a before b (conflict)"] is not None


def test_legend_names_only_what_occurs():
    shown = texts(drawn(make("a", gil="release", commands=True)))
    assert "records commands" in shown
    assert not {"exclusive", "native kernel", "conflict", "stated order"} & set(shown)


def test_tooltip_of_a_box_says_what_the_system_touches():
    (title,) = [
        text
        for text in titles(drawn(make("move", reads=Velocity, writes=Position, exclusive=True)))
        if text.startswith("move")
    ]
    assert title.splitlines()[-2:] == ["reads Velocity", "writes Position"]
    assert "exclusive" in title.splitlines()


def test_long_name_is_cut_and_stands_in_the_tooltip():
    name = "a_very_long_name_" * 5
    root = drawn(make(name))
    assert name not in texts(root)
    assert any(text.endswith("…") and name.startswith(text[:-1]) for text in texts(root))
    assert any(text.startswith(name) for text in titles(root))


@pytest.mark.parametrize("name", ["<&>\"']]>", "größe", "移动", "🎈", "a\x01b\x1b", "\ufffe"])
def test_any_name_gives_well_formed_xml(name):
    plan = fo.Schedule(make(name, commands=True), phases=[fo.Phase("update")]).plan()
    root = ElementTree.fromstring(plan.to_svg().encode("utf-8"))
    assert root.tag == f"{SVG}svg"


def test_empty_phase_is_slim():
    heights = [size(drawn(phases=["a"] + ["b"] * more))[1] for more in (0, 1)]
    assert heights[1] - heights[0] < 40


def test_many_systems_of_one_stage_stand_in_several_columns():
    width, height = size(drawn(*(make(f"system_{i}") for i in range(200)), phases=["update"]))
    assert 0.5 < width / height < 2


def test_long_phase_goes_on_below_after_a_merge():
    systems = [
        make(f"{what}_{i}", reads=Position, commands=what == "spawn")
        for i in range(30)
        for what in ("spawn", "look")
    ]
    assert size(drawn(*systems, phases=["update"]))[0] < 1500


@pytest.mark.parametrize("seed", range(40))
def test_boxes_and_lanes_of_a_column_stand_apart(seed):
    stages, edges, widths = random_stages(seed)
    layout = lay_out(0, stages, edges, widths)
    for column in layout.columns:
        for above, below in zip(column.items, column.items[1:], strict=False):
            assert below.y - below.half - (above.y + above.half) > 5.9, f"seed {seed}"
        for item in column.items:
            assert item.y - item.half >= -1e-6, f"seed {seed}"
            assert item.y + item.half <= layout.height, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_wires_join_what_the_edges_join(seed):
    stages, edges, widths = random_stages(seed)
    layout = lay_out(0, stages, edges, widths)
    joined = set()
    for wire in layout.wires:
        joined |= {(a, b, wire.reason) for a in wire.before for b in wire.after}
        reached = {}
        for _, start, end in wire.links:
            sources = {start.name} if start.name else reached[id(start)]
            reached.setdefault(id(end), set()).update(sources)
        for _, _, end in wire.links:
            if end.name:
                assert reached[id(end)] == set(wire.before), f"seed {seed}"
    assert joined == set(edges), f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_columns_stand_apart_and_hold_every_system_once(seed):
    stages, edges, widths = random_stages(seed)
    layout = lay_out(3, stages, edges, widths)
    names = {stage: [] for stage in range(len(stages))}
    for column in layout.columns:
        names[column.stage - 3] += [item.name for item in column.items if item.name]
    assert [sorted(found) for found in names.values()] == [sorted(stage) for stage in stages]
    for here, there in zip(layout.columns, layout.columns[1:], strict=False):
        assert here.x + here.width < there.x
