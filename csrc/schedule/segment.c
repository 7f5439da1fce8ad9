/* Segments in one pass over the order, each system pushing what it knows to those after it.
 *
 * Every segment but the first exists because some system must see what a recorder of the segment
 * before it recorded, or because a stage with I/O ends there; so all segments but the last end in a
 * merge or a delivery.
 *
 * Cuts behind stages keep every order there is. Edges lead to later stages. Who must see commands
 * is in a later segment before the cuts, and has a recorder's segment behind it after them. And a
 * recorder, whose commands a cut merges early, is not in a stage before those of observers and
 * recorders that come before it in the order.
 */

#include "schedule/segment.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"

int fol_stretches_init(fol_stretches *stretches, size_t count)
{
    uint32_t *block = fol_alloc_zeroed(3 * count + 2, sizeof(*block));
    if (block == NULL) {
        return -ENOMEM;
    }
    stretches->needs = block;
    stretches->sorted = block + count;
    stretches->cursors = block + 2 * count;
    return FOL_OK;
}

void fol_stretches_deinit(fol_stretches *stretches)
{
    fol_free(stretches->needs);
}

static void raise_to(uint32_t *value, uint32_t least)
{
    if (*value < least) {
        *value = least;
    }
}

/* Systems without a query that explicit order puts after this recorder need a later segment. */
static void push_need(const fol_phase_plan *phase, const fol_command_rows *rows, size_t recorder,
                      uint32_t segment, uint32_t *needs)
{
    const uint64_t *ordered = fol_matrix_row(&phase->explicit, recorder);
    for (size_t i = recorder / FOL_WORD_BITS; i < rows->words; i++) {
        uint64_t rest = fol_command_rows_seeing(rows, ordered, recorder, i);
        /* At most 64 rounds: each takes one bit. */
        for (rest &= ~rows->observers[i]; rest != 0; rest &= rest - 1) {
            raise_to(&needs[i * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest)], segment + 1);
        }
    }
}

/* Places in the order of (segment, place), by counting. */
static void sort_by_segment(const fol_plan *plan, fol_phase_plan *phase, fol_stretches *stretches)
{
    memset(stretches->cursors, 0, (phase->segment_count + 1) * sizeof(*stretches->cursors));
    for (uint32_t place = 0; place < phase->count; place++) {
        stretches->cursors[plan->segments[fol_plan_system_at(plan, phase, place)] + 1]++;
    }
    for (uint32_t i = 0; i < phase->segment_count; i++) {
        stretches->cursors[i + 1] += stretches->cursors[i];
    }
    for (uint32_t place = 0; place < phase->count; place++) {
        uint32_t segment = plan->segments[fol_plan_system_at(plan, phase, place)];
        stretches->sorted[stretches->cursors[segment]++] = place;
    }
    for (uint32_t i = 0; i < phase->count; i++) {
        plan->running[phase->first + i] = fol_plan_system_at(plan, phase, stretches->sorted[i]);
    }
}

void fol_segments_assign(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                         fol_stretches *stretches)
{
    uint32_t after_recorders = 0; /* the least segment that sees all commands so far */
    uint32_t last_busy = 0;       /* the last segment of an observer or recorder so far */
    uint32_t segment_count = 0;
    for (uint32_t place = 0; place < phase->count; place++) {
        uint32_t system = fol_plan_system_at(plan, phase, place);
        bool is_recorder = fol_bits_test(rows->recorders, place);
        bool is_observer = fol_bits_test(rows->observers, place);
        if (is_observer) {
            raise_to(&stretches->needs[place], after_recorders);
        }
        uint32_t segment = plan->segments[system];
        raise_to(&segment, stretches->needs[place]);
        if (is_recorder) {
            raise_to(&segment, last_busy);
            raise_to(&after_recorders, segment + 1);
            push_need(phase, rows, place, segment, stretches->needs);
        }
        if (is_recorder || is_observer) {
            raise_to(&last_busy, segment);
        }
        plan->segments[system] = segment;
        raise_to(&segment_count, segment + 1);
        const uint32_t *successors = plan->successors + plan->successor_firsts[system];
        for (uint32_t k = 0; k < plan->successor_counts[system]; k++) {
            raise_to(&plan->segments[successors[k]], segment);
        }
    }
    FOL_ASSERT(segment_count <= phase->count);
    phase->segment_count = segment_count;
    sort_by_segment(plan, phase, stretches);
}

/* Appends a system to the list that ends the pool. */
static void append_system(fol_plan *plan, uint32_t system)
{
    FOL_ASSERT(plan->sync_system_count < 3 * (size_t)plan->system_count);
    plan->sync_systems[plan->sync_system_count++] = system;
}

/* The merge after a segment; `bounds` are where it, the next one and the one after start in
 * `sorted`. */
static fol_sync_point make_sync_point(fol_plan *plan, const fol_phase_plan *phase,
                                      const fol_command_rows *rows, const fol_stretches *stretches,
                                      uint32_t segment, const uint32_t bounds[3])
{
    fol_sync_point point = {
        .phase = (uint32_t)(phase - plan->phases),
        .segment = segment,
        .after = plan->sync_systems + plan->sync_system_count,
        .is_phase_end = segment + 1 == phase->segment_count,
    };
    for (uint32_t i = bounds[0]; i < bounds[1]; i++) {
        if (fol_bits_test(rows->recorders, stretches->sorted[i])) {
            append_system(plan, fol_plan_system_at(plan, phase, stretches->sorted[i]));
            point.after_count++;
        }
    }
    point.before = plan->sync_systems + plan->sync_system_count;
    for (uint32_t i = bounds[1]; i < bounds[2]; i++) {
        if (stretches->needs[stretches->sorted[i]] == segment + 1) {
            append_system(plan, fol_plan_system_at(plan, phase, stretches->sorted[i]));
            point.before_count++;
        }
    }
    point.delivers = plan->sync_systems + plan->sync_system_count;
    for (uint32_t i = bounds[0]; rows->has_doers && i < bounds[1]; i++) {
        if (fol_bits_test(rows->doers, stretches->sorted[i])) {
            append_system(plan, fol_plan_system_at(plan, phase, stretches->sorted[i]));
            point.delivers_count++;
        }
    }
    return point;
}

int fol_sync_points_make(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                         fol_stretches *stretches)
{
    phase->sync_points = fol_alloc_array(phase->segment_count, sizeof(*phase->sync_points));
    if (phase->sync_points == NULL) {
        return -ENOMEM;
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < phase->segment_count; i++) {
        /* After sorting, a segment's cursor stands at its end. */
        bool is_last = i + 1 == phase->segment_count;
        uint32_t middle = stretches->cursors[i];
        uint32_t bounds[3] = {first, middle, is_last ? middle : stretches->cursors[i + 1]};
        fol_sync_point point = make_sync_point(plan, phase, rows, stretches, i, bounds);
        FOL_ASSERT(is_last || point.after_count > 0 || point.delivers_count > 0);
        if (point.after_count > 0 || point.delivers_count > 0) {
            phase->sync_points[phase->sync_point_count++] = point;
        }
        first = middle;
    }
    return FOL_OK;
}

/* Whether a system of the segment that begins at `first` of `sorted` does I/O. */
static bool segment_does_io(const fol_plan *plan, const fol_phase_plan *phase,
                            const fol_command_rows *rows, const fol_stretches *stretches,
                            uint32_t first)
{
    uint32_t segment = plan->segments[fol_plan_system_at(plan, phase, stretches->sorted[first])];
    for (uint32_t i = first; rows->has_doers && i < phase->count; i++) {
        uint32_t place = stretches->sorted[i];
        if (plan->segments[fol_plan_system_at(plan, phase, place)] != segment) {
            return false;
        }
        if (fol_bits_test(rows->doers, place)) {
            return true;
        }
    }
    return false;
}

void fol_stages_assign(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                       const fol_stretches *stretches)
{
    uint32_t segment = FOL_NONE;
    uint32_t base = 0;        /* the first stage of the segment */
    uint32_t last_busy = 0;   /* the last stage of an observer or recorder of the segment so far */
    bool will_be_cut = false; /* so commands are merged before its end */
    for (uint32_t i = 0; i < phase->count; i++) {
        uint32_t place = stretches->sorted[i];
        uint32_t system = fol_plan_system_at(plan, phase, place);
        if (plan->segments[system] != segment) {
            segment = plan->segments[system];
            base = phase->stage_count;
            last_busy = base;
            will_be_cut = segment_does_io(plan, phase, rows, stretches, i);
        }
        raise_to(&plan->stages[system], base);
        if (will_be_cut && fol_bits_test(rows->recorders, place)) {
            raise_to(&plan->stages[system], last_busy);
        }
        uint32_t stage = plan->stages[system];
        raise_to(&phase->stage_count, stage + 1);
        if (fol_bits_test(rows->recorders, place) || fol_bits_test(rows->observers, place)) {
            raise_to(&last_busy, stage);
        }
        const uint32_t *successors = plan->successors + plan->successor_firsts[system];
        for (uint32_t k = 0; k < plan->successor_counts[system]; k++) {
            raise_to(&plan->stages[successors[k]], stage + 1);
        }
    }
}

typedef enum stage_mark {
    STAGE_DOES_IO = 1,
    STAGE_RECORDS = 2,
    STAGE_ENDS_SEGMENT = 4,
} stage_mark;

static void mark_stages(const fol_plan *plan, const fol_phase_plan *phase,
                        const fol_command_rows *rows, const fol_stretches *stretches,
                        uint32_t *marks)
{
    uint32_t last = 0; /* stage of the segment so far */
    uint32_t segment = 0;
    memset(marks, 0, phase->stage_count * sizeof(*marks));
    for (uint32_t i = 0; i < phase->count; i++) {
        uint32_t place = stretches->sorted[i];
        uint32_t system = fol_plan_system_at(plan, phase, place);
        if (plan->segments[system] != segment) {
            segment = plan->segments[system];
            marks[last] |= STAGE_ENDS_SEGMENT;
        }
        uint32_t stage = plan->stages[system];
        raise_to(&last, stage);
        marks[stage] |= fol_bits_test(rows->doers, place) ? STAGE_DOES_IO : 0;
        marks[stage] |= fol_bits_test(rows->recorders, place) ? STAGE_RECORDS : 0;
    }
}

/* Turns the marks of each stage into its segment, and returns how many there are. */
static uint32_t number_by_stage(const fol_phase_plan *phase, uint32_t *marks)
{
    uint32_t segment = 0;
    bool has_recorder = false;
    for (uint32_t stage = 0; stage < phase->stage_count; stage++) {
        uint32_t mark = marks[stage];
        has_recorder = has_recorder || (mark & STAGE_RECORDS) != 0;
        marks[stage] = segment;
        bool ends =
            (mark & STAGE_DOES_IO) != 0 || ((mark & STAGE_ENDS_SEGMENT) != 0 && has_recorder);
        if (ends && stage + 1 < phase->stage_count) {
            segment++;
            has_recorder = false;
        }
    }
    return segment + 1;
}

static void count_needs(const fol_plan *plan, const fol_phase_plan *phase,
                        const fol_command_rows *rows, uint32_t *needs)
{
    uint32_t after_recorders = 0;
    memset(needs, 0, phase->count * sizeof(*needs));
    for (uint32_t place = 0; place < phase->count; place++) {
        uint32_t segment = plan->segments[fol_plan_system_at(plan, phase, place)];
        if (fol_bits_test(rows->observers, place)) {
            raise_to(&needs[place], after_recorders);
        }
        FOL_ASSERT(segment >= needs[place]);
        if (fol_bits_test(rows->recorders, place)) {
            raise_to(&after_recorders, segment + 1);
            push_need(phase, rows, place, segment, needs);
        }
    }
}

void fol_segments_cut(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                      fol_stretches *stretches)
{
    if (!rows->has_doers) {
        return;
    }
    FOL_ASSERT(phase->stage_count <= phase->count);
    uint32_t *segments = stretches->cursors; /* by stage; sorting uses the list anew */
    mark_stages(plan, phase, rows, stretches, segments);
    phase->segment_count = number_by_stage(phase, segments);
    for (uint32_t place = 0; place < phase->count; place++) {
        uint32_t system = fol_plan_system_at(plan, phase, place);
        plan->segments[system] = segments[plan->stages[system]];
    }
    count_needs(plan, phase, rows, stretches->needs);
    sort_by_segment(plan, phase, stretches);
}
