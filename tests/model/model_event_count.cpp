/* Relacy model of the event count: who publishes and notifies is seen by who prepares, looks again
 * and commits. A lost wake is a thread that sleeps for ever, which Relacy reports as a deadlock.
 * What is published is written with relaxed order, so nothing but the protocol makes it seen.
 */
#include "support.h"

#include "structures/event_count.c"

namespace
{

fol_event_count event;
model::atomic<int> work;  /* pieces that nobody has taken */
model::atomic<int> reply; /* the same, the other way */

bool take_piece(model::atomic<int> &pieces_of)
{
    int pieces = fol_atomic_load(&pieces_of, memory_order_relaxed);
    while (pieces > 0) {
        if (fol_atomic_compare_exchange(&pieces_of, &pieces, pieces - 1, memory_order_relaxed,
                                        memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void wait_for_piece(model::atomic<int> &pieces_of, uint64_t timeout_ns)
{
    while (!take_piece(pieces_of)) {
        uint32_t key = fol_event_count_prepare(&event);
        if (take_piece(pieces_of)) {
            fol_event_count_cancel(&event);
            return;
        }
        fol_event_count_commit(&event, key, timeout_ns);
    }
}

void publish_piece(model::atomic<int> &pieces_of)
{
    fol_atomic_fetch_add(&pieces_of, 1, memory_order_relaxed);
    fol_event_count_notify_one(&event);
}

void a_waiter_and_two_publishers(unsigned index)
{
    if (index == 0) {
        wait_for_piece(work, 0);
        wait_for_piece(work, 0);
    } else {
        publish_piece(work);
    }
}

void two_waiters_and_a_publisher(unsigned index)
{
    if (index == 0) {
        publish_piece(work);
        publish_piece(work);
    } else {
        wait_for_piece(work, 0);
    }
}

void two_waiters_are_woken_by_one_call(unsigned index)
{
    if (index == 0) {
        fol_atomic_store(&work, 2, memory_order_relaxed);
        fol_event_count_notify_all(&event);
    } else {
        wait_for_piece(work, 0);
    }
}

void ping_pong(unsigned index)
{
    if (index == 0) {
        publish_piece(work);
        wait_for_piece(reply, 0);
        publish_piece(work);
    } else if (index == 1) {
        wait_for_piece(work, 0);
        publish_piece(reply);
        wait_for_piece(work, 0);
    }
}

/* What was written before a notify is seen by who was woken, without another look: key and epoch
 * carry it. */
void woken_one_sees_what_was_written(unsigned index)
{
    if (index == 0) {
        uint32_t key = fol_event_count_prepare(&event);
        if (fol_atomic_load(&work, memory_order_relaxed) != 0) {
            fol_event_count_cancel(&event);
            return;
        }
        fol_event_count_commit(&event, key, 0);
        RL_ASSERT(fol_atomic_load(&work, memory_order_relaxed) == 1);
    } else if (index == 1) {
        fol_atomic_store(&work, 1, memory_order_relaxed);
        fol_event_count_notify_one(&event);
    }
}

void limited_waiters_take_no_wake_with_them(unsigned index)
{
    if (index == 0) {
        publish_piece(work);
        publish_piece(work);
    } else {
        wait_for_piece(work, index == 1 ? 1000 : 0);
    }
}

const model::scenario scenarios[] = {
    {"a_waiter_and_two_publishers", a_waiter_and_two_publishers, 0},
    {"two_waiters_and_a_publisher", two_waiters_and_a_publisher, 0},
    {"two_waiters_are_woken_by_one_call", two_waiters_are_woken_by_one_call, 0},
    {"ping_pong", ping_pong, 0},
    {"woken_one_sees_what_was_written", woken_one_sees_what_was_written, 0},
    {"limited_waiters_take_no_wake_with_them", limited_waiters_take_no_wake_with_them, 0},
};

struct event_count_suite : rl::test_suite<event_count_suite, 3> {
    void before()
    {
        model::begin();
        model::init(&work, 0);
        model::init(&reply, 0);
        fol_event_count_init(&event);
    }

    void thread(unsigned index)
    {
        model::chosen->run(index);
    }

    void after()
    {
        RL_ASSERT(fol_event_count_waiters(&event) == 0);
        model::end();
    }
};

} // namespace

int main(int count, char **words)
{
    return model::check<event_count_suite>(scenarios, count, words);
}
