/* What records name, which objects they hold, and what becomes of them when they are done. */

#include "world/commands.h"

/* Whether the record's payload is an array of fol_recorded_value. */
static bool has_values(const fol_record *record)
{
    return record->kind >= FOL_RECORD_SPAWN && record->kind <= FOL_RECORD_INSERT &&
           record->kind != FOL_RECORD_DESPAWN;
}

/* What values take of the arena; as recorded, so of removed components nothing. */
static size_t bytes_of_values(const fol_commands *commands, const fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    size_t bytes = fol_payload_align(record->count * sizeof(*values));
    for (uint32_t i = 0; i < record->count; i++) {
        const fol_component *component = fol_commands_component(commands, values[i].type);
        if (values[i].value == NULL) {
            continue;
        }
        bytes += fol_payload_align(component->value_size);
        if (component->storage == FOL_STORAGE_BYTES) {
            bytes += fol_payload_align(((const fol_bytes *)values[i].value)->size);
        }
    }
    return bytes;
}

fol_need fol_record_need(const fol_commands *commands, const fol_record *record)
{
    fol_need need = {.commands = 1};
    FOL_ASSERT(record->kind != FOL_RECORD_DONE);
    if (has_values(record)) {
        need.bytes = bytes_of_values(commands, record);
        need.spawns = record->kind == FOL_RECORD_SPAWN ? 1 : 0;
    } else if (record->kind == FOL_RECORD_CALL) {
        need.bytes = FOL_CALL_BYTES;
    } else if (record->kind >= FOL_RECORD_SPAWN_MANY) {
        need.bytes = ((const fol_recorded_many *)record->payload)->bytes;
        need.spawns = record->kind == FOL_RECORD_SPAWN_MANY ? record->count : 0;
    }
    return need;
}

static void drop_cell(const fol_component *component, void **cell)
{
    void *object = *cell;
    *cell = NULL;
    if (object != NULL) {
        component->hooks->drop(object);
    }
}

static void drop_objects(const fol_commands *commands, const fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        const fol_component *component = fol_commands_component(commands, values[i].type);
        if (component->storage == FOL_STORAGE_OBJECT && values[i].value != NULL) {
            drop_cell(component, values[i].value);
        }
    }
}

static void release_bytes(const fol_commands *commands, const fol_record *record)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        const fol_component *component = fol_commands_component(commands, values[i].type);
        if (component->storage == FOL_STORAGE_BYTES && values[i].value != NULL) {
            fol_bytes *bytes = values[i].value;
            fol_bytes old = *bytes;
            *bytes = (fol_bytes){NULL, 0};
            if (!fol_commands_holds(commands, old.data)) {
                fol_bytes_release(&old);
            }
        }
    }
}

/* The objects of one bulk of a many-command: how many, and where. */
static size_t objects_of(const fol_recorded_many *many, uint32_t index, void ***out)
{
    const fol_bulk *bulk = &many->bulks[index];
    if (bulk->component->storage != FOL_STORAGE_OBJECT || bulk->sources == NULL ||
        bulk->sources[0].data == NULL) {
        return 0;
    }
    *out = (void **)(uintptr_t)bulk->sources[0].data;
    return bulk->sources[0].stride == 0 ? 1 : many->kept_count;
}

static void drop_objects_of_many(const fol_recorded_many *many)
{
    for (uint32_t b = 0; many->bulks != NULL && b < many->component_count; b++) {
        void **objects;
        size_t count = objects_of(many, b, &objects);
        for (size_t i = 0; i < count; i++) {
            drop_cell(many->bulks[b].component, &objects[i]);
        }
    }
}

void fol_record_finish(fol_commands *commands, fol_record *record)
{
    fol_record done = *record;
    FOL_ASSERT(done.kind != FOL_RECORD_DONE);
    FOL_ASSERT(fol_commands_waiting(commands) != 0);
    if (done.is_owned && has_values(&done)) {
        release_bytes(commands, &done);
        drop_objects(commands, &done);
    } else if (done.is_owned && done.kind != FOL_RECORD_CALL) {
        drop_objects_of_many(done.payload);
    }
    record->kind = FOL_RECORD_DONE;
    fol_commands_set_waiting(commands, fol_commands_waiting(commands) - 1);
    if (done.kind == FOL_RECORD_CALL) {
        const fol_recorded_call *call = done.payload;
        if (call->drop != NULL) {
            call->drop(call->argument);
        }
    }
    if (done.needs_host) {
        atomic_fetch_sub_explicit(&commands->host_count, 1, memory_order_relaxed);
    }
}

static int visit_values(const fol_commands *commands, const fol_record *record,
                        int (*visit)(void *object, void *argument), void *argument)
{
    const fol_recorded_value *values = record->payload;
    for (uint32_t i = 0; i < record->count; i++) {
        const fol_component *component = fol_commands_component(commands, values[i].type);
        if (component->storage != FOL_STORAGE_OBJECT || values[i].value == NULL) {
            continue;
        }
        void *object = *(void **)values[i].value;
        int result = object == NULL ? 0 : visit(object, argument);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int visit_many(const fol_record *record, int (*visit)(void *object, void *argument),
                      void *argument)
{
    const fol_recorded_many *many = record->payload;
    for (uint32_t b = 0; many->bulks != NULL && b < many->component_count; b++) {
        void **objects;
        size_t count = objects_of(many, b, &objects);
        for (size_t i = 0; i < count; i++) {
            int result = objects[i] == NULL ? 0 : visit(objects[i], argument);
            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

int fol_commands_visit(const fol_commands *commands, int (*visit)(void *object, void *argument),
                       void *argument)
{
    if (atomic_load_explicit(&commands->host_count, memory_order_relaxed) == 0) {
        return 0;
    }
    /* Pairs with the release in fol_commands_publish: records below the count are whole. */
    uint32_t end = atomic_load_explicit(&commands->record_count, memory_order_acquire);
    for (uint32_t i = 0; i < end; i++) {
        const fol_record *record = fol_commands_record(commands, i);
        int result = 0;
        if (!record->needs_host || record->kind == FOL_RECORD_CALL) {
            continue;
        }
        if (has_values(record)) {
            result = visit_values(commands, record, visit, argument);
        } else if (record->kind != FOL_RECORD_DONE) {
            result = visit_many(record, visit, argument);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

void fol_commands_clear_objects(fol_commands *commands)
{
    uint32_t end = fol_commands_records(commands);
    for (uint32_t i = 0; i < end; i++) {
        const fol_record *record = fol_commands_record(commands, i);
        if (!record->needs_host || record->kind == FOL_RECORD_CALL ||
            record->kind == FOL_RECORD_DONE) {
            continue;
        }
        if (has_values(record)) {
            drop_objects(commands, record);
        } else {
            drop_objects_of_many(record->payload);
        }
    }
}
