/* The way of a merge: collect, order, and go through groups and boundaries; see merge.h. */

#include "world/merge.h"

#include <errno.h>

#include "base/memory.h"

#define MIN_STRETCHES 64u
#define MIN_ITEMS     256u

static fol_merge *merge_of(fol_world *world)
{
    if (world->merge == NULL) {
        world->merge = fol_alloc_zeroed(1, sizeof(*world->merge));
    }
    return world->merge;
}

void fol_merge_destroy(fol_merge *merge)
{
    if (merge != NULL) {
        fol_free(merge->stretches);
        fol_free(merge->spare);
        fol_free(merge->items);
        fol_free(merge->entries);
        fol_free(merge->masks);
        fol_unreserve(merge->kept, merge->kept_size);
        fol_free(merge);
    }
}

/* A list and its twin differ in length only when memory runs out between the two. */
static int grow_stretches(fol_merge *merge, uint32_t count)
{
    uint32_t wanted = count < MIN_STRETCHES ? MIN_STRETCHES : count;
    if (count <= merge->stretch_capacity) {
        return 0;
    }
    fol_merge_stretch *grown = fol_realloc_array(merge->stretches, wanted, sizeof(*grown));
    merge->stretches = grown == NULL ? merge->stretches : grown;
    fol_merge_stretch *spare =
        grown == NULL ? NULL : fol_realloc_array(merge->spare, wanted, sizeof(*spare));
    if (spare == NULL) {
        return -ENOMEM;
    }
    merge->spare = spare;
    merge->stretch_capacity = wanted;
    return 0;
}

static int grow_items(fol_merge *merge, uint32_t count)
{
    uint32_t wanted = count < MIN_ITEMS ? MIN_ITEMS : count;
    if (count <= merge->item_capacity) {
        return 0;
    }
    fol_merge_item *items = fol_realloc_array(merge->items, wanted, sizeof(*items));
    merge->items = items == NULL ? merge->items : items;
    fol_merge_entry *entries =
        items == NULL ? NULL
                      : fol_realloc_array(merge->entries, 2 * (size_t)wanted, sizeof(*entries));
    if (entries == NULL) {
        return -ENOMEM;
    }
    merge->entries = entries;
    merge->item_capacity = wanted;
    return 0;
}

/* Gives one component that a command names its number of the world. */
static int register_component(fol_world *world, fol_commands *commands, uint32_t number)
{
    if (commands->world_types[number] != FOL_NO_INDEX) {
        return 0;
    }
    int status = fol_world_register(world, fol_commands_component(commands, number),
                                    &commands->world_types[number]);
    world->merge->has_unknown = world->merge->has_unknown || status < 0;
    return status == FOL_E_CAPACITY ? 0 : status;
}

static int register_values(fol_world *world, fol_commands *commands, const fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    int status = 0;
    for (uint32_t i = 0; i < record->count && status == 0; i++) {
        status = register_component(world, commands, values[i].type);
    }
    return status;
}

static int register_many(fol_world *world, fol_commands *commands, const fol_record *record)
{
    const fol_recorded_many *many = record->payload;
    int status = 0;
    for (uint32_t i = 0; i < many->component_count && status == 0; i++) {
        const fol_component *component =
            many->bulks != NULL ? many->bulks[i].component : many->components[i];
        uint32_t number = fol_map_find(&commands->type_of, (uintptr_t)component);
        FOL_ASSERT(number < commands->component_count);
        status = register_component(world, commands, number);
    }
    return status;
}

static bool has_strangers(fol_commands *const *buffers, size_t count)
{
    for (size_t b = 0; b < count; b++) {
        for (uint32_t i = 0; i < buffers[b]->component_count; i++) {
            if (buffers[b]->world_types[i] == FOL_NO_INDEX) {
                return true;
            }
        }
    }
    return false;
}

/* The world's numbers of all components that the commands name, in the order of the commands: which
 * of them get the last numbers is not up to who met them first. One that comes when the world has
 * all it may have gets none. */
static int register_components(fol_world *world, fol_commands *const *buffers, size_t count)
{
    const fol_merge *merge = world->merge;
    int status = 0;
    world->merge->has_unknown = false;
    if (FOL_LIKELY(!has_strangers(buffers, count))) {
        return 0;
    }
    for (uint32_t i = 0; i < merge->item_count && status == 0; i++) {
        const fol_record *record = merge->items[i].record;
        fol_commands *commands = fol_merge_commands(merge, &merge->items[i]);
        if (record->kind >= FOL_RECORD_SPAWN_MANY) {
            status = register_many(world, commands, record);
        } else if (record->kind != FOL_RECORD_CALL) {
            status = register_values(world, commands, record);
        }
    }
    return status;
}

/* How many stretches and records there are at most. */
static void count_stretches(fol_commands *const *buffers, size_t count, uint32_t *stretches,
                            uint32_t *items)
{
    *stretches = 0;
    *items = 0;
    for (size_t b = 0; b < count; b++) {
        *stretches += buffers[b]->stretch_count;
        *items += fol_commands_waiting(buffers[b]);
    }
}

static void collect_stretches(fol_merge *merge, fol_commands *const *buffers, size_t count)
{
    merge->stretch_count = 0;
    for (size_t b = 0; b < count; b++) {
        fol_commands *commands = buffers[b];
        for (uint32_t s = 0; s < commands->stretch_count; s++) {
            const fol_stretch *stretch = &commands->stretches[s];
            uint32_t end = fol_stretch_end(commands, s);
            if (end != stretch->first || stretch->lost != 0) {
                merge->stretches[merge->stretch_count++] = (fol_merge_stretch){
                    .commands = commands,
                    .round = stretch->round,
                    .system_order = stretch->system_order,
                    .chunk = stretch->chunk,
                    .first = stretch->first,
                    .end = end,
                    .number = s,
                };
            }
        }
    }
}

/* Whether b comes before a. Equal stamps keep the order of workers, then of recording. */
static bool is_after(const fol_merge_stretch *a, const fol_merge_stretch *b)
{
    if (a->round != b->round) {
        return a->round > b->round;
    }
    if (a->system_order != b->system_order) {
        return a->system_order > b->system_order;
    }
    if (a->chunk != b->chunk) {
        return a->chunk > b->chunk;
    }
    return a->commands->worker > b->commands->worker;
}

/* Merges two sorted halves of `from` into `to`. */
static void merge_halves(const fol_merge_stretch *from, fol_merge_stretch *to, uint32_t begin,
                         uint32_t middle, uint32_t end)
{
    uint32_t left = begin;
    uint32_t right = middle;
    for (uint32_t i = begin; i < end; i++) {
        bool takes_right = left == middle || (right < end && is_after(&from[left], &from[right]));
        to[i] = takes_right ? from[right++] : from[left++];
    }
}

/* Merge sort from the bottom up: stable, without recursion; log2(count) passes. */
static void sort_stretches(fol_merge *merge)
{
    uint32_t count = merge->stretch_count;
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t begin = 0; begin < count; begin += 2 * width) {
            uint64_t middle = begin + width < count ? begin + width : count;
            uint64_t end = begin + 2 * width < count ? begin + 2 * width : count;
            merge_halves(merge->stretches, merge->spare, (uint32_t)begin, (uint32_t)middle,
                         (uint32_t)end);
        }
        fol_merge_stretch *sorted = merge->spare;
        merge->spare = merge->stretches;
        merge->stretches = sorted;
    }
}

static void list_items(fol_merge *merge)
{
    merge->item_count = 0;
    for (uint32_t s = 0; s < merge->stretch_count; s++) {
        const fol_merge_stretch *stretch = &merge->stretches[s];
        fol_record *record = NULL;
        uint32_t page_end = stretch->first;
        for (uint32_t i = stretch->first; i < stretch->end; i++, record++) {
            if (i == page_end) {
                record = fol_commands_records_from(stretch->commands, i, &page_end);
            }
            if (record->kind != FOL_RECORD_DONE) {
                FOL_ASSERT_HOT(merge->item_count < merge->item_capacity);
                merge->items[merge->item_count++] = (fol_merge_item){record, s, FOL_NO_INDEX};
            }
        }
    }
}

static bool is_boundary(const fol_merge_item *item)
{
    return item->record->kind >= FOL_RECORD_CALL;
}

/* Groups and boundaries in turn, until the end or the first that lacks memory. */
static int run_items(fol_world *world, fol_merge_report *report)
{
    fol_merge *merge = world->merge;
    uint32_t begin = 0;
    while (begin < merge->item_count) {
        int status;
        uint32_t end = begin;
        while (end < merge->item_count && !is_boundary(&merge->items[end])) {
            end++;
        }
        if (end != begin) {
            status = fol_merge_plan(world, begin, end);
            if (status == 0) {
                fol_merge_apply(world, begin, end, report);
            }
        } else {
            status = fol_merge_run(world, &merge->items[begin], report);
            end = begin + 1;
        }
        if (status < 0) {
            FOL_ASSERT(status == -ENOMEM);
            return status;
        }
        begin = end;
    }
    return 0;
}

/* Lists for everything that waits, and the order of the stretches. */
static int order_stretches(fol_world *world, fol_commands *const *buffers, size_t count)
{
    uint32_t stretches;
    uint32_t items;
    fol_merge *merge = merge_of(world);
    if (merge == NULL) {
        return -ENOMEM;
    }
    count_stretches(buffers, count, &stretches, &items);
    int status = grow_stretches(merge, stretches);
    if (status == 0) {
        status = grow_items(merge, items);
    }
    if (status < 0) {
        return status;
    }
    collect_stretches(merge, buffers, count);
    sort_stretches(merge);
    merge->refused_stretch = FOL_NO_INDEX;
    return 0;
}

static int merge_all(fol_world *world, fol_commands *const *buffers, size_t count,
                     fol_merge_report *report)
{
    int status = order_stretches(world, buffers, count);
    if (status == 0) {
        fol_merge_limit_runs(world, report);
        list_items(world->merge);
        status = register_components(world, buffers, count);
    }
    return status == 0 ? run_items(world, report) : status;
}

/* Each buffer gets room for what all of them held, so that it does not matter who records it next
 * time. Without memory a buffer grows when it must. */
static void empty_buffers(fol_commands *const *buffers, size_t count)
{
    fol_commands_size all = {0};
    for (size_t b = 0; b < count; b++) {
        fol_commands_size size = fol_commands_measure(buffers[b]);
        all.records += size.records;
        all.bytes += size.bytes;
        all.stretches += size.stretches;
        all.spawns += size.spawns;
    }
    for (size_t b = 0; b < count; b++) {
        fol_commands_reset(buffers[b]);
        (void)fol_commands_grow(buffers[b], &all);
    }
}

static bool has_work(fol_commands *const *buffers, size_t count)
{
    for (size_t b = 0; b < count; b++) {
        if (fol_commands_waiting(buffers[b]) != 0) {
            return true;
        }
    }
    return false;
}

int fol_world_merge(fol_world *world, fol_commands *const *buffers, size_t count,
                    fol_merge_report *report)
{
    fol_merge_report unused = {0};
    if (world->is_merging) {
        return FOL_E_BUSY;
    }
    if (!has_work(buffers, count)) {
        return 0;
    }
    uint64_t moves = world->moves;
    uint64_t bytes_moved = world->bytes_moved;
    report = report == NULL ? &unused : report;
    world->is_merging = true;
    /* In no buffer of the world anything is recorded until the end. */
    for (fol_commands *commands = world->commands; commands != NULL; commands = commands->next) {
        fol_commands_close(commands);
    }
    world->run_parallel = report->run_parallel;
    world->parallel_state = report->parallel_state;
    int status = merge_all(world, buffers, count, report);
    world->run_parallel = NULL;
    world->is_merging = false;
    report->moves += world->moves - moves;
    report->bytes_moved += world->bytes_moved - bytes_moved;
    if (status == 0) {
        empty_buffers(buffers, count);
    } else {
        world->merge_round++;
    }
    for (size_t b = 0; b < count; b++) {
        buffers[b]->round = world->merge_round;
    }
    FOL_CHECK_INVARIANTS(fol_world_invariants(world));
    return status;
}
