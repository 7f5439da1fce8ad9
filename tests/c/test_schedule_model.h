/* An obvious model of the definitions in foliot/schedule.h: small boolean tables, pair by pair, no
 * bit rows. `M` is a random schedule and everything that follows from it.
 */
#ifndef FOL_TESTS_TEST_SCHEDULE_MODEL_H
#define FOL_TESTS_TEST_SCHEDULE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "foliot/schedule.h"

#define MAX_N       90
#define MAX_R       6
#define MAX_SETS    5
#define MAX_PHASES  3
#define MAX_QUERIES 2
#define MAX_ORDERS  60
#define NODES       (MAX_N + 2 * MAX_SETS)

static uint64_t random_state;

static inline uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 11) % bound);
}

typedef struct model_query {
    int mode[MAX_R]; /* 0 untouched, 1 read, 2 written */
    int required[MAX_R];
    int excluded[MAX_R];
} model_query;

typedef struct model_system {
    uint32_t phase;
    bool exclusive;
    bool records;
    bool does_io;
    bool locks;
    uint32_t query_count;
    model_query queries[MAX_QUERIES + 1]; /* the last one: plain resources */
    int in_set[MAX_SETS];
} model_system;

typedef struct model {
    uint32_t n, r, sets, phases, orders;
    model_system systems[MAX_N];
    fol_node_ref first[MAX_ORDERS];
    fol_node_ref second[MAX_ORDERS];
    /* what follows */
    bool reach[NODES][NODES];
    bool bad;
    bool conflict[MAX_N][MAX_N]; /* one phase, commands included once the order is known */
    bool touch[MAX_N][MAX_N];
    uint32_t order[MAX_N];
    uint32_t place[MAX_N];
    bool graph[MAX_N][MAX_N];
    bool path[MAX_N][MAX_N];
    bool edge[MAX_N][MAX_N];
    bool see[MAX_N][MAX_N];
    uint32_t segment[MAX_N];
    uint32_t stage[MAX_N];
} model;

static model M;

static inline void make_random(void)
{
    memset(&M, 0, sizeof(M));
    M.n = 1 + random_below(random_below(4) == 0 ? MAX_N : 14);
    M.r = 1 + random_below(MAX_R);
    M.sets = random_below(MAX_SETS + 1);
    M.phases = 1 + random_below(MAX_PHASES);
    uint32_t density = 1 + random_below(random_below(3) == 0 ? 60 : 12);
    uint32_t recorders = 2 + random_below(8);
    uint32_t doers = random_below(2) ? 0 : 2 + random_below(12);
    for (uint32_t i = 0; i < M.n; i++) {
        model_system *s = &M.systems[i];
        s->phase = random_below(M.phases);
        s->exclusive = random_below(25) == 0;
        s->records = random_below(recorders) == 0;
        s->does_io = doers != 0 && random_below(doers) == 0;
        s->locks = random_below(2);
        s->query_count = random_below(MAX_QUERIES + 1);
        for (uint32_t q = 0; q <= s->query_count; q++) {
            for (uint32_t k = 0; k < M.r; k++) {
                if (random_below(density + 1) == 0) {
                    s->queries[q].mode[k] = 1 + (int)random_below(2);
                }
                if (q < s->query_count && random_below(6) == 0) {
                    if (random_below(2)) {
                        s->queries[q].required[k] = 1;
                    } else {
                        s->queries[q].excluded[k] = 1;
                    }
                }
            }
        }
        for (uint32_t k = 0; k < M.sets; k++) {
            s->in_set[k] = random_below(5) == 0;
        }
    }
    uint32_t wanted = random_below(2) ? random_below(6) : random_below(MAX_ORDERS);
    wanted = wanted > M.n ? M.n : wanted;
    bool forward = random_below(3) == 0;
    bool narrow = random_below(3) == 0;
    for (uint32_t i = 0; i < wanted; i++) {
        fol_node_ref a = {FOL_NODE_SYSTEM, random_below(M.n)};
        fol_node_ref b = {FOL_NODE_SYSTEM, random_below(M.n)};
        if (narrow) {
            b.id = (a.id + 1 + random_below(5)) % M.n;
        }
        if (M.systems[a.id].phase > M.systems[b.id].phase && random_below(50) != 0) {
            fol_node_ref swapped = a;
            a = b;
            b = swapped;
        }
        if (forward && a.id > b.id && M.systems[a.id].phase == M.systems[b.id].phase) {
            fol_node_ref swapped = a;
            a = b;
            b = swapped;
        }
        if (M.sets > 0 && random_below(5) == 0) {
            a = (fol_node_ref){FOL_NODE_SET, random_below(M.sets)};
        }
        if (M.sets > 0 && random_below(5) == 0) {
            b = (fol_node_ref){FOL_NODE_SET, random_below(M.sets)};
        }
        M.first[M.orders] = a;
        M.second[M.orders] = b;
        M.orders++;
    }
}

static inline uint32_t leaving(fol_node_ref ref)
{
    return ref.kind == FOL_NODE_SYSTEM ? ref.id : M.n + 2 * ref.id + 1;
}

static inline uint32_t entering(fol_node_ref ref)
{
    return ref.kind == FOL_NODE_SYSTEM ? ref.id : M.n + 2 * ref.id;
}

static inline void model_reach(void)
{
    uint32_t nodes = M.n + 2 * M.sets;
    for (uint32_t i = 0; i < M.orders; i++) {
        M.reach[leaving(M.first[i])][entering(M.second[i])] = true;
    }
    for (uint32_t k = 0; k < M.sets; k++) {
        M.reach[M.n + 2 * k][M.n + 2 * k + 1] = true;
        for (uint32_t i = 0; i < M.n; i++) {
            if (M.systems[i].in_set[k]) {
                M.reach[M.n + 2 * k][i] = true;
                M.reach[i][M.n + 2 * k + 1] = true;
            }
        }
    }
    for (uint32_t k = 0; k < nodes; k++) {
        for (uint32_t i = 0; i < nodes; i++) {
            for (uint32_t j = 0; M.reach[i][k] && j < nodes; j++) {
                M.reach[i][j] |= M.reach[k][j];
            }
        }
    }
    for (uint32_t i = 0; i < nodes; i++) {
        M.bad |= M.reach[i][i];
    }
    for (uint32_t i = 0; i < M.n; i++) {
        for (uint32_t j = 0; j < M.n; j++) {
            M.bad |= M.reach[i][j] && M.systems[i].phase > M.systems[j].phase;
        }
    }
}

static inline bool requires_id(const model_query *q, bool is_plain, uint32_t k)
{
    return !is_plain && (q->mode[k] || q->required[k]);
}

static inline bool queries_conflict(const model_query *a, bool a_plain, const model_query *b,
                                    bool b_plain, uint32_t resource)
{
    for (uint32_t k = 0; k < M.r; k++) {
        if ((requires_id(a, a_plain, k) && b->excluded[k]) ||
            (requires_id(b, b_plain, k) && a->excluded[k])) {
            return false;
        }
    }
    return a->mode[resource] && b->mode[resource] &&
           (a->mode[resource] == 2 || b->mode[resource] == 2);
}

static inline bool conflict_on(uint32_t a, uint32_t b, uint32_t resource, int *a_mode, int *b_mode)
{
    const model_system *s = &M.systems[a];
    const model_system *t = &M.systems[b];
    *a_mode = 0;
    *b_mode = 0;
    for (uint32_t i = 0; i <= s->query_count; i++) {
        for (uint32_t j = 0; j <= t->query_count; j++) {
            if (queries_conflict(&s->queries[i], i == s->query_count, &t->queries[j],
                                 j == t->query_count, resource)) {
                int x = s->queries[i].mode[resource];
                int y = t->queries[j].mode[resource];
                *a_mode = x > *a_mode ? x : *a_mode;
                *b_mode = y > *b_mode ? y : *b_mode;
            }
        }
    }
    return *a_mode != 0;
}

static inline bool observes(uint32_t i)
{
    return M.systems[i].query_count > 0 || M.systems[i].exclusive;
}

static inline bool has_access(uint32_t i)
{
    bool any = observes(i);
    for (uint32_t k = 0; k < M.r; k++) {
        any |= M.systems[i].queries[M.systems[i].query_count].mode[k] != 0;
    }
    return any;
}

static inline void model_touch(void)
{
    int x, y;
    for (uint32_t a = 0; a < M.n; a++) {
        for (uint32_t b = 0; b < M.n; b++) {
            bool any = M.systems[a].exclusive || M.systems[b].exclusive;
            for (uint32_t k = 0; k < M.r; k++) {
                any |= conflict_on(a, b, k, &x, &y);
            }
            M.touch[a][b] = a != b && any;
        }
    }
}

static inline bool same_phase(uint32_t a, uint32_t b)
{
    return M.systems[a].phase == M.systems[b].phase;
}

static inline bool order_matters(uint32_t a, uint32_t b)
{
    bool x = M.systems[a].records;
    bool y = M.systems[b].records;
    return (x && y) || (x && observes(b)) || (y && observes(a));
}

/* a waits for b. */
static inline bool waits(uint32_t a, uint32_t b)
{
    if (a == b || !same_phase(a, b)) {
        return false;
    }
    return M.reach[b][a] || (b < a && !M.reach[a][b] && (M.touch[a][b] || order_matters(a, b)));
}

/* When all of the phase that remain wait: the earliest without an explicit predecessor in a source
 * component. */
static inline uint32_t open_cycle(uint32_t phase, const bool *gone)
{
    static bool way[MAX_N][MAX_N]; /* i before j by a path among the remaining */
    memset(way, 0, sizeof(way));
    for (uint32_t i = 0; i < M.n; i++) {
        for (uint32_t j = 0; j < M.n; j++) {
            way[i][j] = !gone[i] && !gone[j] && M.systems[i].phase == phase && waits(j, i);
        }
    }
    for (uint32_t k = 0; k < M.n; k++) {
        for (uint32_t i = 0; i < M.n; i++) {
            for (uint32_t j = 0; way[i][k] && j < M.n; j++) {
                way[i][j] |= way[k][j];
            }
        }
    }
    for (uint32_t i = 0; i < M.n; i++) {
        bool fits = !gone[i] && M.systems[i].phase == phase;
        for (uint32_t j = 0; j < M.n && fits; j++) {
            bool remains = !gone[j] && M.systems[j].phase == phase;
            fits = !(remains && M.reach[j][i]) && !(way[j][i] && !way[i][j]);
        }
        if (fits) {
            return i;
        }
    }
    abort();
}

static inline void model_order(void)
{
    uint32_t count = 0;
    bool gone[MAX_N] = {false};
    for (uint32_t phase = 0; phase < M.phases; phase++) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < M.n; i++) {
            left += M.systems[i].phase == phase;
        }
        for (; left > 0; left--) {
            uint32_t next = MAX_N;
            for (uint32_t i = 0; i < M.n && next == MAX_N; i++) {
                bool ready = !gone[i] && M.systems[i].phase == phase;
                for (uint32_t j = 0; j < M.n && ready; j++) {
                    ready = gone[j] || !waits(i, j);
                }
                next = ready ? i : next;
            }
            next = next == MAX_N ? open_cycle(phase, gone) : next;
            gone[next] = true;
            M.place[next] = count;
            M.order[count++] = next;
        }
    }
}

static inline void model_graph(void)
{
    for (uint32_t a = 0; a < M.n; a++) {
        for (uint32_t b = 0; b < M.n; b++) {
            if (!same_phase(a, b) || a == b) {
                continue;
            }
            M.see[a][b] = M.systems[a].records && M.place[a] < M.place[b] &&
                          (observes(b) || (has_access(b) && M.reach[a][b]));
            bool seen = M.systems[b].records && M.place[b] < M.place[a] &&
                        (observes(a) || (has_access(a) && M.reach[b][a]));
            M.conflict[a][b] = M.touch[a][b] || M.see[a][b] || seen;
            M.graph[a][b] = M.place[a] < M.place[b] && (M.reach[a][b] || M.conflict[a][b]);
            M.path[a][b] = M.graph[a][b];
        }
    }
    for (uint32_t k = 0; k < M.n; k++) {
        for (uint32_t i = 0; i < M.n; i++) {
            for (uint32_t j = 0; M.path[i][k] && j < M.n; j++) {
                M.path[i][j] |= M.path[k][j];
            }
        }
    }
    for (uint32_t i = 0; i < M.n; i++) {
        for (uint32_t j = 0; j < M.n; j++) {
            M.edge[i][j] = M.graph[i][j];
            for (uint32_t k = 0; k < M.n; k++) {
                M.edge[i][j] &= !(M.path[i][k] && M.path[k][j]);
            }
        }
    }
}

static inline void model_segments(void)
{
    for (uint32_t p = 0; p < M.n; p++) {
        uint32_t x = M.order[p];
        uint32_t least = 0;
        for (uint32_t q = 0; q < p; q++) {
            uint32_t e = M.order[q];
            if (!same_phase(e, x)) {
                continue;
            }
            uint32_t wanted = 0;
            if (M.see[e][x]) {
                wanted = M.segment[e] + 1;
            } else if (M.graph[e][x] ||
                       (M.systems[x].records && (observes(e) || M.systems[e].records))) {
                wanted = M.segment[e];
            }
            least = wanted > least ? wanted : least;
        }
        M.segment[x] = least;
    }
}

/* Whether some system of a phase's segment does I/O. */
static inline bool does_io_in(uint32_t phase, uint32_t segment)
{
    bool any = false;
    for (uint32_t i = 0; i < M.n; i++) {
        any |= M.systems[i].phase == phase && M.segment[i] == segment && M.systems[i].does_io;
    }
    return any;
}

static inline void model_stages(void)
{
    for (uint32_t phase = 0; phase < M.phases; phase++) {
        uint32_t next_stage = 0;
        for (uint32_t segment = 0; segment < M.n; segment++) {
            uint32_t first_stage = next_stage;
            bool does_io = does_io_in(phase, segment);
            for (uint32_t p = 0; p < M.n; p++) {
                uint32_t x = M.order[p];
                if (M.systems[x].phase != phase || M.segment[x] != segment) {
                    continue;
                }
                uint32_t stage = first_stage;
                for (uint32_t e = 0; e < M.n; e++) {
                    bool is_kept = does_io && same_phase(e, x) && M.segment[e] == segment &&
                                   M.place[e] < M.place[x] && M.systems[x].records &&
                                   (M.systems[e].records || observes(e));
                    if (M.graph[e][x] && M.stage[e] + 1 > stage) {
                        stage = M.stage[e] + 1;
                    }
                    if (is_kept && M.stage[e] > stage) {
                        stage = M.stage[e];
                    }
                }
                M.stage[x] = stage;
                next_stage = stage + 1 > next_stage ? stage + 1 : next_stage;
            }
        }
    }
}

/* Segments anew: stage by stage, cut behind those with I/O. */
static inline void model_cuts(void)
{
    uint32_t cut[MAX_N] = {0};
    for (uint32_t phase = 0; phase < M.phases; phase++) {
        uint32_t segment = 0;
        bool does_io = false;
        for (uint32_t i = 0; i < M.n; i++) {
            does_io |= M.systems[i].phase == phase && M.systems[i].does_io;
        }
        bool has_recorder = false;
        for (uint32_t stage = 0; stage < M.n; stage++) {
            bool ends = false;
            bool is_last = true;
            uint32_t old = MAX_N;
            for (uint32_t i = 0; i < M.n; i++) {
                if (M.systems[i].phase == phase && M.stage[i] == stage) {
                    cut[i] = does_io ? segment : M.segment[i];
                    ends |= M.systems[i].does_io;
                    has_recorder |= M.systems[i].records;
                    old = M.segment[i];
                }
            }
            for (uint32_t i = 0; i < M.n; i++) {
                is_last &=
                    M.systems[i].phase != phase || M.segment[i] != old || M.stage[i] <= stage;
            }
            if (ends || (is_last && has_recorder)) {
                segment++;
                has_recorder = false;
            }
        }
    }
    memcpy(M.segment, cut, sizeof(cut));
}

#endif
