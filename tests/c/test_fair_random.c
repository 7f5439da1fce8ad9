/* Millions of random steps of the fair queue: all that must hold is looked at after each, and each
 * pick is compared with a look at everybody.
 *
 * What the numbers must be is the exact model's to say, in tests/property/test_fair_model.py.
 */

#include "draw.h"
#include "fair_fixture.h"

#define PROCESSORS 4u

typedef struct machine {
    fair_fixture fixture;
    fol_fair_queue other; /* on the same store */
    fol_fair_queue *home[FAIR_CAPACITY];
    uint64_t random;
    uint32_t width; /* ids in use */
    int64_t longest;
    int64_t heaviest;
} machine;

static fol_fair_queue *queue_of(machine *m, uint32_t id)
{
    return m->home[id];
}

static fol_fair_state state_of(const machine *m, uint32_t id)
{
    return (fol_fair_state)m->fixture.store.nodes[id].state;
}

/* The one of a queue's that should be picked, delayed or not. */
static uint32_t look_for_pick(machine *m, const fol_fair_queue *queue)
{
    const fol_fair_node *nodes = m->fixture.store.nodes;
    uint32_t best = FOL_FAIR_NONE;
    for (uint32_t id = 0; id < m->width; id++) {
        const bool is_in_tree =
            state_of(m, id) == FOL_FAIR_QUEUED || state_of(m, id) == FOL_FAIR_DELAYED;
        if (is_in_tree && m->home[id] == queue &&
            fol_fair_average_reaches(&queue->average, nodes[id].start) &&
            (best == FOL_FAIR_NONE || fol_fair_tree_is_before(&queue->tree, nodes, id, best))) {
            best = id;
        }
    }
    return best;
}

static void pick(machine *m, fol_fair_queue *queue)
{
    const uint32_t expected = look_for_pick(m, queue);
    const bool is_delayed = expected != FOL_FAIR_NONE && state_of(m, expected) == FOL_FAIR_DELAYED;
    const uint32_t queued = fol_fair_queue_queued(queue);
    const uint32_t id = fol_fair_queue_pick(queue);
    CHECK((id == FOL_FAIR_NONE) == (queued == 0));
    if (expected != FOL_FAIR_NONE && !is_delayed) {
        CHECK_EQ(id, expected);
    }
    if (is_delayed) {
        CHECK_EQ(state_of(m, expected), FOL_FAIR_ASLEEP);
    }
    if (id != FOL_FAIR_NONE && queue->running_count < PROCESSORS) {
        fol_fair_queue_set_running(queue, id);
    }
}

static void run(machine *m, uint32_t id)
{
    fol_fair_queue *queue = queue_of(m, id);
    const int64_t most = queue->config.quantum > 0 ? queue->config.quantum : m->longest;
    const int64_t until = fol_fair_queue_until_preempt(queue, id);
    CHECK(until >= 1);
    const bool keeps_to_it = draw_below(&m->random, 2) == 0 && until <= most;
    const int64_t ran = keeps_to_it ? until : (int64_t)(draw(&m->random) % (uint64_t)(most + 1));
    const int status = fol_fair_queue_account(queue, id, ran);
    CHECK(status == 0 || status == -EOVERFLOW);
    const uint32_t next = fol_fair_queue_should_preempt(queue, id);
    CHECK(next == FOL_FAIR_NONE || (next != id && state_of(m, next) == FOL_FAIR_QUEUED));
    if (next != FOL_FAIR_NONE || draw_below(&m->random, 4) == 0) {
        fol_fair_queue_put_back(queue, id);
    }
}

static void disturb(machine *m, uint32_t id)
{
    fol_fair_queue *queue = queue_of(m, id);
    const int64_t weight = 1 + (int64_t)(draw(&m->random) % (uint64_t)m->heaviest);
    switch (draw_below(&m->random, 8)) {
    case 0:
        CHECK_EQ(
            fol_fair_queue_set_request(queue, id, 1 + (int64_t)draw_below(&m->random, 1000000)), 0);
        break;
    case 1:
        if (state_of(m, id) != FOL_FAIR_RUNNING) {
            fol_fair_queue *to = queue == &m->other ? &m->fixture.queue : &m->other;
            const int status = fol_fair_queue_migrate(queue, to, id);
            CHECK(status == 0 || status == -EOVERFLOW);
            m->home[id] = status == 0 ? to : queue;
        }
        break;
    case 2:
        fol_fair_queue_leave(queue, id);
        break;
    case 3: {
        const int status = fol_fair_queue_reweight(queue, id, weight);
        CHECK(status == 0 || status == -EOVERFLOW);
        break;
    }
    default:
        if (state_of(m, id) == FOL_FAIR_QUEUED || state_of(m, id) == FOL_FAIR_RUNNING) {
            CHECK_EQ(fol_fair_queue_sleep(queue, id), 0);
        } else {
            const int status = fol_fair_queue_wake(queue, id);
            CHECK(status == 0 || status == -EOVERFLOW);
        }
        break;
    }
}

static void step(machine *m)
{
    const uint32_t id = draw_below(&m->random, m->width);
    if (state_of(m, id) == FOL_FAIR_ABSENT) {
        m->home[id] = draw_below(&m->random, 3) == 0 ? &m->other : &m->fixture.queue;
        const int64_t weight = 1 + (int64_t)(draw(&m->random) % (uint64_t)m->heaviest);
        const int status = fol_fair_queue_join(queue_of(m, id), id, weight, 0);
        CHECK(status == 0 || status == -EOVERFLOW);
    } else if (state_of(m, id) == FOL_FAIR_RUNNING && draw_below(&m->random, 4) != 0) {
        run(m, id);
    } else if (draw_below(&m->random, 3) != 0) {
        pick(m, queue_of(m, id));
    } else {
        disturb(m, id);
    }
}

static void run_machine(uint64_t seed, fol_fair_mode mode, uint32_t steps)
{
    static machine m;
    memset(&m, 0, sizeof(m));
    m.random = seed;
    m.width = 1 + draw_below(&m.random, seed % 4 == 0 ? 4 : FAIR_CAPACITY - 1);
    m.longest = seed % 5 == 0 ? FOL_FAIR_MAX_TIME : 1 + (int64_t)draw_below(&m.random, 10000);
    m.heaviest = seed % 3 == 0 ? FOL_FAIR_MAX_WEIGHT : 1 + (int64_t)draw_below(&m.random, 4000);
    fol_fair_config config = fair_config(1 + draw_below(&m.random, 1000), seed % 2);
    config.mode = mode;
    config.quantum = mode == FOL_FAIR_TEXTBOOK && seed % 2 == 0 ? 10 : 0;
    fair_begin(&m.fixture, config);
    fol_fair_queue_init(&m.other, &config, &m.fixture.store);
    for (uint32_t i = 0; i < steps && check_failures == 0; i++) {
        step(&m);
        FOL_CHECK_INVARIANTS(fol_fair_queue_invariants(&m.fixture.queue));
        FOL_CHECK_INVARIANTS(fol_fair_queue_invariants(&m.other));
    }
    if (check_failures != 0) {
        fprintf(stderr, "seed %" PRIu64 ", mode %d\n", seed, (int)mode);
    }
    fol_fair_queue_invariants(&m.other);
    fair_end(&m.fixture);
}

static uint64_t rounds(void)
{
    return setting("FOLIOT_STRESS", 0) != 0 ? 4000 : 40;
}

static void test_random_steps_keep_the_rules(void)
{
    for (uint64_t seed = 1; seed <= rounds(); seed++) {
        run_machine(seed, FOL_FAIR_LINUX, 20000);
    }
}

static void test_random_steps_keep_the_rules_of_the_textbook(void)
{
    for (uint64_t seed = 1; seed <= rounds(); seed++) {
        run_machine(seed, FOL_FAIR_TEXTBOOK, 20000);
    }
}

int main(void)
{
    RUN(test_random_steps_keep_the_rules);
    RUN(test_random_steps_keep_the_rules_of_the_textbook);
    CHECK_MAIN_END();
}
