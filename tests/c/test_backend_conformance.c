/* Every backend keeps every rule of the interface, on random phases with any number of workers.
 *
 * FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose how many phases to run and where to start.
 */
#include "backend_fixture.h"

#include "backend/placed.h"
#include "foliot/status.h"

#define CASES       60u
#define RUNS        12u
#define STEADY_RUNS 150u

/* Those of one thread first. */
static const char *const names[] = {"blocking", "evented", "threadpool",
                                    "stealing", "uring",   "adaptive"};
#define NAMES      ((uint32_t)(sizeof(names) / sizeof(names[0])))
#define ONE_THREAD 2u

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Makes the next run one on all workers, whatever is worth it. */
static void force_parallel(fol_backend *backend, fol_work *work)
{
    if (backend->workers > 1) {
        fol_placed *placed = work->prepared;
        fol_placement_init(&placed->placement, backend->workers, true, 0.0);
    }
}

/* Runs a phase `runs` times; false at the first fault. */
static bool run_case(phase_case *c, const char *name, uint32_t workers, uint32_t runs,
                     bool is_forced)
{
    fol_backend backend;
    const fol_backend_config config = {
        .name = name, .workers = workers, .seed = c->seed, .calls = case_calls(c)};
    if (!CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK)) {
        return false;
    }
    bool is_good = CHECK_STR(backend.ops->name, name) && CHECK_STR(backend.reason, "");
    c->workers = backend.workers;
    is_good = CHECK_EQ(fol_backend_prepare(&backend, &c->work), FOL_OK) && is_good;
    for (uint32_t run = 0; run < runs && is_good; run++) {
        if (is_forced) {
            force_parallel(&backend, &c->work);
        }
        case_reset(c);
        fol_backend_run(&backend, &c->work);
        is_good = case_check(c, name, run);
    }
    fol_backend_unprepare(&backend, &c->work);
    fol_backend_deinit(&backend);
    return is_good;
}

static void draw_shape(uint64_t *random, case_shape *shape)
{
    static const uint32_t sizes[] = {1, 2, 5, 12, 40, 120, 400};
    static const uint32_t percents[] = {0, 0, 2, 10, 40, 100};
    *shape = (case_shape){.nodes = 1 + draw_below(random, sizes[draw_below(random, 7)]),
                          .segments = 1 + draw_below(random, SEGMENTS_MAX),
                          .edge_percent = percents[draw_below(random, 6)],
                          .lane_percent = percents[draw_below(random, 6)],
                          .cut_percent = percents[draw_below(random, 5)],
                          .work = draw_below(random, 2) * 300};
}

static void test_every_backend_keeps_the_rules_on_random_phases(void)
{
    uint64_t seed = from_environment("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = from_environment("FOLIOT_FUZZ_CASES", CASES);
    for (uint64_t i = seed; i < seed + cases; i++) {
        uint64_t random = i * UINT64_C(0x9e3779b97f4a7c15);
        case_shape shape;
        draw_shape(&random, &shape);
        phase_case *c = case_make(&shape, i);
        if (!CHECK(c != NULL)) {
            return;
        }
        bool is_good = true;
        for (uint32_t b = 0; b < NAMES && is_good; b++) {
            is_good = run_case(c, names[b], 1 + draw_below(&random, 8), RUNS, i % 4 != 0);
        }
        free(c);
        if (!is_good) {
            fprintf(stderr, "FOLIOT_FUZZ_SEED=%" PRIu64 " FOLIOT_FUZZ_CASES=1\n", i);
            return;
        }
    }
}

static void run_steady(const case_shape *shape, uint64_t seed)
{
    phase_case *c = case_make(shape, seed);
    if (!CHECK(c != NULL)) {
        return;
    }
    for (uint32_t b = ONE_THREAD; b < NAMES; b++) {
        for (uint32_t workers = 2; workers <= 8; workers += 3) {
            run_case(c, names[b], workers, STEADY_RUNS, true);
        }
    }
    free(c);
}

static void test_a_lane_beside_native_nodes_is_never_forgotten(void)
{
    run_steady(&(case_shape){.nodes = 24, .segments = 1, .edge_percent = 8, .lane_percent = 40}, 7);
}

static void test_a_node_cut_in_pieces_ends_once_in_every_run(void)
{
    run_steady(&(case_shape){.nodes = 3, .segments = 2, .cut_percent = 100, .work = 50}, 8);
}

static void test_pieces_of_nodes_of_the_lane_go_to_everybody(void)
{
    run_steady(&(case_shape){.nodes = 12, .segments = 1, .lane_percent = 60, .cut_percent = 60}, 9);
}

static void test_a_graph_of_layers_runs_in_order_many_times(void)
{
    run_steady(&(case_shape){.nodes = 60, .segments = 1, .edge_percent = 30}, 10);
}

static void test_a_phase_without_nodes_still_merges(void)
{
    phase_case *c = case_make(&(case_shape){.nodes = 0, .segments = 2}, 11);
    if (!CHECK(c != NULL)) {
        return;
    }
    for (uint32_t b = 0; b < NAMES; b++) {
        run_case(c, names[b], 3, 5, b >= ONE_THREAD);
    }
    free(c);
}

int main(void)
{
    RUN(test_every_backend_keeps_the_rules_on_random_phases);
    RUN(test_a_lane_beside_native_nodes_is_never_forgotten);
    RUN(test_a_node_cut_in_pieces_ends_once_in_every_run);
    RUN(test_pieces_of_nodes_of_the_lane_go_to_everybody);
    RUN(test_a_graph_of_layers_runs_in_order_many_times);
    RUN(test_a_phase_without_nodes_still_merges);
    CHECK_MAIN_END();
}
