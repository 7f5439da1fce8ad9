/* Relacy model of the injector: each item comes out exactly once, whole, and those of one producer
 * in their order; what is refused or finds nothing is right about it when nobody else moves.
 */
#include "support.h"

#include "structures/injector.c"

namespace
{

constexpr int ITEMS = 8;
fol_injector injector;
model::item items[ITEMS];
int offered;          /* by all producers */
int last_taken[3][2]; /* by consumer and producer (two of them) */

/* Producer p offers items p, p + 2, p + 4 and so on; one that is refused stays with it. */
void produce(int producer, int count)
{
    for (int index = 0; index < count; index++) {
        int number = producer + 2 * index;
        if (!fol_injector_push(&injector, model::fill(items, number))) {
            model::take(items, &items[number]);
        }
        offered += 1;
    }
}

bool consume(int consumer)
{
    int number = model::take(items, fol_injector_pop(&injector));
    if (number < 0) {
        return false;
    }
    RL_ASSERT(last_taken[consumer][number % 2] < number);
    last_taken[consumer][number % 2] = number;
    return true;
}

void two_producers_and_a_consumer(unsigned index)
{
    if (index < 2) {
        produce(static_cast<int>(index), 3);
    } else {
        consume(2);
        consume(2);
        consume(2);
    }
}

void a_producer_and_two_consumers(unsigned index)
{
    if (index == 0) {
        produce(0, 4);
    } else {
        consume(static_cast<int>(index));
        consume(static_cast<int>(index));
    }
}

void everybody_does_both(unsigned index)
{
    if (index < 2) {
        produce(static_cast<int>(index), 2);
    }
    consume(static_cast<int>(index));
    consume(static_cast<int>(index));
}

void alone_it_is_full_and_empty_when_it_is(unsigned index)
{
    if (index == 0) {
        RL_ASSERT(fol_injector_pop(&injector) == nullptr);
        RL_ASSERT(fol_injector_push(&injector, model::fill(items, 0)));
        RL_ASSERT(fol_injector_push(&injector, model::fill(items, 2)));
        RL_ASSERT(!fol_injector_push(&injector, &items[4]));
        RL_ASSERT(fol_injector_count(&injector) == 2);
        RL_ASSERT(consume(0) && consume(0) && !consume(0));
        RL_ASSERT(fol_injector_count(&injector) == 0);
        offered += 2;
    }
}

const model::scenario scenarios[] = {
    {"two_producers_and_a_consumer", two_producers_and_a_consumer, 0},
    {"a_producer_and_two_consumers", a_producer_and_two_consumers, 0},
    {"everybody_does_both", everybody_does_both, 0},
    {"alone_it_is_full_and_empty_when_it_is", alone_it_is_full_and_empty_when_it_is, 0},
};

struct injector_suite : rl::test_suite<injector_suite, 3> {
    void before()
    {
        model::begin();
        model::make_items(items, ITEMS);
        offered = 0;
        for (auto &row : last_taken) {
            row[0] = -1;
            row[1] = -1;
        }
        RL_ASSERT(fol_injector_init(&injector, 2) == 0);
    }

    void thread(unsigned index)
    {
        model::chosen->run(index);
    }

    void after()
    {
        while (model::take(items, fol_injector_pop(&injector)) >= 0) {
        }
        int taken = 0;
        for (const model::item &each : items) {
            taken += each.taken;
        }
        RL_ASSERT(taken == offered);
        fol_injector_deinit(&injector);
        model::end();
    }
};

} // namespace

int main(int count, char **words)
{
    return model::check<injector_suite>(scenarios, count, words);
}
