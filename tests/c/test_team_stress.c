/* Everything at once, from a seed: teams of any size that come and go on one pool, driven by two
 * threads, with jobs that push, keep, inject, fork, loop and wait, a source, polls and a trace. */

#include "base/rng.h"
#include "exec/parallel.h"
#include "team_support.h"

#define DRIVERS 2
#define TEAMS   12
#define WAVES   4

typedef struct scene {
    crowd crowd;
    fol_rng rng; /* the driver's */
    uint64_t seed;
    fol_latch latch;
    atomic_uint ran;
    atomic_uint rows;
    uint32_t expected;
    uint32_t expected_rows;
    FOL_ATOMIC(fol_job *) lane;
    atomic_bool is_ready;
} scene;

typedef enum deed { NOTHING, PUSH, PUSH_MANY, KEEP, INJECT, FORK, LOOP, WAIT, LANE, DEEDS } deed;

/* A node of a tree whose shape and deeds follow from its number. */
typedef struct node {
    fol_job job;
    scene *scene;
    uint64_t number;
    uint32_t depth;
    fol_latch *latch; /* of a node that somebody waits for */
    struct node *children;
} node;

#define CHILDREN 3u

static deed deed_of(const node *n)
{
    fol_rng rng;
    fol_rng_init(&rng, n->scene->seed ^ (n->number * 7919));
    return n->depth == 0 ? NOTHING : (deed)fol_rng_below(&rng, DEEDS);
}

static bool has_children(deed d)
{
    return d == PUSH || d == PUSH_MANY || d == KEEP || d == INJECT || d == WAIT;
}

static void run_node(fol_job *job, fol_worker *worker);

static int loop_body(fol_parallel *self, size_t first, size_t end, void *argument)
{
    scene *s = argument;
    (void)self;
    atomic_fetch_add(&s->rows, (unsigned)(end - first));
    return 0;
}

static void branch_body(fol_parallel *self, void *argument)
{
    fol_parallel_on_team.for_range(self, 20, 1, loop_body, argument);
}

static void fork_and_loop(scene *s, fol_worker *worker)
{
    fol_branch branches[3];
    fol_parallel *self = fol_worker_parallel(worker);
    for (uint32_t i = 0; i < 3; i++) {
        fol_parallel_on_team.fork(self, &branches[i], branch_body, s);
    }
    for (uint32_t i = 3; i-- > 0;) {
        fol_parallel_on_team.join(self, &branches[i]);
    }
}

static void push_children(node *n, fol_worker *worker, deed d)
{
    fol_job *many[CHILDREN];
    for (uint32_t i = 0; i < CHILDREN; i++) {
        fol_job *child = &n->children[i].job;
        many[i] = child;
        if (d == INJECT) {
            if (!fol_team_inject(n->scene->crowd.team, child)) {
                CHECK_EQ(fol_worker_push(worker, child), 0);
            }
        } else if (d == KEEP) {
            fol_worker_keep(worker, child);
        } else if (d == PUSH) {
            CHECK_EQ(fol_worker_push(worker, child), 0);
        }
    }
    if (d == PUSH_MANY) {
        CHECK_EQ(fol_worker_push_many(worker, many, CHILDREN), 0);
    }
}

static void wait_for_children(node *n, fol_worker *worker)
{
    fol_latch latch;
    fol_latch_init(&latch, CHILDREN);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        n->children[i].latch = &latch;
        CHECK_EQ(fol_worker_push(worker, &n->children[i].job), 0);
    }
    fol_worker_wait(worker, &latch);
}

/* A job of the lane, which only counts. */
static void run_lane(fol_job *job, fol_worker *worker)
{
    node *n = (node *)job;
    (void)worker;
    atomic_fetch_add(&n->scene->ran, 1);
    fol_latch_count_down(&n->scene->latch, n->scene->crowd.team, 1);
}

static void feed_lane(node *n, fol_worker *worker)
{
    fol_job *none = NULL;
    n->children[0].job.run = run_lane;
    if (atomic_compare_exchange_strong(&n->scene->lane, &none, &n->children[0].job)) {
        fol_team_notify(n->scene->crowd.team);
    } else {
        run_lane(&n->children[0].job, worker);
    }
}

static void run_node(fol_job *job, fol_worker *worker)
{
    node *n = (node *)job;
    scene *s = n->scene;
    deed d = deed_of(n);
    atomic_fetch_add(&s->ran, 1);
    if (d == FORK) {
        fork_and_loop(s, worker);
    } else if (d == LOOP) {
        fol_parallel_on_team.for_range(fol_worker_parallel(worker), 50, 0, loop_body, s);
    } else if (d == WAIT) {
        wait_for_children(n, worker);
    } else if (d == LANE) {
        feed_lane(n, worker);
    } else {
        push_children(n, worker, d);
    }
    if (n->latch != NULL) {
        fol_latch_count_down(n->latch, s->crowd.team, 1);
    }
    fol_latch_count_down(&s->latch, s->crowd.team, 1);
}

/* Makes the whole tree ahead, breadth first, and counts what it will do. */
static node *make_tree(scene *s, uint32_t roots, uint32_t depth)
{
    uint32_t room = 0;
    for (uint32_t level = 0, width = roots; level <= depth; level++, width *= CHILDREN) {
        room += width;
    }
    node *nodes = calloc(room, sizeof(*nodes));
    uint32_t made = 0;
    for (uint32_t i = 0; i < roots; i++) {
        nodes[made++].depth = depth;
    }
    for (uint32_t i = 0; i < made; i++) {
        node *n = &nodes[i];
        n->job.run = run_node;
        n->scene = s;
        n->number = i;
        deed d = deed_of(n);
        n->children = &nodes[made];
        uint32_t children = has_children(d) ? CHILDREN : d == LANE;
        for (uint32_t k = 0; k < children; k++) {
            nodes[made++].depth = d == LANE ? 0 : n->depth - 1;
        }
        s->expected_rows += d == FORK ? 60 : d == LOOP ? 50 : 0;
    }
    s->expected = made;
    return nodes;
}

static fol_job *take_lane(void *state, fol_worker *worker)
{
    scene *s = state;
    if (!atomic_load(&s->is_ready) ||
        (fol_worker_place(worker) != 0 && !fol_team_caller_is_busy(s->crowd.team))) {
        return NULL;
    }
    return atomic_exchange(&s->lane, NULL);
}

static bool lane_is_ready(void *state, fol_worker *worker)
{
    scene *s = state;
    return atomic_load(&s->is_ready) && atomic_load(&s->lane) != NULL &&
           (fol_worker_place(worker) == 0 || fol_team_caller_is_busy(s->crowd.team));
}

static void poll_nothing(void *state)
{
    (void)state;
}

static void run_wave(scene *s)
{
    uint32_t roots = 1 + fol_rng_below(&s->rng, 20);
    s->expected_rows = 0;
    s->seed = fol_rng_next(&s->rng);
    atomic_store(&s->ran, 0);
    atomic_store(&s->rows, 0);
    node *nodes = make_tree(s, roots, fol_rng_below(&s->rng, 5));
    fol_latch_init(&s->latch, s->expected);
    fol_worker_set_oldest_first(s->crowd.caller, fol_rng_below(&s->rng, 2) == 0);
    for (uint32_t i = 0; i < roots; i++) {
        CHECK_EQ(fol_worker_push(s->crowd.caller, &nodes[i].job), 0);
    }
    fol_worker_wait(s->crowd.caller, &s->latch);
    CHECK_EQ(atomic_load(&s->ran), s->expected);
    CHECK_EQ(atomic_load(&s->rows), s->expected_rows);
    free(nodes);
}

typedef struct driver {
    fol_pool *pool;
    uint64_t seed;
} driver;

static void *drive(void *argument)
{
    const driver *d = argument;
    fol_rng rng;
    fol_rng_init(&rng, d->seed);
    for (uint32_t team = 0; team < TEAMS; team++) {
        scene s = {.crowd.pool = d->pool, .rng = rng};
        fol_team_config config = {
            .workers = 1 + fol_rng_below(&rng, 8),
            .deque_capacity = 64,
            .injector_capacity = 1 + fol_rng_below(&rng, 16),
            .steal_batch = fol_rng_below(&rng, 10),
            .seed = fol_rng_next(&rng),
            .source = {.state = &s, .take = take_lane, .is_ready = lane_is_ready},
            .poll = fol_rng_below(&rng, 2) == 0 ? poll_nothing : NULL,
            .poll_ns = 100000,
        };
        if (fol_rng_below(&rng, 2) == 0) {
            CHECK_EQ(fol_trace_create(config.workers, 64, &config.trace), 0);
        }
        CHECK_EQ(fol_team_create(d->pool, &config, &s.crowd.team), 0);
        s.crowd.caller = fol_team_worker(s.crowd.team, 0);
        atomic_store(&s.is_ready, true);
        for (uint32_t wave = 0; wave < WAVES; wave++) {
            run_wave(&s);
        }
        fol_team_destroy(s.crowd.team);
        fol_trace_destroy(config.trace);
        rng = s.rng;
    }
    return NULL;
}

static uint64_t first_seed = 1;
static uint64_t seed_count = 25;

static void test_everything_at_once(void)
{
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        fol_pool *pool;
        pthread_t threads[DRIVERS];
        driver drivers[DRIVERS];
        int refused;
        int failures = check_failures;
        CHECK_EQ(fol_pool_create(&pool), 0);
        fol_pool_grow(pool, (uint32_t)(seed % 8), &refused);
        for (uint32_t i = 0; i < DRIVERS; i++) {
            drivers[i] = (driver){pool, seed * 1000 + i};
            CHECK_EQ(pthread_create(&threads[i], NULL, drive, &drivers[i]), 0);
        }
        for (uint32_t i = 0; i < DRIVERS; i++) {
            pthread_join(threads[i], NULL);
        }
        fol_pool_destroy(pool);
        if (check_failures != failures) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
    }
}

/* More seeds: test_team_stress <first seed> <how many>. */
int main(int argc, char **argv)
{
    if (argc > 2) {
        first_seed = strtoull(argv[1], NULL, 10);
        seed_count = strtoull(argv[2], NULL, 10);
    }
    RUN(test_everything_at_once);
    CHECK_MAIN_END();
}
