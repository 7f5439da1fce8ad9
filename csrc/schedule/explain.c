/* Sentences about two systems, for people.
 *
 * First the verdict and its reasons, then who runs first and why, then what becomes of commands.
 */

#include "foliot/schedule.h"

#include "schedule/plan_state.h"
#include "schedule/text.h"
#include "schedule/touch.h"

#define NAMES_SHOWN 8

typedef struct pair {
    const fol_plan *plan;
    uint32_t a;
    uint32_t b;
    const char *a_name;
    const char *b_name;
    fol_text *text;
    bool has_clause; /* a reason of this sentence has been given */
} pair;

/* What a clause is about: kept resources are those it holds for. */
typedef enum sharing {
    SHARED_BOTH_WRITE,
    SHARED_A_WRITES,
    SHARED_B_WRITES,
    SHARED_ONLY_READ,
    SHARED_APART,
} sharing;

typedef struct name_list {
    const char *names[NAMES_SHOWN];
    size_t count;
} name_list;

static void add_to_list(name_list *list, const char *name)
{
    if (list->count < NAMES_SHOWN) {
        list->names[list->count] = name;
    }
    list->count++;
}

static void tell_list(fol_text *text, const name_list *list)
{
    size_t shown = list->count < NAMES_SHOWN ? list->count : NAMES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        bool is_last = i + 1 == list->count;
        fol_text_add(text, "%s%s", i == 0 ? "" : is_last ? " and " : ", ", list->names[i]);
    }
    if (list->count > shown) {
        fol_text_add(text, " and %zu more", list->count - shown);
    }
}

static sharing kind_of(const fol_shared *shared)
{
    if (shared->conflicts) {
        return shared->a_writes && shared->b_writes ? SHARED_BOTH_WRITE
               : shared->a_writes                   ? SHARED_A_WRITES
                                                    : SHARED_B_WRITES;
    }
    return shared->is_kept_apart ? SHARED_APART : SHARED_ONLY_READ;
}

/* The resources of one kind; of those kept apart, the ones kept apart by these two queries. */
static name_list list_shared(const pair *p, sharing kind, const fol_query_record *a_query,
                             const fol_query_record *b_query)
{
    name_list list = {.count = 0};
    fol_shared shared;
    uint32_t from = 0;
    /* Bounded by the number of resources: `from` grows. */
    while (fol_touch_next(&p->plan->catalog, p->a, p->b, from, &shared)) {
        from = shared.resource + 1;
        if (kind_of(&shared) == kind &&
            (kind != SHARED_APART || (shared.a_query == a_query && shared.b_query == b_query))) {
            add_to_list(&list, fol_plan_resource_name(p->plan, shared.resource));
        }
    }
    return list;
}

static void start_clause(pair *p)
{
    fol_text_add(p->text, p->has_clause ? "; " : "");
    p->has_clause = true;
}

static void tell_conflicts_of(pair *p, sharing kind)
{
    name_list list = list_shared(p, kind, NULL, NULL);
    if (list.count == 0) {
        return;
    }
    start_clause(p);
    if (kind == SHARED_BOTH_WRITE) {
        fol_text_add(p->text, "both write ");
        tell_list(p->text, &list);
        return;
    }
    bool a_writes = kind == SHARED_A_WRITES;
    fol_text_add(p->text, "`%s` writes ", a_writes ? p->a_name : p->b_name);
    tell_list(p->text, &list);
    fol_text_add(p->text, ", `%s` reads %s", a_writes ? p->b_name : p->a_name,
                 list.count == 1 ? "it" : "them");
}

static void tell_exclusive(pair *p)
{
    bool a_is = fol_plan_system_is_exclusive(p->plan, p->a);
    bool b_is = fol_plan_system_is_exclusive(p->plan, p->b);
    if (!a_is && !b_is) {
        return;
    }
    start_clause(p);
    if (a_is && b_is) {
        fol_text_add(p->text, "both are exclusive");
    } else {
        fol_text_add(p->text, "`%s` is exclusive", a_is ? p->a_name : p->b_name);
    }
}

/* Which of the two excludes what the other requires. */
static void tell_filter(pair *p, const fol_query_record *a_query, const fol_query_record *b_query)
{
    const fol_catalog *catalog = &p->plan->catalog;
    uint32_t filter = fol_touch_filter(catalog, a_query, b_query);
    bool a_requires = filter != FOL_NONE;
    if (!a_requires) {
        filter = fol_touch_filter(catalog, b_query, a_query);
    }
    FOL_ASSERT(filter != FOL_NONE);
    fol_text_add(p->text, ", but never in the same table: `%s` %s %s, `%s` %s it", p->a_name,
                 a_requires ? "requires" : "excludes", fol_plan_resource_name(p->plan, filter),
                 p->b_name, a_requires ? "excludes" : "requires");
}

static void tell_kept_apart(pair *p)
{
    const fol_catalog *catalog = &p->plan->catalog;
    const fol_system_record *first = fol_catalog_system(catalog, p->a);
    const fol_system_record *second = fol_catalog_system(catalog, p->b);
    for (uint32_t i = 0; i < first->query_count; i++) {
        for (uint32_t k = 0; k < second->query_count; k++) {
            const fol_query_record *a_query = fol_catalog_query(catalog, first, i);
            const fol_query_record *b_query = fol_catalog_query(catalog, second, k);
            name_list list = list_shared(p, SHARED_APART, a_query, b_query);
            if (list.count > 0) {
                start_clause(p);
                fol_text_add(p->text, "both touch ");
                tell_list(p->text, &list);
                tell_filter(p, a_query, b_query);
            }
        }
    }
}

/* Why what they touch is no conflict. */
static void tell_harmony(pair *p)
{
    p->has_clause = false;
    name_list list = list_shared(p, SHARED_ONLY_READ, NULL, NULL);
    if (list.count > 0) {
        start_clause(p);
        fol_text_add(p->text, "both only read ");
        tell_list(p->text, &list);
    }
    tell_kept_apart(p);
    if (!p->has_clause) {
        fol_text_add(p->text, "they touch nothing in common");
    }
    fol_text_add(p->text, ".");
}

/* A system that stands between the two in a matrix of the phase, or FOL_NONE. */
static uint32_t find_between(const fol_plan *plan, const fol_phase_plan *phase,
                             const fol_matrix *matrix, uint32_t first, uint32_t second)
{
    const uint64_t *row = fol_matrix_row(matrix, fol_plan_local_place(plan, first));
    size_t target = fol_plan_local_place(plan, second);
    for (size_t i = fol_bits_next(row, matrix->words, 0); i < target;
         i = fol_bits_next(row, matrix->words, i + 1)) {
        if (fol_matrix_test(matrix, i, target)) {
            return fol_plan_system_at(plan, phase, i);
        }
    }
    return FOL_NONE;
}

static void tell_between(const pair *p, uint32_t between)
{
    if (between != FOL_NONE) {
        fol_text_add(p->text, ", by way of `%s`", fol_plan_system_name(p->plan, between));
    }
}

/* From here on `a` is the one that runs first, or is first in the order. */

static void tell_order(const pair *p, const fol_phase_plan *phase)
{
    if (fol_plan_is_ordered(p->plan, p->a, p->b)) {
        fol_text_add(p->text, " `%s` runs first because it is ordered before `%s`", p->a_name,
                     p->b_name);
        tell_between(p, find_between(p->plan, phase, &phase->explicit, p->a, p->b));
        fol_text_add(p->text, ".");
    } else if (p->a < p->b) {
        fol_text_add(p->text, " `%s` runs first because it was registered first.", p->a_name);
    } else {
        fol_text_add(p->text,
                     " `%s` runs first although `%s` was registered first: the explicit order of"
                     " other systems leaves no way for all to keep the order of registration.",
                     p->a_name, p->b_name);
    }
}

static void tell_conflict(pair *p, const fol_phase_plan *phase)
{
    tell_exclusive(p);
    tell_conflicts_of(p, SHARED_BOTH_WRITE);
    tell_conflicts_of(p, SHARED_A_WRITES);
    tell_conflicts_of(p, SHARED_B_WRITES);
    if (fol_plan_must_see(p->plan, p->a, p->b)) {
        start_clause(p);
        fol_text_add(p->text,
                     "`%s` starts after a merge, because `%s` records commands that it must see",
                     p->b_name, p->a_name);
    }
    FOL_ASSERT(p->has_clause);
    fol_text_add(p->text, ".");
    tell_order(p, phase);
}

/* The segments of the two differ: what stands between them. */
static void tell_cut(const pair *p, const fol_phase_plan *phase)
{
    const uint32_t *segments = p->plan->segments;
    const uint32_t *delivering = NULL;
    bool is_merge = false;
    for (uint32_t i = 0; i < phase->sync_point_count; i++) {
        const fol_sync_point *point = &phase->sync_points[i];
        if (point->segment >= segments[p->a] && point->segment < segments[p->b]) {
            is_merge = is_merge || point->after_count > 0;
            delivering =
                point->delivers_count > 0 && delivering == NULL ? point->delivers : delivering;
        }
    }
    FOL_ASSERT(is_merge || delivering != NULL);
    if (is_merge) {
        fol_text_add(p->text, "a merge stands after `%s` and before `%s`", p->a_name, p->b_name);
    } else {
        fol_text_add(p->text, "the I/O of `%s` is delivered after `%s` and before `%s`",
                     fol_plan_system_name(p->plan, *delivering), p->a_name, p->b_name);
    }
}

/* No conflict, and yet one waits for the other. */
static void tell_waiting(pair *p, const fol_phase_plan *phase)
{
    if (fol_plan_is_ordered(p->plan, p->a, p->b)) {
        fol_text_add(p->text, "`%s` is ordered before `%s`", p->a_name, p->b_name);
        tell_between(p, find_between(p->plan, phase, &phase->explicit, p->a, p->b));
    } else if (p->plan->segments[p->a] < p->plan->segments[p->b]) {
        tell_cut(p, phase);
    } else {
        fol_text_add(p->text, "`%s` waits for `%s`", p->b_name, p->a_name);
        tell_between(p, find_between(p->plan, phase, &phase->paths, p->a, p->b));
    }
    fol_text_add(p->text, ". By what they touch they could: ");
    tell_harmony(p);
}

/* Pairs that may run together, and yet have an order as to commands. */
static void tell_commands(const pair *p)
{
    if (!fol_plan_system_records(p->plan, p->b)) {
        return;
    }
    if (fol_plan_system_records(p->plan, p->a)) {
        fol_text_add(p->text, " The commands of `%s` are applied before those of `%s`.", p->a_name,
                     p->b_name);
    } else if (fol_system_observes(fol_catalog_system(&p->plan->catalog, p->a))) {
        fol_text_add(p->text, " `%s` does not see the commands of `%s`, which are merged later.",
                     p->a_name, p->b_name);
    }
}

static void tell_same_phase(pair *p)
{
    const fol_plan *plan = p->plan;
    const fol_phase_plan *phase = &plan->phases[fol_plan_system_phase(plan, p->a)];
    fol_text_add(p->text, "`%s` and `%s` may ", p->a_name, p->b_name);
    pair ordered = *p;
    /* A merge may stand before a system that is earlier in the order. */
    bool is_swapped =
        fol_plan_runs_before(plan, p->b, p->a) ||
        (plan->places[p->b] < plan->places[p->a] && !fol_plan_runs_before(plan, p->a, p->b));
    if (is_swapped) {
        ordered.a = p->b;
        ordered.b = p->a;
        ordered.a_name = p->b_name;
        ordered.b_name = p->a_name;
    }
    if (fol_plan_in_conflict(plan, p->a, p->b)) {
        fol_text_add(p->text, "not run together: ");
        tell_conflict(&ordered, phase);
        return;
    }
    if (fol_plan_runs_before(plan, ordered.a, ordered.b)) {
        fol_text_add(p->text, "not run together: ");
        tell_waiting(&ordered, phase);
    } else if (fol_plan_system_holds_interpreter(plan, p->a) &&
               fol_plan_system_holds_interpreter(plan, p->b)) {
        fol_text_add(p->text, "run together, but both hold the interpreter lock, so they take"
                              " turns. They do not conflict: ");
        tell_harmony(p);
    } else {
        fol_text_add(p->text, "run together: ");
        tell_harmony(p);
    }
    tell_commands(&ordered);
}

static void tell_phases(const pair *p)
{
    const fol_plan *plan = p->plan;
    uint32_t a_phase = fol_plan_system_phase(plan, p->a);
    uint32_t b_phase = fol_plan_system_phase(plan, p->b);
    bool a_is_first = a_phase < b_phase;
    fol_text_add(p->text, "`%s` and `%s` may not run together: ", p->a_name, p->b_name);
    fol_text_add(p->text, "`%s` runs first, in phase `%s`, which ends before phase `%s` of `%s`.",
                 a_is_first ? p->a_name : p->b_name,
                 fol_plan_phase_name(plan, a_is_first ? a_phase : b_phase),
                 fol_plan_phase_name(plan, a_is_first ? b_phase : a_phase),
                 a_is_first ? p->b_name : p->a_name);
}

size_t fol_plan_explain(const fol_plan *plan, uint32_t a, uint32_t b, char *out, size_t room)
{
    fol_text text;
    fol_text_init(&text, out, room);
    pair p = {
        .plan = plan,
        .a = a,
        .b = b,
        .a_name = fol_plan_system_name(plan, a),
        .b_name = fol_plan_system_name(plan, b),
        .text = &text,
    };
    if (a == b) {
        fol_text_add(&text, "`%s` is one system: it never runs together with itself.", p.a_name);
    } else if (fol_plan_system_phase(plan, a) != fol_plan_system_phase(plan, b)) {
        tell_phases(&p);
    } else {
        tell_same_phase(&p);
    }
    return fol_text_end(&text);
}
