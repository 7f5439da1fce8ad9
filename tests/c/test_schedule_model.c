/* Plans of random schedules against an obvious model of the definitions in foliot/schedule.h.
 *
 * The model works on small boolean tables, pair by pair, and knows nothing of bit rows.
 */

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "foliot/schedule.h"
#include "foliot/status.h"

#define MAX_N       90
#define MAX_R       6
#define MAX_SETS    5
#define MAX_PHASES  3
#define MAX_QUERIES 2
#define MAX_ORDERS  60
#define NODES       (MAX_N + 2 * MAX_SETS)

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
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

static void make_random(void)
{
    memset(&M, 0, sizeof(M));
    M.n = 1 + random_below(random_below(4) == 0 ? MAX_N : 14);
    M.r = 1 + random_below(MAX_R);
    M.sets = random_below(MAX_SETS + 1);
    M.phases = 1 + random_below(MAX_PHASES);
    uint32_t density = 1 + random_below(12);
    uint32_t recorders = 2 + random_below(8);
    for (uint32_t i = 0; i < M.n; i++) {
        model_system *s = &M.systems[i];
        s->phase = random_below(M.phases);
        s->exclusive = random_below(25) == 0;
        s->records = random_below(recorders) == 0;
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
    for (uint32_t i = 0; i < wanted; i++) {
        fol_node_ref a = {FOL_NODE_SYSTEM, random_below(M.n)};
        fol_node_ref b = {FOL_NODE_SYSTEM, random_below(M.n)};
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

static uint32_t leaving(fol_node_ref ref)
{
    return ref.kind == FOL_NODE_SYSTEM ? ref.id : M.n + 2 * ref.id + 1;
}

static uint32_t entering(fol_node_ref ref)
{
    return ref.kind == FOL_NODE_SYSTEM ? ref.id : M.n + 2 * ref.id;
}

static void model_reach(void)
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

static bool requires_id(const model_query *q, bool is_plain, uint32_t k)
{
    return !is_plain && (q->mode[k] || q->required[k]);
}

static bool queries_conflict(const model_query *a, bool a_plain, const model_query *b, bool b_plain,
                             uint32_t resource)
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

static bool conflict_on(uint32_t a, uint32_t b, uint32_t resource, int *a_mode, int *b_mode)
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

static bool observes(uint32_t i)
{
    return M.systems[i].query_count > 0 || M.systems[i].exclusive;
}

static bool has_access(uint32_t i)
{
    bool any = observes(i);
    for (uint32_t k = 0; k < M.r; k++) {
        any |= M.systems[i].queries[M.systems[i].query_count].mode[k] != 0;
    }
    return any;
}

static void model_touch(void)
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

static bool same_phase(uint32_t a, uint32_t b)
{
    return M.systems[a].phase == M.systems[b].phase;
}

static bool order_matters(uint32_t a, uint32_t b)
{
    bool x = M.systems[a].records;
    bool y = M.systems[b].records;
    return (x && y) || (x && observes(b)) || (y && observes(a));
}

/* a waits for b. */
static bool waits(uint32_t a, uint32_t b)
{
    if (a == b || !same_phase(a, b)) {
        return false;
    }
    return M.reach[b][a] || (b < a && !M.reach[a][b] && (M.touch[a][b] || order_matters(a, b)));
}

/* When all of the phase that remain wait: the earliest without an explicit predecessor in a source
 * component. */
static uint32_t open_cycle(uint32_t phase, const bool *gone)
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

static void model_order(void)
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

static void model_graph(void)
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

static void model_segments(void)
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

static void model_stages(void)
{
    for (uint32_t phase = 0; phase < M.phases; phase++) {
        uint32_t next_stage = 0;
        for (uint32_t segment = 0; segment < M.n; segment++) {
            uint32_t first_stage = next_stage;
            for (uint32_t p = 0; p < M.n; p++) {
                uint32_t x = M.order[p];
                if (M.systems[x].phase != phase || M.segment[x] != segment) {
                    continue;
                }
                uint32_t stage = first_stage;
                for (uint32_t e = 0; e < M.n; e++) {
                    if (M.graph[e][x] && M.stage[e] + 1 > stage) {
                        stage = M.stage[e] + 1;
                    }
                }
                M.stage[x] = stage;
                next_stage = stage + 1 > next_stage ? stage + 1 : next_stage;
            }
        }
    }
}

/* Ids of a mode or flag, in a random order and sometimes twice. */
static fol_id_list list_ids(const int *flags, int value, uint32_t *ids)
{
    size_t count = 0;
    uint32_t start = random_below(M.r);
    for (uint32_t i = 0; i < M.r; i++) {
        uint32_t k = (start + i) % M.r;
        if (flags[k] == value) {
            ids[count++] = k;
            if (random_below(8) == 0) {
                ids[count++] = k;
            }
        }
    }
    return (fol_id_list){ids, count};
}

static void add_model_system(fol_schedule *schedule, const model_system *s)
{
    uint32_t ids[MAX_QUERIES + 1][4][2 * MAX_R];
    fol_query_access queries[MAX_QUERIES];
    for (uint32_t q = 0; q < s->query_count; q++) {
        queries[q].reads = list_ids(s->queries[q].mode, 1, ids[q][0]);
        queries[q].writes = list_ids(s->queries[q].mode, 2, ids[q][1]);
        queries[q].required = list_ids(s->queries[q].required, 1, ids[q][2]);
        queries[q].excluded = list_ids(s->queries[q].excluded, 1, ids[q][3]);
    }
    uint32_t sets[MAX_SETS];
    size_t set_count = 0;
    for (uint32_t k = M.sets; k-- > 0;) {
        if (s->in_set[k]) {
            sets[set_count++] = k;
        }
    }
    const model_query *plain = &s->queries[s->query_count];
    fol_system_spec spec = {
        .name = "system",
        .phase = s->phase,
        .is_exclusive = s->exclusive,
        .records_commands = s->records,
        .holds_interpreter = s->locks,
        .queries = queries,
        .query_count = s->query_count,
        .resource_reads = list_ids(plain->mode, 1, ids[MAX_QUERIES][0]),
        .resource_writes = list_ids(plain->mode, 2, ids[MAX_QUERIES][1]),
        .sets = {sets, set_count},
    };
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(schedule, &spec, &id), FOL_OK);
}

static fol_schedule *make_schedule(void)
{
    fol_schedule *schedule;
    uint32_t id;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), FOL_OK);
    for (uint32_t i = 0; i < M.phases; i++) {
        CHECK_EQ(fol_schedule_add_phase(schedule, "phase", &id), FOL_OK);
    }
    for (uint32_t i = 0; i < M.r; i++) {
        CHECK_EQ(fol_schedule_add_resource(schedule, "resource", &id), FOL_OK);
    }
    for (uint32_t i = 0; i < M.sets; i++) {
        CHECK_EQ(fol_schedule_add_set(schedule, "set", &id), FOL_OK);
    }
    for (uint32_t i = 0; i < M.n; i++) {
        add_model_system(schedule, &M.systems[i]);
    }
    for (uint32_t i = 0; i < M.orders; i++) {
        CHECK_EQ(fol_schedule_add_order(schedule, M.first[i], M.second[i]), FOL_OK);
    }
    return schedule;
}

static bool model_writes(uint32_t i)
{
    bool any = M.systems[i].exclusive;
    for (uint32_t q = 0; q <= M.systems[i].query_count; q++) {
        for (uint32_t k = 0; k < M.r; k++) {
            any |= M.systems[i].queries[q].mode[k] == 2;
        }
    }
    return any;
}

static void check_conflicts_of(const fol_plan *plan, uint32_t a, uint32_t b)
{
    fol_conflict expected[MAX_R + 2];
    fol_conflict found[MAX_R + 2];
    size_t count = 0;
    int x, y;
    for (uint32_t k = 0; k < M.r && a != b; k++) {
        if (conflict_on(a, b, k, &x, &y)) {
            expected[count++] = (fol_conflict){k, x == 2, y == 2};
        }
    }
    if (M.see[a][b] || M.see[b][a]) {
        expected[count++] = (fol_conflict){FOL_RESOURCE_COMMANDS, M.see[a][b], M.see[b][a]};
    }
    if (a != b && (M.systems[a].exclusive || M.systems[b].exclusive)) {
        expected[count++] = (fol_conflict){FOL_RESOURCE_WORLD, model_writes(a), model_writes(b)};
    }
    if (!CHECK_EQ(fol_plan_conflicts(plan, a, b, found, MAX_R + 2), count)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(found[i].resource, expected[i].resource);
        CHECK_EQ(found[i].a, expected[i].a);
        CHECK_EQ(found[i].b, expected[i].b);
    }
    CHECK_EQ(fol_plan_conflicts(plan, a, b, found, 0), count);
}

static void check_pairs(const fol_plan *plan)
{
    for (uint32_t a = 0; a < M.n; a++) {
        for (uint32_t b = 0; b < M.n; b++) {
            bool same = same_phase(a, b);
            bool earlier = M.systems[a].phase < M.systems[b].phase;
            CHECK_EQ(fol_plan_in_conflict(plan, a, b), same ? M.conflict[a][b] : M.touch[a][b]);
            CHECK_EQ(fol_plan_is_ordered(plan, a, b), same ? M.reach[a][b] : earlier);
            CHECK_EQ(fol_plan_runs_before(plan, a, b),
                     same ? M.path[a][b] || M.segment[a] < M.segment[b] : earlier);
            check_conflicts_of(plan, a, b);
        }
    }
}

static void check_ambiguities(const fol_plan *plan)
{
    const fol_ambiguity *list;
    size_t count;
    size_t next = 0;
    CHECK_EQ(fol_plan_ambiguities(plan, &list, &count), FOL_OK);
    CHECK_EQ(fol_plan_ambiguity_count(plan), count);
    for (uint32_t p = 0; p < M.n; p++) {
        for (uint32_t q = p + 1; q < M.n; q++) {
            uint32_t a = M.order[p];
            uint32_t b = M.order[q];
            if (same_phase(a, b) && M.conflict[a][b] && !M.reach[a][b]) {
                CHECK(next < count && list[next].a == a && list[next].b == b);
                next++;
            }
        }
    }
    CHECK_EQ(next, count);
}

static void check_edges(const fol_plan *plan, uint32_t phase)
{
    const fol_edge *edges;
    size_t count;
    size_t next = 0;
    CHECK_EQ(fol_plan_edges(plan, phase, &edges, &count), FOL_OK);
    for (uint32_t p = 0; p < M.n; p++) {
        uint32_t a = M.order[p];
        if (M.systems[a].phase != phase) {
            continue;
        }
        size_t successor_count;
        size_t successor = 0;
        uint32_t predecessors = 0;
        const uint32_t *successors = fol_plan_successors(plan, a, &successor_count);
        for (uint32_t q = 0; q < M.n; q++) {
            uint32_t b = M.order[q];
            predecessors += M.edge[b][a];
            if (M.edge[a][b]) {
                CHECK(next < count && edges[next].before == a && edges[next].after == b);
                CHECK(next < count && (edges[next].reason == FOL_EDGE_EXPLICIT) == M.reach[a][b]);
                CHECK(successor < successor_count && successors[successor] == b);
                next++;
                successor++;
            }
        }
        CHECK_EQ(successor, successor_count);
        CHECK_EQ(fol_plan_predecessor_count(plan, a), predecessors);
    }
    CHECK_EQ(next, count);
}

static void check_sync_point(const fol_sync_point *point, uint32_t phase, uint32_t segment,
                             uint32_t segments)
{
    size_t after = 0;
    size_t before = 0;
    CHECK_EQ(point->phase, phase);
    CHECK_EQ(point->segment, segment);
    CHECK_EQ(point->is_phase_end, segment + 1 == segments);
    for (uint32_t p = 0; p < M.n; p++) {
        uint32_t x = M.order[p];
        if (M.systems[x].phase != phase) {
            continue;
        }
        if (M.segment[x] == segment && M.systems[x].records) {
            CHECK(after < point->after_count && point->after[after] == x);
            after++;
        }
        bool needs = false;
        for (uint32_t e = 0; e < M.n; e++) {
            needs |= M.see[e][x] && M.segment[e] == segment;
        }
        if (M.segment[x] == segment + 1 && needs) {
            CHECK(before < point->before_count && point->before[before] == x);
            before++;
        }
    }
    CHECK_EQ(point->after_count, after);
    CHECK_EQ(point->before_count, before);
}

static void check_sync_points(const fol_plan *plan, uint32_t phase, uint32_t segments)
{
    size_t count;
    size_t next = 0;
    const fol_sync_point *points = fol_plan_sync_points(plan, phase, &count);
    for (uint32_t segment = 0; segment < segments; segment++) {
        bool has_recorder = false;
        for (uint32_t i = 0; i < M.n; i++) {
            has_recorder |=
                M.systems[i].phase == phase && M.segment[i] == segment && M.systems[i].records;
        }
        CHECK(has_recorder || segment + 1 == segments);
        if (has_recorder && CHECK(next < count)) {
            check_sync_point(&points[next], phase, segment, segments);
            next++;
        }
    }
    CHECK_EQ(next, count);
}

static void check_phases(const fol_plan *plan)
{
    uint32_t place = 0;
    for (uint32_t phase = 0; phase < M.phases; phase++) {
        uint32_t first, count;
        uint32_t members = 0;
        uint32_t stages = 0;
        uint32_t segments = 0;
        for (uint32_t i = 0; i < M.n; i++) {
            if (M.systems[i].phase == phase) {
                members++;
                stages = M.stage[i] + 1 > stages ? M.stage[i] + 1 : stages;
                segments = M.segment[i] + 1 > segments ? M.segment[i] + 1 : segments;
            }
        }
        fol_plan_phase_range(plan, phase, &first, &count);
        CHECK_EQ(first, place);
        CHECK_EQ(count, members);
        CHECK_EQ(fol_plan_stage_count(plan, phase), stages);
        CHECK_EQ(fol_plan_segment_count(plan, phase), segments);
        check_edges(plan, phase);
        check_sync_points(plan, phase, segments);
        place += members;
    }
}

/* The longest chain by simulation: everything starts when all that runs before it has ended. */
static void check_critical_path(const fol_plan *plan)
{
    double costs[MAX_N];
    double ends[MAX_N];
    double longest = 0;
    double seconds;
    double along = 0;
    uint32_t path[MAX_N];
    size_t count;
    for (uint32_t i = 0; i < M.n; i++) {
        costs[i] = random_below(16);
    }
    for (uint32_t k = 0; k < M.n; k++) {
        for (uint32_t p = 0; p < M.n; p++) {
            uint32_t x = M.order[p];
            double start = 0;
            for (uint32_t e = 0; k > 0 && e < M.n; e++) {
                bool before = fol_plan_runs_before(plan, e, x);
                start = before && ends[e] > start ? ends[e] : start;
            }
            ends[x] = start + costs[x];
            longest = ends[x] > longest ? ends[x] : longest;
        }
    }
    CHECK_EQ(fol_plan_critical_path(plan, costs, &seconds, path, &count), FOL_OK);
    CHECK(seconds == longest);
    for (size_t i = 0; i < count; i++) {
        along += costs[path[i]];
        CHECK(i == 0 || fol_plan_runs_before(plan, path[i - 1], path[i]));
    }
    CHECK(along == longest);
}

static void check_explanations(const fol_plan *plan)
{
    for (int i = 0; i < 20; i++) {
        char text[2000];
        char shorter[40];
        uint32_t a = random_below(M.n);
        uint32_t b = random_below(M.n);
        size_t length = fol_plan_explain(plan, a, b, text, sizeof(text));
        CHECK_EQ(strlen(text), length);
        CHECK_EQ(fol_plan_explain(plan, a, b, shorter, sizeof(shorter)), length);
        CHECK(strncmp(text, shorter, sizeof(shorter) - 1) == 0);
        CHECK_EQ(fol_plan_explain(plan, a, b, NULL, 0), length);
        if (a != b) {
            bool apart = fol_plan_runs_before(plan, a, b) || fol_plan_runs_before(plan, b, a);
            if (!CHECK((strstr(text, "may not run together") != NULL) == apart)) {
                fprintf(stderr, "%s\n", text);
            }
        }
    }
}

static void check_seed(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    make_random();
    model_reach();
    fol_schedule *schedule = make_schedule();
    fol_plan *plan = NULL;
    fol_plan_error error;
    int status = fol_plan_create(schedule, &plan, &error);
    if (M.bad) {
        CHECK_EQ(status, FOL_E_CYCLE);
        CHECK(error.kind != FOL_PLAN_NO_ERROR);
    } else if (CHECK_EQ(status, FOL_OK)) {
        CHECK_EQ(error.kind, FOL_PLAN_NO_ERROR);
        model_touch();
        model_order();
        model_graph();
        model_segments();
        model_stages();
        for (uint32_t i = 0; i < M.n; i++) {
            CHECK_EQ(fol_plan_order(plan)[i], M.order[i]);
            CHECK_EQ(fol_plan_system_place(plan, i), M.place[i]);
            CHECK_EQ(fol_plan_system_segment(plan, i), M.segment[i]);
            CHECK_EQ(fol_plan_system_stage(plan, i), M.stage[i]);
        }
        check_pairs(plan);
        check_ambiguities(plan);
        check_phases(plan);
        check_critical_path(plan);
        check_explanations(plan);
    }
    fol_plan_destroy(plan);
    fol_schedule_destroy(schedule);
}

static uint64_t first_seed = 1;
static uint64_t seed_count = 400;

static void test_random_schedules_have_the_plan_of_the_model(void)
{
    uint64_t planned = 0;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        check_seed(seed);
        planned += !M.bad;
        if (check_failures > 0) {
            fprintf(stderr, "seed %" PRIu64 ": %u systems, %u orders\n", seed, M.n, M.orders);
            return;
        }
    }
    CHECK(planned * 4 > seed_count);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 0);
        seed_count = strtoull(argv[2], NULL, 0);
    }
    RUN(test_random_schedules_have_the_plan_of_the_model);
    CHECK_MAIN_END();
}
