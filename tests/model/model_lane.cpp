/* Relacy model of the lane: each rank that is put runs exactly once, one at a time and in order
 * with what ran before; what it reads was written before it was put; and when everybody has done
 * what the contract asks of them, nothing is left.
 */
#include "support.h"

#include "exec/lane.c"

namespace
{

constexpr int RANKS = 130;
fol_lane lane;
model::item items[RANKS];
rl::var<int> *inside; /* of the drainer, so that two at once are a race */
int put_count;
int order[3];
int ordered;

void drain()
{
    uint32_t rank = 0;
    while (fol_lane_next(&lane, &rank)) {
        (*inside)($).store((*inside)($).load() + 1);
        model::take(items, &items[rank]);
        if (ordered < 3) {
            order[ordered++] = static_cast<int>(rank);
        }
    }
}

/* As the contract says: who finds nobody draining sees to it. */
void put(int rank)
{
    model::fill(items, rank);
    put_count += 1;
    if (fol_lane_put(&lane, static_cast<uint32_t>(rank)) && fol_lane_try_enter(&lane)) {
        drain();
    }
}

void everybody_puts_two(unsigned index)
{
    put(static_cast<int>(index));
    put(static_cast<int>(index) + 64);
}

void one_puts_for_another_who_looks(unsigned index)
{
    if (index == 0) {
        put(5);
        put(3);
        put(129);
    } else if (fol_lane_is_waiting(&lane) && fol_lane_try_enter(&lane)) {
        drain();
    }
}

void what_is_there_runs_lowest_first(unsigned index)
{
    if (index == 0) {
        model::fill(items, 70);
        model::fill(items, 2);
        model::fill(items, 9);
        put_count += 3;
        fol_lane_put(&lane, 70);
        fol_lane_put(&lane, 2);
        fol_lane_put(&lane, 9);
        RL_ASSERT(fol_lane_try_enter(&lane));
        drain();
        RL_ASSERT(order[0] == 2 && order[1] == 9 && order[2] == 70);
    }
}

const model::scenario scenarios[] = {
    {"everybody_puts_two", everybody_puts_two, 0},
    {"one_puts_for_another_who_looks", one_puts_for_another_who_looks, 0},
    {"what_is_there_runs_lowest_first", what_is_there_runs_lowest_first, 0},
};

struct lane_suite : rl::test_suite<lane_suite, 3> {
    void before()
    {
        model::begin();
        model::make_items(items, RANKS);
        inside = model::make<rl::var<int>>();
        (*inside)($).store(0);
        put_count = 0;
        ordered = 0;
        fol_lane_init(&lane);
        RL_ASSERT(fol_lane_reserve(&lane, RANKS) == 0);
        fol_lane_set_count(&lane, RANKS);
    }

    void thread(unsigned index)
    {
        model::chosen->run(index);
    }

    void after()
    {
        int taken = 0;
        for (const model::item &each : items) {
            taken += each.taken;
        }
        RL_ASSERT(taken == put_count);
        RL_ASSERT(!fol_lane_try_enter(&lane));
        fol_lane_deinit(&lane);
        model::end();
    }
};

} // namespace

int main(int count, char **words)
{
    return model::check<lane_suite>(scenarios, count, words);
}
