/* The boundaries of a merge: custom commands, and commands on many entities.
 *
 * A many-command first drops the entities that are gone, or lack the component, from its own lists,
 * so that what is left can go the bulk way; a command that waits for another merge stays so. One
 * that the world has no table or number for is refused whole.
 */

#include <string.h>

#include "world/merge.h"

/* Keeps element `from` of each source at place `to`. Objects are swapped: the record still owns
 * them all. */
static void keep_element(const fol_recorded_many *many, size_t to, size_t from)
{
    for (uint32_t b = 0; many->bulks != NULL && b < many->component_count; b++) {
        const fol_bulk *bulk = &many->bulks[b];
        for (uint32_t f = 0; bulk->sources != NULL && f < bulk->component->field_count; f++) {
            uint8_t *data = (uint8_t *)(uintptr_t)bulk->sources[f].data;
            size_t size = (size_t)bulk->sources[f].stride;
            if (data == NULL || size == 0) {
                continue;
            }
            if (bulk->component->storage == FOL_STORAGE_OBJECT) {
                void **objects = (void **)(void *)data;
                void *object = objects[to];
                objects[to] = objects[from];
                objects[from] = object;
            } else {
                memcpy(data + to * size, data + from * size, size);
            }
        }
    }
}

static bool has_all(const fol_world *world, fol_entity entity, const fol_set *required)
{
    const fol_slot *slot = fol_slots_find(&world->slots, entity);
    return slot != NULL && fol_bits_contain(fol_world_table(world, slot)->mask, required->mask,
                                            fol_world_mask_words(world));
}

/* Turns provisional ids into real ones and drops what cannot be done; returns how many. */
static uint32_t filter(const fol_world *world, const fol_commands *commands, fol_record *record,
                       const fol_set *required)
{
    const fol_recorded_many *many = record->payload;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < record->count; i++) {
        fol_entity entity = fol_commands_resolve(commands, many->ids[i]);
        if (!has_all(world, entity, required)) {
            continue;
        }
        many->ids[kept] = entity;
        if (kept != i) {
            keep_element(many, kept, i);
        }
        kept++;
    }
    uint32_t dropped = record->count - kept;
    record->count = kept;
    return dropped;
}

static int spawn_many(fol_world *world, const fol_record *record, fol_merge_report *report)
{
    const fol_recorded_many *many = record->payload;
    fol_entity *resolved = fol_ids_find(&world->ids, record->entity);
    int status =
        fol_world_spawn_many(world, record->count, many->bulks, many->component_count, resolved);
    report->applied[FOL_COMMAND_SPAWN] += status == 0 ? record->count : 0;
    return status;
}

static int change_many(fol_world *world, const fol_commands *commands, fol_record *record,
                       fol_merge_report *report)
{
    const fol_recorded_many *many = record->payload;
    fol_set required = {0};
    if (record->kind == FOL_RECORD_REMOVE_MANY) {
        for (uint32_t i = 0; i < many->component_count; i++) {
            uint32_t type = fol_world_find_type(world, many->components[i]);
            /* Nothing has a component that the world does not know. */
            if (type == FOL_NO_INDEX) {
                report->dropped += record->count;
                return 0;
            }
            fol_set_add(&required, world, type);
        }
    }
    report->dropped += filter(world, commands, record, &required);
    FOL_ASSERT(record->count <= many->kept_count);
    if (record->count == 0) {
        return 0;
    }
    uint32_t live = world->slots.live;
    uint64_t moves = world->moves;
    uint64_t applied = record->count;
    fol_command_kind kind = FOL_COMMAND_ADD;
    int status;
    if (record->kind == FOL_RECORD_ADD_MANY) {
        status = fol_world_add_many(world, many->ids, record->count, many->bulks,
                                    many->component_count, NULL);
    } else if (record->kind == FOL_RECORD_REMOVE_MANY) {
        kind = FOL_COMMAND_REMOVE;
        status = fol_world_remove_many(world, many->ids, record->count, many->components,
                                       many->component_count, NULL);
        applied = many->component_count == 0 ? applied : world->moves - moves;
    } else {
        kind = FOL_COMMAND_DESPAWN;
        status = fol_world_despawn_many(world, many->ids, record->count, NULL);
        applied = live - world->slots.live;
    }
    /* An id that stands twice was removed or despawned once. */
    if (status == 0) {
        report->applied[kind] += applied;
        report->dropped += record->count - applied;
    }
    return status;
}

/* A custom command is done when it ran, whatever it returned. */
static void run_call(fol_world *world, const fol_merge_item *item, fol_merge_report *report)
{
    const fol_recorded_call *call = item->record->payload;
    int status = call->fn(world, call->argument);
    report->applied[FOL_COMMAND_CALL]++;
    if (status < 0 && report->on_error != NULL) {
        uint32_t order = world->merge->stretches[item->stretch].system_order;
        report->on_error(report->on_error_argument, order, status);
    }
}

int fol_merge_run(fol_world *world, const fol_merge_item *item, fol_merge_report *report)
{
    fol_commands *commands = fol_merge_commands(world->merge, item);
    fol_record *record = item->record;
    int status = 0;
    if (record->kind == FOL_RECORD_CALL) {
        run_call(world, item, report);
    } else if (record->kind == FOL_RECORD_SPAWN_MANY) {
        status = spawn_many(world, record, report);
    } else {
        status = change_many(world, commands, record, report);
    }
    if (status == FOL_E_CAPACITY) {
        report->dropped += record->count;
        fol_merge_report_refused(world, item, fol_merge_fate_of_full(world), report);
        status = 0;
    }
    if (status == 0) {
        fol_record_finish(commands, record);
    }
    return status;
}
