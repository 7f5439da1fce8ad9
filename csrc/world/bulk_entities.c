/* Many entities at once: spawn, despawn, add, remove.
 *
 * A first pass over the ids checks them and counts the rows that leave each table; then everything
 * is reserved; a second pass moves runs of ids that stand as in their table, column by column. An
 * id that stands twice is found done when its second place comes.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/bulk_detach.h"
#include "world/rows.h"
#include "world/touched.h"

int fol_world_spawn_many(fol_world *world, size_t count, const fol_bulk *bulks, size_t bulk_count,
                         fol_entity *ids_out)
{
    fol_bulk_request request;
    fol_touched touched = {NULL};
    fol_detached detached = {NULL, NULL, NULL};
    fol_table *table;
    int status = fol_bulk_resolve(world, bulks, bulk_count, count, &request);
    if (status < 0 || count == 0) {
        return status;
    }
    status = fol_graph_find(world, &request.set, &table);
    if (status < 0) {
        return status;
    }
    status = fol_world_reserve_entities(world, count);
    if (status < 0) {
        return status;
    }
    fol_touched_add(&touched, table);
    table->incoming = count;
    status = fol_bulk_detach(&touched, NULL, bulks, bulk_count, count, &detached);
    if (status < 0) {
        goto end;
    }
    request.bulks = detached.bulks;
    status = fol_touched_reserve(world, &touched);
    if (status < 0) {
        goto end;
    }
    status = fol_bulk_prepare(&request);
    if (status < 0) {
        goto end;
    }
    fol_entity *ids = &table->entities[table->rows];
    for (size_t i = 0; i < count; i++) {
        ids[i] = fol_slots_take(&world->slots);
    }
    size_t row = fol_rows_append(world, table, ids, count);
    if (ids_out != NULL) {
        memcpy(ids_out, ids, count * sizeof(*ids));
    }
    fol_bulk_write(world, table, row, &request, 0, count);
    fol_bulk_end(&request);

end:
    fol_bulk_forget(&detached);
    fol_touched_clear(&touched);
    return status;
}

static void report_bad(size_t *bad, size_t position)
{
    if (bad != NULL) {
        *bad = position;
    }
}

/* Checks that every id lives and has what `required` names (NULL: nothing), and counts the rows
 * that leave each table. */
static int collect(const fol_world *world, const fol_entity *ids, size_t count,
                   const fol_set *required, fol_touched *touched, size_t *bad)
{
    size_t position = 0;
    while (position < count) {
        const fol_slot *slot = fol_slots_find(&world->slots, ids[position]);
        if (slot == NULL) {
            report_bad(bad, position);
            return FOL_E_STALE;
        }
        fol_table *table = fol_world_table(world, slot);
        if (required != NULL &&
            !fol_bits_contain(table->mask, required->mask, fol_world_mask_words(world))) {
            report_bad(bad, position);
            return FOL_E_MISSING;
        }
        size_t length = fol_bulk_follow(table, slot->row, ids + position, count - position);
        fol_touched_add(touched, table);
        table->leaving += length;
        position += length;
    }
    return 0;
}

/* Finds where the rows of each table go, and reserves room there. */
static int aim(fol_world *world, const fol_set *set, bool is_removed, fol_touched *touched)
{
    size_t words = fol_world_mask_words(world);
    /* Targets are put before the sources, so this walk meets the sources only. */
    for (fol_table *from = touched->first; from != NULL; from = from->next_touched) {
        fol_set wanted;
        fol_set_of_table(&wanted, from, words);
        for (size_t type = fol_bits_next(set->mask, words, 0); type < words * FOL_WORD_BITS;
             type = fol_bits_next(set->mask, words, type + 1)) {
            if (is_removed) {
                fol_set_remove(&wanted, world, (uint32_t)type);
            } else {
                fol_set_add(&wanted, world, (uint32_t)type);
            }
        }
        int status = fol_graph_find(world, &wanted, &from->target);
        if (status < 0) {
            return status;
        }
        if (from->target != from) {
            fol_touched_add(touched, from->target);
            from->target->incoming += from->leaving;
        }
    }
    return fol_touched_reserve(world, touched);
}

/* The table and the run of ids at one position of the second pass; NULL when the id is dead. */
static fol_table *next_run(const fol_world *world, const fol_entity *ids, size_t count,
                           size_t position, size_t *row, size_t *length)
{
    const fol_slot *slot = fol_slots_find(&world->slots, ids[position]);
    if (slot == NULL) {
        *length = 1;
        return NULL;
    }
    fol_table *table = fol_world_table(world, slot);
    *row = slot->row;
    *length = fol_bulk_follow(table, slot->row, ids + position, count - position);
    return table;
}

static size_t move_run(fol_world *world, fol_table *from, size_t row, size_t length, fol_table *to)
{
    return length == 1 ? fol_rows_move_one(world, from, row, to)
                       : fol_rows_move(world, from, row, length, to);
}

int fol_world_despawn_many(fol_world *world, const fol_entity *ids, size_t count, size_t *bad)
{
    fol_touched touched = {NULL};
    fol_detached detached = {NULL, NULL, NULL};
    int status = collect(world, ids, count, NULL, &touched, bad);
    if (status == 0) {
        status = fol_bulk_detach(&touched, ids, NULL, 0, count, &detached);
    }
    fol_touched_clear(&touched);
    if (status < 0) {
        return status;
    }
    ids = detached.ids;
    size_t length;
    for (size_t position = 0; position < count; position += length) {
        size_t row = 0;
        fol_table *table = next_run(world, ids, count, position, &row, &length);
        if (table == NULL) {
            continue;
        }
        fol_rows_remove(world, table, row, length);
        for (size_t i = position; i < position + length; i++) {
            fol_slots_give(&world->slots, ids[i]);
        }
        fol_rows_drop_dead(table, NULL, length);
    }
    fol_bulk_forget(&detached);
    return 0;
}

/* The second pass of adding. */
static void add_runs(fol_world *world, const fol_entity *ids, size_t count,
                     const fol_bulk_request *request)
{
    size_t length;
    for (size_t position = 0; position < count; position += length) {
        size_t row = 0;
        fol_table *table = next_run(world, ids, count, position, &row, &length);
        FOL_ASSERT(table != NULL);
        /* A table without a target was none of the sources, so it has everything already. */
        if (table->target != NULL && table->target != table) {
            fol_table *to = table->target;
            row = move_run(world, table, row, length, to);
            table = to;
        }
        fol_bulk_write(world, table, row, request, position, length);
    }
}

int fol_world_add_many(fol_world *world, const fol_entity *ids, size_t count, const fol_bulk *bulks,
                       size_t bulk_count, size_t *bad)
{
    fol_bulk_request request;
    fol_touched touched = {NULL};
    fol_detached detached = {NULL, NULL, NULL};
    int status = fol_bulk_resolve(world, bulks, bulk_count, count, &request);
    if (status < 0 || count == 0) {
        return status;
    }
    status = collect(world, ids, count, NULL, &touched, bad);
    if (status < 0) {
        goto end;
    }
    status = fol_bulk_detach(&touched, ids, bulks, bulk_count, count, &detached);
    if (status < 0) {
        goto end;
    }
    request.bulks = detached.bulks;
    status = aim(world, &request.set, false, &touched);
    if (status < 0) {
        goto end;
    }
    status = fol_bulk_prepare(&request);
    if (status < 0) {
        goto end;
    }
    add_runs(world, detached.ids, count, &request);
    fol_bulk_end(&request);

end:
    fol_bulk_forget(&detached);
    fol_touched_clear(&touched);
    return status;
}

/* The set of the components; FOL_E_MISSING when the world never met one. */
static int resolve_removed(fol_world *world, fol_component *const *components, size_t count,
                           fol_set *out)
{
    int status = 0;
    fol_set_clear(out, FOL_MASK_WORDS);
    for (size_t i = 0; i < count; i++) {
        if (components[i] == NULL || components[i]->is_resource) {
            return FOL_E_VALUE;
        }
        uint32_t type = fol_world_find_type(world, components[i]);
        if (type == FOL_NO_INDEX) {
            status = FOL_E_MISSING;
        } else if (fol_set_has(out, type)) {
            return FOL_E_VALUE;
        } else {
            fol_set_add(out, world, type);
        }
    }
    return status;
}

/* The second pass of removing. */
static void remove_runs(fol_world *world, const fol_entity *ids, size_t count)
{
    size_t length;
    for (size_t position = 0; position < count; position += length) {
        size_t row = 0;
        fol_table *from = next_run(world, ids, count, position, &row, &length);
        FOL_ASSERT(from != NULL);
        /* A table without a target was none of the sources: the id stood before. */
        if (from->target != NULL) {
            fol_table *to = from->target;
            (void)move_run(world, from, row, length, to);
            fol_rows_drop_dead(from, to, length);
        }
    }
}

int fol_world_remove_many(fol_world *world, const fol_entity *ids, size_t count,
                          fol_component *const *components, size_t component_count, size_t *bad)
{
    fol_set set;
    fol_touched touched = {NULL};
    fol_detached detached = {NULL, NULL, NULL};
    int unknown = resolve_removed(world, components, component_count, &set);
    if (unknown == FOL_E_VALUE || count == 0) {
        return unknown == FOL_E_VALUE ? unknown : 0;
    }
    int status = collect(world, ids, count, unknown == 0 ? &set : NULL, &touched, bad);
    if (status == 0 && unknown < 0) {
        report_bad(bad, 0);
        status = unknown;
    }
    if (status < 0 || component_count == 0) {
        goto end;
    }
    status = fol_bulk_detach(&touched, ids, NULL, 0, count, &detached);
    if (status < 0) {
        goto end;
    }
    status = aim(world, &set, true, &touched);
    if (status < 0) {
        goto end;
    }
    remove_runs(world, detached.ids, count);

end:
    fol_bulk_forget(&detached);
    fol_touched_clear(&touched);
    return status;
}
