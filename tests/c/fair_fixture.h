/* A fair queue to test, and the steps that its tests take. */
#ifndef FOL_TESTS_FAIR_FIXTURE_H
#define FOL_TESTS_FAIR_FIXTURE_H

#include <errno.h>

#include "base/assert.h"
#include "check.h"
#include "foliot/status.h"
#include "policy/fair_queue.h"

#define FAIR_CAPACITY 64u
/* Units of v for one unit of time at the normal weight. */
#define NORMAL_UNIT (1 << (FOL_FAIR_SHIFT - 10))

typedef struct fair_fixture {
    fol_fair_store store;
    fol_fair_queue queue;
} fair_fixture;

static inline fol_fair_config fair_config(int64_t slice, int64_t tick)
{
    return (fol_fair_config){.slices = {slice, slice, slice}, .tick = tick};
}

static inline void fair_begin(fair_fixture *f, fol_fair_config config)
{
    CHECK_EQ(fol_fair_store_init(&f->store, FAIR_CAPACITY), 0);
    fol_fair_queue_init(&f->queue, &config, &f->store);
}

static inline void fair_end(fair_fixture *f)
{
    fol_fair_queue_invariants(&f->queue);
    fol_fair_store_deinit(&f->store);
}

/* Normal weight, the normal slice. */
static inline void fair_join(fair_fixture *f, uint32_t id)
{
    CHECK_EQ(fol_fair_queue_join(&f->queue, id, FOL_FAIR_WEIGHT_NORMAL, 0), 0);
}

/* Two queues over one store, which may hand each other what they hold. */
static inline void fair_begin_pair(fair_fixture *f, fol_fair_queue *other, fol_fair_config config)
{
    fair_begin(f, config);
    fol_fair_queue_init(other, &config, &f->store);
}

/* A queue in which so many of normal weight wait: the ids from 0 on. */
static inline void fair_begin_with(fair_fixture *f, fol_fair_config config, uint32_t count)
{
    fair_begin(f, config);
    for (uint32_t id = 0; id < count; id++) {
        fair_join(f, id);
    }
}

/* A queue of two, 0 and 1, with these weights. */
static inline void fair_begin_weighted(fair_fixture *f, fol_fair_config config, int64_t first,
                                       int64_t second)
{
    fair_begin(f, config);
    CHECK_EQ(fol_fair_queue_join(&f->queue, 0, first, 0), 0);
    CHECK_EQ(fol_fair_queue_join(&f->queue, 1, second, 0), 0);
}

static inline void fair_run(fair_fixture *f, uint32_t id, int64_t ran)
{
    CHECK_EQ(fol_fair_queue_account(&f->queue, id, ran), 0);
}

/* Switched in, charged, switched out. */
static inline void fair_turn(fair_fixture *f, uint32_t id, int64_t ran)
{
    fol_fair_queue_set_running(&f->queue, id);
    fair_run(f, id, ran);
    fol_fair_queue_put_back(&f->queue, id);
}

/* In units of time at the normal weight. */
static inline int64_t fair_lag(const fair_fixture *f, uint32_t id)
{
    return fol_fair_queue_lag_units(&f->queue, id) / NORMAL_UNIT;
}

/* From v to the virtual deadline. */
static inline int64_t fair_rest(const fair_fixture *f, uint32_t id)
{
    const fol_fair_node *node = &f->store.nodes[id];
    return (int64_t)(node->deadline - node->start) / NORMAL_UNIT;
}

#endif
