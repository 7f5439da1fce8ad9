/* The schedule: which systems exist, what they may touch, in which order; and the plan made of it.
 *
 * A schedule is a mutable description; a plan is an immutable answer. Both know systems, resources
 * and sets by dense ids and names only: components and plain resources are one kind of id here.
 *
 * Definitions, which the plan keeps exactly:
 *
 * - Two systems conflict when they may not run together: one writes a resource that the other
 *   reads or writes; or, for components, some query of one and some query of the other do so and
 *   both can match the same table (nothing one requires is excluded by the other); or one is
 *   exclusive; or the later one must see the commands of the earlier one (below). The interpreter
 *   lock is mutual exclusion without order, and no conflict.
 * - Explicit order: before/after between systems and sets, and everything that follows from it; a
 *   set without systems still passes on the order it stands in. It holds within a phase; across
 *   phases it must agree with the order of the phases.
 * - A recorder is a system that records commands; an observer is a system that has a component
 *   query or is exclusive. The outcome depends on the order of a recorder and an observer and of
 *   two recorders, so such pairs are kept in order too, though they need not exclude each other.
 * - Pairs that conflict or whose order matters, and that no explicit order relates, follow the
 *   order of registration. Where explicit order makes that impossible for all such pairs of a
 *   cycle at once, the cycle is opened at its earliest registered system that no explicit order
 *   holds back.
 * - The order of a phase is the topological order of all this that takes the earliest registered
 *   system first.
 * - Edges of the plan's graph: explicit ones; conflicting pairs in the order above. Transitively
 *   reduced.
 * - Sync points: a recorder's commands must be visible to an observer that comes later in the
 *   order, and to any later system with any access (a query, a resource, exclusive) that explicit
 *   order puts after the recorder. Segments number the stretches between merges: a system's segment
 *   is the least one such that every earlier system it must see the commands of is in an earlier
 *   segment, no predecessor in the graph is in a later one, and for a recorder, no observer or
 *   recorder before it in the order is in a later one (an earlier observer must not see its
 *   commands). The merge after a segment exists only when a recorder is in it. What is recorded in
 *   a phase's last segment is merged at the phase's end.
 * - Stages: greedy colouring in order. A system's stage is the least one that is after the stages
 *   of its predecessors and not before the first stage of its segment; a segment's first stage is
 *   after the last stage of the segment before it.
 * - Deliveries: what a system's I/O gives is there before any later stage of the phase begins. In a
 *   segment with a system that does I/O, a recorder's stage is also not before those of the
 *   observers and recorders before it in the order. Then segments are numbered anew by stages: one
 *   ends behind each stage with a system that does I/O, and where one ended before, if a recorder
 *   is in what ends there. So the results of a stage are delivered at a sync point, and what was
 *   recorded until then is merged there too. A phase without such systems is as if nothing of this
 *   stood here.
 *
 * Not thread-safe; a plan may be read from any thread.
 */
#ifndef FOLIOT_SCHEDULE_H
#define FOLIOT_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fol_schedule fol_schedule;
typedef struct fol_plan fol_plan;

#define FOL_SCHEDULE_MAX_SYSTEMS   65536
#define FOL_SCHEDULE_MAX_RESOURCES 16384

typedef struct fol_schedule_limits {
    uint32_t max_systems;   /* <= FOL_SCHEDULE_MAX_SYSTEMS */
    uint32_t max_resources; /* components and resources, <= FOL_SCHEDULE_MAX_RESOURCES */
} fol_schedule_limits;

/* 4,096 systems and 1,024 resources. */
extern const fol_schedule_limits fol_schedule_limits_default;

/* NULL takes the default limits. FOL_E_VALUE for limits beyond the greatest, -ENOMEM. */
int fol_schedule_create(const fol_schedule_limits *limits, fol_schedule **out);
void fol_schedule_destroy(fol_schedule *schedule);
/* "max_systems" or "max_resources" after FOL_E_CAPACITY. */
const char *fol_schedule_full_setting(const fol_schedule *schedule);

/* Ids are dense from 0 in the order of adding; names are copied and need not be unique here. */
int fol_schedule_add_phase(fol_schedule *schedule, const char *name, uint32_t *out);
int fol_schedule_add_resource(fol_schedule *schedule, const char *name, uint32_t *out);
int fol_schedule_add_set(fol_schedule *schedule, const char *name, uint32_t *out);

typedef struct fol_id_list {
    const uint32_t *ids;
    size_t count;
} fol_id_list;

/* What one query touches, all component ids: `required` is what a table must have beside reads and
 * writes, `excluded` what it must not have. */
typedef struct fol_query_access {
    fol_id_list reads;
    fol_id_list writes;
    fol_id_list required;
    fol_id_list excluded;
} fol_query_access;

typedef struct fol_system_spec {
    const char *name;
    uint32_t phase;
    bool is_exclusive;
    bool records_commands;
    bool does_io;           /* a delivery stands behind its stage */
    bool holds_interpreter; /* runs under the interpreter lock */
    const fol_query_access *queries;
    size_t query_count; /* 0: no component query */
    fol_id_list resource_reads;
    fol_id_list resource_writes;
    fol_id_list sets;
} fol_system_spec;

/* FOL_E_PHASE, FOL_E_CAPACITY, -EINVAL for an id that does not exist. The out id is the place of
 * registration. */
int fol_schedule_add_system(fol_schedule *schedule, const fol_system_spec *spec, uint32_t *out);

typedef enum fol_node_kind { FOL_NODE_SYSTEM = 0, FOL_NODE_SET = 1 } fol_node_kind;

typedef struct fol_node_ref {
    fol_node_kind kind;
    uint32_t id;
} fol_node_ref;

/* Everything of `first` runs before everything of `second`. */
int fol_schedule_add_order(fol_schedule *schedule, fol_node_ref first, fol_node_ref second);

/* Why no plan could be made. */
typedef enum fol_plan_error_kind {
    FOL_PLAN_NO_ERROR = 0,
    FOL_PLAN_CYCLE,     /* systems that must each run before the next, back to the first */
    FOL_PLAN_SET_CYCLE, /* sets that do, whoever is in them */
    FOL_PLAN_CROSSING,  /* a system is in two ordered sets, or is ordered against its own set */
    FOL_PLAN_PHASES,    /* an explicit order against the order of the phases */
} fol_plan_error_kind;

typedef struct fol_plan_error {
    fol_plan_error_kind kind;
    char message[1024]; /* one sentence naming everyone; long cycles are cut in the middle */
} fol_plan_error;

/* FOL_E_CYCLE with *error filled (may be NULL), -ENOMEM. The plan keeps nothing of the schedule. */
int fol_plan_create(const fol_schedule *schedule, fol_plan **out, fol_plan_error *error);
void fol_plan_destroy(fol_plan *plan);

uint32_t fol_plan_system_count(const fol_plan *plan);
uint32_t fol_plan_phase_count(const fol_plan *plan);
uint32_t fol_plan_resource_count(const fol_plan *plan);
const char *fol_plan_system_name(const fol_plan *plan, uint32_t system);
const char *fol_plan_phase_name(const fol_plan *plan, uint32_t phase);
const char *fol_plan_resource_name(const fol_plan *plan, uint32_t resource);

/* Per system. */
uint32_t fol_plan_system_phase(const fol_plan *plan, uint32_t system);
uint32_t fol_plan_system_stage(const fol_plan *plan, uint32_t system);
uint32_t fol_plan_system_segment(const fol_plan *plan, uint32_t system);
uint32_t fol_plan_system_place(const fol_plan *plan, uint32_t system); /* in the whole order */
bool fol_plan_system_holds_interpreter(const fol_plan *plan, uint32_t system);
bool fol_plan_system_is_exclusive(const fol_plan *plan, uint32_t system);
bool fol_plan_system_records(const fol_plan *plan, uint32_t system);
bool fol_plan_system_does_io(const fol_plan *plan, uint32_t system);

/* One valid total order: phases in order, systems of a phase in its order. Every phase has a range
 * [first, first + count) of it, empty ones too. */
const uint32_t *fol_plan_order(const fol_plan *plan);
/* The same systems as one worker runs them: each phase segment by segment, inside a segment in
 * order. Places differ from it only where a system that must not wait for a merge was registered
 * behind one that does. */
const uint32_t *fol_plan_running_order(const fol_plan *plan);
void fol_plan_phase_range(const fol_plan *plan, uint32_t phase, uint32_t *first, uint32_t *count);
uint32_t fol_plan_stage_count(const fol_plan *plan, uint32_t phase);
uint32_t fol_plan_segment_count(const fol_plan *plan, uint32_t phase);

typedef enum fol_edge_reason { FOL_EDGE_EXPLICIT = 0, FOL_EDGE_CONFLICT = 1 } fol_edge_reason;

typedef struct fol_edge {
    uint32_t before; /* systems */
    uint32_t after;
    fol_edge_reason reason; /* FOL_EDGE_EXPLICIT when both hold */
} fol_edge;

/* The reduced graph of one phase, sorted by (place of before, place of after). The list is made
 * when first asked for and lives as long as the plan. -ENOMEM. */
int fol_plan_edges(const fol_plan *plan, uint32_t phase, const fol_edge **out, size_t *count);
/* Direct successors in the reduced graph, in order of place; the number of direct predecessors. */
const uint32_t *fol_plan_successors(const fol_plan *plan, uint32_t system, size_t *count);
uint32_t fol_plan_predecessor_count(const fol_plan *plan, uint32_t system);

/* A merge, a delivery of I/O, or both, the merge first. `before` lists the systems of the next
 * segment that must see what `after` recorded; none: the phase's end, or they come later still, or
 * it stands there for I/O alone. */
typedef struct fol_sync_point {
    uint32_t phase;
    uint32_t segment;      /* it stands after this segment */
    const uint32_t *after; /* the recorders of the segment, in order */
    size_t after_count;
    const uint32_t *before; /* in order */
    size_t before_count;
    const uint32_t *delivers; /* the systems whose I/O is finished and delivered here, in order */
    size_t delivers_count;
    bool is_phase_end;
} fol_sync_point;

const fol_sync_point *fol_plan_sync_points(const fol_plan *plan, uint32_t phase, size_t *count);

typedef enum fol_access_mode { FOL_ACCESS_READ = 0, FOL_ACCESS_WRITE = 1 } fol_access_mode;

/* An exclusive system writes the whole world; another system writes it when it writes anything. */
#define FOL_RESOURCE_WORLD UINT32_MAX
/* Commands of the one, which writes, seen by the other, which reads. */
#define FOL_RESOURCE_COMMANDS (UINT32_MAX - 1)

typedef struct fol_conflict {
    uint32_t resource; /* id, or one of the two above */
    fol_access_mode a; /* what system a does to it */
    fol_access_mode b;
} fol_conflict;

/* False for a system and itself. */
bool fol_plan_in_conflict(const fol_plan *plan, uint32_t a, uint32_t b);
/* Up to `room` conflicts in order of id, pseudo-resources last; returns how many there are. Systems
 * of different phases are compared by what they touch, and never by commands. */
size_t fol_plan_conflicts(const fol_plan *plan, uint32_t a, uint32_t b, fol_conflict *out,
                          size_t room);

typedef struct fol_ambiguity {
    uint32_t a; /* runs first */
    uint32_t b;
} fol_ambiguity;

/* Conflicting pairs of one phase that no explicit order relates, directly or by way of other
 * systems, in order of (place of a, place of b). Their number is known; the list, which may be
 * long, is made when first asked for and lives as long as the plan. -ENOMEM. */
size_t fol_plan_ambiguity_count(const fol_plan *plan);
int fol_plan_ambiguities(const fol_plan *plan, const fol_ambiguity **out, size_t *count);

/* Whether explicit order puts a before b, directly or by way of others (phases count). */
bool fol_plan_is_ordered(const fol_plan *plan, uint32_t a, uint32_t b);
/* Whether b can only start when a has ended (a path in the graph, a merge between, or phases). */
bool fol_plan_runs_before(const fol_plan *plan, uint32_t a, uint32_t b);

/* Sentences: why the two may or may not run together, which of them is first and for what reason,
 * naming the resources, who reads and who writes, the filters that keep them apart, the commands
 * and the lock. Like snprintf: writes at most `room` bytes with the zero, returns the length. */
size_t fol_plan_explain(const fol_plan *plan, uint32_t a, uint32_t b, char *out, size_t room);

/* The longest chain through the plan when system i takes costs[i] seconds: graph edges, merges and
 * phases. path gets the systems in order (room for all systems), *path_count how many. -EINVAL for
 * a cost that is negative or not finite, -ENOMEM. */
int fol_plan_critical_path(const fol_plan *plan, const double *costs, double *seconds,
                           uint32_t *path, size_t *path_count);

/* The speed-up over one worker that no number of workers can beat: the sum of the costs divided by
 * the longest chain, or by the sum of those that hold the interpreter lock when that is longer
 * (*lock_bound is true then). 1 when all costs are zero. Errors as above. */
int fol_plan_speedup_bound(const fol_plan *plan, const double *costs, double *bound,
                           bool *lock_bound);

#ifdef __cplusplus
}
#endif

#endif
