/* Loads for the adaptive policy, and what frames of them take in each mode.
 *
 * A load's nodes have so much work, of which several workers take `parallel` when the plan lets
 * them, after a search on the caller for its place whenever the load is another, as placement.h
 * makes one; its I/O takes so long for
 * each operation with the ring and without. Time and work are noisy, each on its own.
 */
#ifndef FOL_TESTS_ADAPTIVE_MODEL_H
#define FOL_TESTS_ADAPTIVE_MODEL_H

#include "check.h"
#include "policy/adaptive.h"

#define MODEL_WINDOW_MAX 256u
#define MODEL_SEARCH     8u /* runs until a phase has found its place */
#define MODEL_OVERHEAD   2500.0

typedef struct load {
    double work;     /* cycles of the nodes */
    double rest;     /* cycles of everything else */
    double plan;     /* parallelism */
    double parallel; /* cycles of the nodes on all workers */
    double operations;
    double pool; /* cycles of one operation */
    double ring;
    double nodes;
    double noise;
} load;

typedef struct model {
    fol_adaptive adaptive;
    fol_adaptive_sample samples[MODEL_WINDOW_MAX];
    uint64_t random;
    const load *placed; /* the load for which the phase has found or looks for its place */
    uint32_t searched;  /* runs in which it looked */
    /* The load for which a phase found its place when the policy knew it as that of this number. */
    const load *kept[FOL_ADAPTIVE_LOADS];
    double time; /* of all frames */
    double chosen[FOL_MODE_COUNT];
} model;

static inline double model_draw(model *m)
{
    m->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = m->random;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

static inline void model_init(model *m, const fol_adaptive_config *config, uint32_t workers,
                              uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    m->random = seed;
    fol_adaptive_init(&m->adaptive, config, workers, MODEL_OVERHEAD, m->samples);
}

static inline bool load_is_parallel(const load *load, uint32_t workers)
{
    return workers > 1 && load->parallel < load->work * 0.95;
}

/* What a frame takes without noise. */
static inline double load_time(const load *load, fol_mode mode, uint32_t workers)
{
    bool is_parallel = mode != FOL_MODE_BLOCKING && load_is_parallel(load, workers);
    double io = load->operations * (mode == FOL_MODE_URING ? load->ring : load->pool);
    return load->rest + io + (is_parallel ? load->parallel : load->work);
}

static inline fol_mode load_best(const load *load, uint32_t workers)
{
    fol_mode best = FOL_MODE_BLOCKING;
    for (uint32_t mode = 1; mode < FOL_MODE_COUNT; mode++) {
        if (load_time(load, mode, workers) < load_time(load, best, workers)) {
            best = (fol_mode)mode;
        }
    }
    return best;
}

static inline double model_noise(model *m, const load *load)
{
    return 1.0 + load->noise * (2.0 * model_draw(m) - 1.0);
}

/* Places found for a load that the policy knows are kept with it, as the backend does. */
static inline void model_place(model *m, const load *load)
{
    bool is_known = m->adaptive.load != &m->adaptive.fresh;
    size_t slot = is_known ? (size_t)(m->adaptive.load - m->adaptive.known) : 0;
    if (m->placed != load) {
        m->placed = load;
        m->searched = 0;
    }
    if (is_known && m->kept[slot] == load) {
        m->searched = MODEL_SEARCH;
    } else if (is_known && m->searched == MODEL_SEARCH) {
        m->kept[slot] = load;
    }
}

/* A frame of the load in a mode. */
static inline fol_adaptive_sample model_sample(model *m, const load *load, fol_mode mode)
{
    fol_adaptive_sample sample = {{0}};
    uint32_t workers = m->adaptive.workers;
    if (mode != FOL_MODE_BLOCKING) {
        model_place(m, load);
    }
    bool has_search = mode != FOL_MODE_BLOCKING && workers > 1 && m->searched < MODEL_SEARCH;
    double time = load_time(load, mode, workers);
    if (has_search && load_is_parallel(load, workers)) {
        time += load->work - load->parallel;
    }
    double io = load->operations * (mode == FOL_MODE_URING ? load->ring : load->pool);
    double noise = model_noise(m, load);
    m->searched += has_search;
    sample.value[FOL_FIGURE_CYCLES] = (uint64_t)(time * noise);
    sample.value[FOL_FIGURE_IO] = (uint64_t)(io * noise);
    sample.value[FOL_FIGURE_BUSY] = (uint64_t)(load->work * model_noise(m, load));
    sample.value[FOL_FIGURE_OPERATIONS] = (uint64_t)load->operations;
    sample.value[FOL_FIGURE_IN_FLIGHT] = (uint64_t)load->operations / 2;
    sample.value[FOL_FIGURE_NODES] = (uint64_t)load->nodes;
    sample.value[FOL_FIGURE_WORK] = (uint64_t)load->work;
    sample.value[FOL_FIGURE_SPAN] = (uint64_t)(load->work / load->plan);
    sample.value[FOL_FIGURE_RUNS] = 1;
    sample.value[FOL_FIGURE_LOOKING_RUNS] = has_search;
    sample.value[FOL_FIGURE_PARALLEL_RUNS] =
        mode != FOL_MODE_BLOCKING && !has_search && load_is_parallel(load, workers);
    sample.value[FOL_FIGURE_STEALS] = sample.value[FOL_FIGURE_PARALLEL_RUNS] * 3;
    sample.value[FOL_FIGURE_STEAL_ATTEMPTS] = sample.value[FOL_FIGURE_PARALLEL_RUNS] * 4;
    return sample;
}

/* One frame; the mode of the next one. */
static inline fol_mode model_step(model *m, const load *load)
{
    fol_adaptive_sample sample = model_sample(m, load, m->adaptive.mode);
    m->time += (double)sample.value[FOL_FIGURE_CYCLES];
    m->chosen[m->adaptive.mode] += 1.0;
    return fol_adaptive_learn(&m->adaptive, &sample);
}

static inline void model_run(model *m, const load *load, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++) {
        model_step(m, load);
    }
}

/* The same in one mode throughout. */
static inline void model_run_fixed(model *m, const load *load, fol_mode mode, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++) {
        m->time += (double)model_sample(m, load, mode).value[FOL_FIGURE_CYCLES];
    }
}

static const load tiny = {.work = 3e3, .rest = 1e3, .plan = 1.5, .parallel = 9e3, .nodes = 4};
static const load heavy = {.work = 4e6, .rest = 1e4, .plan = 1.9, .parallel = 2.2e6, .nodes = 12};
static const load reads = {.work = 6e4,
                           .rest = 1e4,
                           .plan = 1.0,
                           .parallel = 6e4,
                           .operations = 200,
                           .pool = 6e3,
                           .ring = 3e3,
                           .nodes = 3};

#endif
