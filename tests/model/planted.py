"""Bugs to plant into the shared structures: each must be found by the model it names.

An edit replaces a piece of text that stands exactly once in one function of one file.
"""

import re
from typing import NamedTuple


class Planted(NamedTuple):
    """One edit of one function, and the models that must find it."""

    name: str
    path: str
    function: str
    old: str
    new: str
    found_by: tuple[str, ...]


DEQUE = "csrc/structures/deque.h"
DEQUE_SLOW = "csrc/structures/deque.c"
INJECTOR = "csrc/structures/injector.c"
EVENTS = "csrc/structures/event_count.c"
LANE = "csrc/exec/lane.c"
EVENTS_FAST = "csrc/structures/event_count.h"

FENCE = "fol_fence(memory_order_seq_cst);"
SEQ_CST = "memory_order_seq_cst"
RELEASE = "memory_order_release"
ACQUIRE = "memory_order_acquire"
RELAXED = "memory_order_relaxed"

PLANTED = [
    # The deque: fences, orders, and steps left out or in the wrong place.
    Planted(
        "pop_moves_bottom_by_release",
        DEQUE,
        "fol_deque_pop_public_owner",
        f"&deque->bottom, last, {SEQ_CST}",
        f"&deque->bottom, last, {RELEASE}",
        ("deque",),
    ),
    Planted(
        "pop_looks_at_top_by_acquire",
        DEQUE,
        "fol_deque_pop_public_owner",
        f"uint64_t top = fol_atomic_load(&deque->top, {SEQ_CST});",
        f"uint64_t top = fol_atomic_load(&deque->top, {ACQUIRE});",
        ("deque",),
    ),
    Planted(
        "swap_of_top_without_order",
        DEQUE,
        "fol_deque_take_top",
        f"top + 1, {SEQ_CST}",
        "top + 1, memory_order_acq_rel",
        ("deque",),
    ),
    Planted(
        "steal_looks_at_bottom_by_acquire",
        DEQUE,
        "fol_deque_steal_thief",
        f"&deque->bottom, {SEQ_CST}",
        f"&deque->bottom, {ACQUIRE}",
        ("deque",),
    ),
    Planted(
        "steal_looks_at_bottom_first",
        DEQUE,
        "fol_deque_steal_thief",
        f"    uint64_t top = fol_atomic_load(&deque->top, {SEQ_CST});\n"
        f"    uint64_t bottom = fol_atomic_load(&deque->bottom, {SEQ_CST});\n",
        f"    uint64_t bottom = fol_atomic_load(&deque->bottom, {SEQ_CST});\n"
        f"    uint64_t top = fol_atomic_load(&deque->top, {SEQ_CST});\n",
        ("deque", "fuzz"),
    ),
    Planted(
        "publish_without_release",
        DEQUE,
        "fol_deque_publish_owner",
        RELEASE,
        RELAXED,
        ("deque",),
    ),
    Planted("share_without_release", DEQUE, "fol_deque_share_owner", RELEASE, RELAXED, ("deque",)),
    Planted(
        "share_of_more_than_there_is",
        DEQUE,
        "fol_deque_share_owner",
        "(private_count + 1) / 2",
        "private_count + 1",
        ("deque", "fuzz"),
    ),
    Planted(
        "last_item_without_swap",
        DEQUE,
        "fol_deque_pop_public_owner",
        "        item = NULL;\n",
        "        fol_atomic_store(&deque->top, bottom, memory_order_seq_cst);\n",
        ("deque", "fuzz"),
    ),
    Planted(
        "pop_forgets_to_restore_bottom",
        DEQUE,
        "fol_deque_pop_public_owner",
        "    deque->tail = bottom;\n    deque->own_bottom = bottom;\n",
        "",
        ("deque", "fuzz"),
    ),
    Planted(
        "pop_reads_top_before_it_moves_bottom",
        DEQUE,
        "fol_deque_pop_public_owner",
        f"    fol_atomic_store(&deque->bottom, last, {SEQ_CST});\n"
        f"    uint64_t top = fol_atomic_load(&deque->top, {SEQ_CST});\n",
        f"    uint64_t top = fol_atomic_load(&deque->top, {SEQ_CST});\n"
        f"    fol_atomic_store(&deque->bottom, last, {SEQ_CST});\n",
        ("deque", "fuzz"),
    ),
    Planted(
        "slot_is_read_after_the_swap",
        DEQUE,
        "fol_deque_take_top",
        "        return item;",
        f"        return fol_atomic_load(&array->slots[top & array->mask], {RELAXED});",
        ("deque", "fuzz"),
    ),
    Planted(
        "array_without_release",
        DEQUE_SLOW,
        "fol_deque_make_room_owner",
        f"&deque->array, array, {RELEASE}",
        f"&deque->array, array, {RELAXED}",
        ("deque",),
    ),
    Planted(
        "retired_array_is_freed",
        DEQUE_SLOW,
        "fol_deque_make_room_owner",
        "    deque->limit = top + capacity;\n    deque->mask = array->mask;",
        "    fol_free(array->older);\n    array->older = NULL;\n"
        "    deque->limit = top + capacity;\n    deque->mask = array->mask;",
        ("deque",),
    ),
    Planted(
        "growth_keeps_the_old_slots",
        DEQUE_SLOW,
        "fol_deque_make_room_owner",
        "    deque->slots = array->slots;",
        "",
        ("deque", "fuzz"),
    ),
    Planted(
        "room_is_one_item_too_large",
        DEQUE_SLOW,
        "fol_deque_make_room_owner",
        "if (deque->limit - tail >= count)",
        "if (deque->limit - tail + 1 >= count)",
        ("deque", "fuzz"),
    ),
    Planted(
        "batch_looks_at_bottom_by_acquire",
        DEQUE_SLOW,
        "fol_deque_steal_batch_thief",
        f"        bottom = fol_atomic_load(&victim->bottom, {SEQ_CST});",
        f"        bottom = fol_atomic_load(&victim->bottom, {ACQUIRE});",
        ("deque",),
    ),
    Planted(
        "batch_with_one_look_at_bottom",
        DEQUE_SLOW,
        "fol_deque_steal_batch_thief",
        f"        bottom = fol_atomic_load(&victim->bottom, {SEQ_CST});",
        "",
        ("deque", "fuzz"),
    ),
    Planted(
        "batch_publishes_before_it_is_whole",
        DEQUE_SLOW,
        "fol_deque_steal_batch_thief",
        "    uint32_t taken = 1;",
        "    uint32_t taken = 1;\n"
        "    fol_atomic_store(&own->bottom, own->tail + wanted - 1, memory_order_release);",
        ("deque", "fuzz"),
    ),
    # The injector: its turns.
    Planted(
        "push_turn_without_release", INJECTOR, "fol_injector_push", RELEASE, RELAXED, ("injector",)
    ),
    Planted(
        "pop_turn_without_release", INJECTOR, "fol_injector_pop", RELEASE, RELAXED, ("injector",)
    ),
    Planted(
        "push_turn_without_acquire", INJECTOR, "fol_injector_push", ACQUIRE, RELAXED, ("injector",)
    ),
    Planted(
        "pop_turn_without_acquire", INJECTOR, "fol_injector_pop", ACQUIRE, RELAXED, ("injector",)
    ),
    Planted(
        "turn_before_item",
        INJECTOR,
        "fol_injector_push",
        "            fol_plain_store(&cell->item, item);",
        "            fol_atomic_store(&cell->turn, position + 1, memory_order_release);\n"
        "            fol_plain_store(&cell->item, item);",
        ("injector", "fuzz"),
    ),
    Planted(
        "cell_is_free_before_it_is_read",
        INJECTOR,
        "fol_injector_pop",
        "            void *item = fol_plain_load(&cell->item);",
        "            fol_atomic_store(&cell->turn, position + injector->mask + 1,"
        " memory_order_release);\n"
        "            void *item = fol_plain_load(&cell->item);",
        ("injector", "fuzz"),
    ),
    Planted(
        "full_is_seen_too_late",
        INJECTOR,
        "fol_injector_push",
        "if (ahead < 0) {",
        "if (ahead < -1) {",
        ("injector",),
    ),
    # The event count: either side's half of the bargain.
    Planted(
        "notify_without_fence",
        EVENTS_FAST,
        "fol_event_count_notify",
        FENCE,
        "",
        ("event_count",),
    ),
    Planted(
        "notify_looks_in_sequential_order_only",
        EVENTS_FAST,
        "fol_event_count_notify",
        f"{FENCE}\n    if (FOL_LIKELY(fol_atomic_load(&event->waiters, {RELAXED}) == 0))",
        "if (fol_atomic_load(&event->waiters, memory_order_seq_cst) == 0)",
        ("event_count",),
    ),
    Planted(
        "prepare_without_fence", EVENTS, "fol_event_count_prepare", FENCE, "", ("event_count",)
    ),
    Planted(
        "prepare_with_weak_fence",
        EVENTS,
        "fol_event_count_prepare",
        FENCE,
        "fol_fence(memory_order_acq_rel);",
        ("event_count",),
    ),
    Planted(
        "waiter_counts_itself_by_a_plain_store",
        EVENTS,
        "fol_event_count_prepare",
        f"fol_atomic_fetch_add(&event->waiters, 1u, {RELAXED});",
        f"fol_atomic_store(&event->waiters, fol_atomic_load(&event->waiters, {RELAXED}) + 1u,"
        f" {RELAXED});",
        ("event_count",),
    ),
    Planted(
        "waiter_is_counted_at_commit",
        EVENTS,
        "fol_event_count_prepare",
        f"fol_atomic_fetch_add(&event->waiters, 1u, {RELAXED});",
        "",
        ("event_count", "fuzz"),
    ),
    Planted(
        "epoch_stays",
        EVENTS,
        "fol_event_count_wake",
        "fol_atomic_fetch_add(&event->epoch, 1u, memory_order_release);",
        "",
        ("event_count", "fuzz"),
    ),
    Planted(
        "wake_before_epoch",
        EVENTS,
        "fol_event_count_wake",
        "    fol_atomic_fetch_add(&event->epoch",
        "    fol_futex_wake(&event->epoch, count);\n    count = 0;\n"
        "    fol_atomic_fetch_add(&event->epoch",
        ("event_count", "fuzz"),
    ),
    # The lane: what its bits carry.
    Planted(
        "rank_without_release",
        LANE,
        "fol_lane_put",
        f"rank % WORD_BITS, {RELEASE}",
        f"rank % WORD_BITS, {RELAXED}",
        ("lane",),
    ),
    Planted("rank_without_acquire", LANE, "take_lowest", ACQUIRE, RELAXED, ("lane",)),
]


def plant(text: str, planted: Planted) -> str:
    """Text of the file with the bug in it."""
    head = re.search(rf"^[^\n;]*\b{planted.function}\([^;{{]*\)\n\{{", text, re.MULTILINE)
    if head is None:
        raise ValueError(f"{planted.path} has no function {planted.function}")
    end = text.index("\n}\n", head.end())
    body = text[head.end() : end]
    if body.count(planted.old) != 1:
        raise ValueError(
            f"{planted.name}: the text to replace stands {body.count(planted.old)} times"
            f" in {planted.function}, not once"
        )
    return text[: head.end()] + body.replace(planted.old, planted.new) + text[end:]
