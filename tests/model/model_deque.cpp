/* Relacy model of the work-stealing deque: each item is taken exactly once, whole, whatever the
 * owner and its thieves do at the same time. Thread 0 owns deques[0], thread 1 deques[1], and so
 * on.
 */
#include "support.h"

#include "structures/deque.c"

namespace
{

constexpr int ITEMS = 6;
fol_deque deques[3];
model::item items[ITEMS];

int pushed;

bool take(void *item)
{
    return model::take(items, item) >= 0;
}

void push()
{
    RL_ASSERT(fol_deque_push_owner(&deques[0], model::fill(items, pushed)) == 0);
    pushed += 1;
}

void push_marked()
{
    void *item = static_cast<char *>(model::fill(items, pushed)) + 1;
    RL_ASSERT(fol_deque_push_owner(&deques[0], item) == 0);
    pushed += 1;
}

void push_private()
{
    RL_ASSERT(fol_deque_push_private_owner(&deques[0], model::fill(items, pushed)) == 0);
    pushed += 1;
}

bool pop(int owner = 0)
{
    return take(fol_deque_pop_owner(&deques[owner]));
}

bool steal(int victim = 0)
{
    bool contended = false;
    void *item = fol_deque_steal_thief(&deques[victim], &contended);
    RL_ASSERT(item == nullptr || !contended);
    return take(item);
}

void steal_batch(int thief, uint32_t most)
{
    bool contended = false;
    uint32_t count = 0;
    void *item = fol_deque_steal_batch_thief(&deques[0], &deques[thief], most, &count, &contended);
    RL_ASSERT((item != nullptr) == (count != 0));
    RL_ASSERT(count <= most);
    RL_ASSERT(count == 0 || !contended);
    take(item);
}

void owner_pops_what_thieves_steal(unsigned index)
{
    if (index == 0) {
        push();
        push();
        pop();
        push();
        pop();
        pop();
    } else {
        steal();
        steal();
    }
}

void last_item_has_one_taker(unsigned index)
{
    if (index == 0) {
        push();
        pop();
        push();
        pop();
    } else {
        steal();
    }
}

/* Thread 0 pops without a swap; the others must not have read a top or bottom of long ago. */
void two_items_are_popped_by_the_owner(unsigned index)
{
    if (index == 0) {
        push();
        push();
        pop();
        pop();
    } else {
        steal();
        steal();
    }
}

void private_items_are_published_whole(unsigned index)
{
    if (index == 0) {
        push_private();
        push_private();
        push_private();
        fol_deque_share_owner(&deques[0]);
        pop();
        push_private();
        fol_deque_share_owner(&deques[0]);
        pop();
        pop();
        push_private();
        fol_deque_publish_owner(&deques[0]);
        pop();
    } else {
        steal();
        steal();
    }
}

void batch_leaves_what_the_owner_pops(unsigned index)
{
    if (index == 0) {
        for (int count = 0; count < 4; count++) {
            push();
        }
        for (int count = 0; count < 4; count++) {
            pop();
        }
    } else {
        steal_batch(index, 4);
        pop(index);
    }
}

/* Three are there before. The thief may have two of them, and the owner pops down to the second. */
void batch_meets_the_owner(unsigned index)
{
    if (index == 0) {
        pop();
        pop();
    } else if (index == 1) {
        steal_batch(1, 4);
    } else {
        steal(1);
    }
}

/* Four are there before: what the thief moves is public to others only when it is all there. */
void batch_is_published_whole(unsigned index)
{
    if (index == 1) {
        steal_batch(1, 4);
    } else if (index == 2) {
        steal(1);
    }
}

void batch_is_stolen_on(unsigned index)
{
    if (index == 0) {
        for (int count = 0; count < 5; count++) {
            push();
        }
        pop();
    } else if (index == 1) {
        steal_batch(1, 3);
        pop(1);
    } else {
        steal(1);
        steal_batch(2, 2);
        steal(1);
    }
}

void arrays_grow_under_thieves(unsigned index)
{
    if (index == 0) {
        push();
        push();
        push();
        push();
        push();
        pop();
        push();
    } else {
        steal();
        steal();
    }
}

void slots_are_used_again(unsigned index)
{
    if (index == 0) {
        for (int count = 0; count < ITEMS; count++) {
            push();
            if (count % 2 == 1) {
                take(fol_deque_take_owner(&deques[0]));
            }
        }
    } else {
        steal();
        steal();
    }
}

void owner_takes_the_oldest(unsigned index)
{
    if (index == 0) {
        push_private();
        push_private();
        take(fol_deque_take_owner(&deques[0]));
        push();
        take(fol_deque_take_owner(&deques[0]));
        pop();
    } else {
        steal();
    }
}

void unmarked_items_stay(unsigned index)
{
    if (index == 0) {
        push_marked();
        push();
        push_marked();
        take(fol_deque_pop_marked_owner(&deques[0]));
        take(fol_deque_pop_marked_owner(&deques[0]));
        pop();
    } else {
        bool contended = false;
        void *item = fol_deque_steal_marked_thief(&deques[0], &contended);
        RL_ASSERT(item == nullptr || fol_deque_item_is_marked(item));
        take(item);
        steal();
    }
}

const model::scenario scenarios[] = {
    {"owner_pops_what_thieves_steal", owner_pops_what_thieves_steal, 0},
    {"last_item_has_one_taker", last_item_has_one_taker, 0},
    {"two_items_are_popped_by_the_owner", two_items_are_popped_by_the_owner, 0},
    {"private_items_are_published_whole", private_items_are_published_whole, 0},
    {"batch_leaves_what_the_owner_pops", batch_leaves_what_the_owner_pops, 0},
    {"batch_meets_the_owner", batch_meets_the_owner, 3},
    {"batch_is_published_whole", batch_is_published_whole, 4},
    {"batch_is_stolen_on", batch_is_stolen_on, 0},
    {"arrays_grow_under_thieves", arrays_grow_under_thieves, 0},
    {"slots_are_used_again", slots_are_used_again, 0},
    {"owner_takes_the_oldest", owner_takes_the_oldest, 0},
    {"unmarked_items_stay", unmarked_items_stay, 0},
};

struct deque_suite : rl::test_suite<deque_suite, 3> {
    void before()
    {
        model::begin();
        model::make_items(items, ITEMS);
        pushed = 0;
        for (fol_deque &deque : deques) {
            RL_ASSERT(fol_deque_init(&deque, 0) == 0);
        }
        while (pushed < model::chosen->before) {
            push();
        }
    }

    void thread(unsigned index)
    {
        model::chosen->run(index);
    }

    void after()
    {
        for (fol_deque &deque : deques) {
            while (take(fol_deque_pop_owner(&deque))) {
            }
            RL_ASSERT(fol_deque_count_owner(&deque) == 0);
            fol_deque_deinit(&deque);
        }
        model::check_all_taken(items, pushed);
        model::end();
    }
};

} // namespace

int main(int count, char **words)
{
    return model::check<deque_suite>(scenarios, count, words);
}
