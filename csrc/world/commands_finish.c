/* What becomes of records when they are done, and which objects they hold until then. */

#include "world/commands.h"

/* Whether the record's payload is an array of fol_recorded_value. */
static bool has_values(const fol_record *record)
{
    return record->kind >= FOL_RECORD_SPAWN && record->kind <= FOL_RECORD_INSERT &&
           record->kind != FOL_RECORD_DESPAWN;
}

static void finish_value(const fol_commands *commands, const fol_recorded_value *value)
{
    const fol_component *component = commands->components[value->type];
    if (value->value == NULL || component->storage == FOL_STORAGE_PLAIN) {
        return;
    }
    if (component->storage == FOL_STORAGE_BYTES) {
        fol_bytes *bytes = value->value;
        fol_bytes old = *bytes;
        *bytes = (fol_bytes){NULL, 0};
        if (!fol_commands_holds(commands, old.data)) {
            fol_bytes_release(&old);
        }
        return;
    }
    void **cell = value->value;
    void *object = *cell;
    *cell = NULL;
    if (object != NULL) {
        component->hooks->drop(object);
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

static void finish_many(const fol_recorded_many *many)
{
    for (uint32_t b = 0; many->bulks != NULL && b < many->component_count; b++) {
        void **objects;
        size_t count = objects_of(many, b, &objects);
        for (size_t i = 0; i < count; i++) {
            void *object = objects[i];
            objects[i] = NULL;
            if (object != NULL) {
                many->bulks[b].component->hooks->drop(object);
            }
        }
    }
}

void fol_record_finish(fol_commands *commands, fol_record *record)
{
    fol_record done = *record;
    FOL_ASSERT(done.kind != FOL_RECORD_DONE);
    FOL_ASSERT(commands->waiting != 0);
    if (done.is_owned && has_values(&done)) {
        for (uint32_t i = 0; i < done.count; i++) {
            finish_value(commands, (const fol_recorded_value *)done.payload + i);
        }
    } else if (done.is_owned && done.kind != FOL_RECORD_CALL) {
        finish_many(done.payload);
    }
    record->kind = FOL_RECORD_DONE;
    commands->waiting--;
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
        const fol_component *component = commands->components[values[i].type];
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
        const fol_record *record = &commands->records[i];
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
