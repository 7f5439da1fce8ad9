/* Recording commands on single entities, resources and calls.
 *
 * Each function measures its payload, takes the room, copies, and publishes; what can be refused is
 * refused before anything is retained.
 */

#include <string.h>

#include "world/commands.h"

static size_t align_up(size_t size)
{
    return fol_payload_align(size);
}

/* What a set of values takes, and their numbers in the buffer. */
typedef struct measure {
    size_t bytes;
    bool is_owned;
    bool needs_host;
    uint32_t types[FOL_MAX_TYPES];
} measure;

/* Bytes of one value's payload. */
static size_t value_bytes(const fol_value *value)
{
    const fol_component *component = value->component;
    if (value->value == NULL || component->value_size == 0) {
        return 0;
    }
    size_t bytes = align_up(component->value_size);
    if (component->storage == FOL_STORAGE_BYTES) {
        bytes += align_up(((const fol_bytes *)value->value)->size);
    }
    return bytes;
}

/* FOL_E_VALUE for NULL, the wrong kind, or a component named twice; -ENOMEM. What is too large to
 * count gets a size that no buffer has room for. */
static int measure_values(fol_commands *commands, const fol_value *values, size_t count,
                          bool is_resource, measure *out)
{
    uint64_t seen[FOL_MASK_WORDS];
    if (count > FOL_MAX_TYPES) {
        return FOL_E_VALUE;
    }
    if (count > 1) {
        fol_bits_clear(seen, FOL_MASK_WORDS);
    }
    out->bytes = align_up(count * sizeof(fol_recorded_value));
    out->is_owned = false;
    out->needs_host = false;
    for (size_t i = 0; i < count; i++) {
        const fol_component *component = values[i].component;
        if (component == NULL || component->is_resource != is_resource) {
            return FOL_E_VALUE;
        }
        int status = fol_commands_type_of(commands, values[i].component, &out->types[i]);
        if (status < 0) {
            return status;
        }
        if (count > 1) {
            if (fol_bits_test(seen, out->types[i])) {
                return FOL_E_VALUE;
            }
            fol_bits_set(seen, out->types[i]);
        }
        if (__builtin_add_overflow(out->bytes, value_bytes(&values[i]), &out->bytes)) {
            out->bytes = FOL_TOO_LARGE;
        }
        out->is_owned = out->is_owned || fol_component_is_owned(component);
        out->needs_host = out->needs_host || component->storage == FOL_STORAGE_OBJECT;
    }
    return 0;
}

/* Copies one value to the arena; returns where it ends. */
static uint8_t *copy_value(const fol_value *value, uint8_t *to, fol_recorded_value *out)
{
    const fol_component *component = value->component;
    out->value = NULL;
    if (value->value == NULL || component->value_size == 0) {
        return to;
    }
    out->value = to;
    memcpy(to, value->value, component->value_size);
    uint8_t *end = to + align_up(component->value_size);
    if (component->storage == FOL_STORAGE_BYTES) {
        fol_bytes *bytes = out->value;
        if (bytes->size == 0) {
            *bytes = (fol_bytes){NULL, 0};
            return end;
        }
        memcpy(end, bytes->data, bytes->size);
        bytes->data = end;
        end += align_up(bytes->size);
    } else if (component->storage == FOL_STORAGE_OBJECT) {
        void *object = *(void **)out->value;
        if (object != NULL) {
            component->hooks->retain(object);
        }
    }
    return end;
}

static uint8_t *copy_values(const fol_value *values, size_t count, const measure *measure,
                            uint8_t *payload)
{
    fol_recorded_value *recorded = (fol_recorded_value *)(void *)payload;
    uint8_t *end = payload + align_up(count * sizeof(*recorded));
    for (size_t i = 0; i < count; i++) {
        recorded[i].type = measure->types[i];
        end = copy_value(&values[i], end, &recorded[i]);
    }
    return end;
}

/* A record with values. FOL_COMMANDS_LOST. */
static int record_values(fol_commands *commands, fol_record_kind kind, fol_entity entity,
                         const fol_value *values, size_t count)
{
    measure measure;
    uint8_t *payload;
    int status = measure_values(commands, values, count, kind == FOL_RECORD_INSERT, &measure);
    if (status < 0) {
        return status;
    }
    bool is_spawn = kind == FOL_RECORD_SPAWN;
    status = fol_commands_room(commands, measure.bytes, is_spawn ? 1 : 0, &payload);
    if (status != 0) {
        return status;
    }
    if (is_spawn) {
        entity = fol_commands_take_ids(commands, 1);
    }
    fol_record record = {
        .kind = (uint8_t)kind,
        .is_owned = measure.is_owned,
        .needs_host = measure.needs_host,
        .count = (uint32_t)count,
        .entity = entity,
        .payload = payload,
    };
    uint8_t *end = copy_values(values, count, &measure, payload);
    FOL_ASSERT_HOT(end == payload + measure.bytes);
    fol_commands_publish(commands, &record, end);
    return 0;
}

/* What a caller hears of a command that a part lost: nothing. */
static int settle(fol_commands *commands, int status)
{
    return FOL_LIKELY(status <= 0) ? status : fol_commands_lose(commands, 1);
}

int fol_commands_spawn(fol_commands *commands, const fol_value *values, size_t count,
                       fol_entity *out)
{
    int status = record_values(commands, FOL_RECORD_SPAWN, 0, values, count);
    if (FOL_LIKELY(status == 0)) {
        *out = fol_entity_make(FOL_PROVISIONAL_GENERATION, commands->ids.next - 1);
    } else if (status > 0) {
        *out = FOL_NOBODY;
    }
    return settle(commands, status);
}

int fol_commands_add(fol_commands *commands, fol_entity entity, const fol_value *values,
                     size_t count)
{
    return settle(commands, record_values(commands, FOL_RECORD_ADD, entity, values, count));
}

int fol_commands_set(fol_commands *commands, fol_entity entity, const fol_value *values,
                     size_t count)
{
    return settle(commands, record_values(commands, FOL_RECORD_SET, entity, values, count));
}

int fol_commands_insert(fol_commands *commands, const fol_value *resource)
{
    return settle(commands, record_values(commands, FOL_RECORD_INSERT, 0, resource, 1));
}

int fol_commands_remove(fol_commands *commands, fol_entity entity, fol_component *const *components,
                        size_t count)
{
    if (count > FOL_MAX_TYPES) {
        return FOL_E_VALUE;
    }
    fol_value values[FOL_MAX_TYPES];
    for (size_t i = 0; i < count; i++) {
        values[i] = (fol_value){components[i], NULL};
    }
    measure measure;
    uint8_t *payload;
    int status = measure_values(commands, values, count, false, &measure);
    if (status < 0) {
        return status;
    }
    status = fol_commands_room(commands, measure.bytes, 0, &payload);
    if (status != 0) {
        return settle(commands, status);
    }
    fol_record record = {
        .kind = FOL_RECORD_REMOVE,
        .count = (uint32_t)count,
        .entity = entity,
        .payload = payload,
    };
    fol_commands_publish(commands, &record, copy_values(values, count, &measure, payload));
    return 0;
}

int fol_commands_despawn(fol_commands *commands, fol_entity entity)
{
    uint8_t *payload;
    int status = fol_commands_room(commands, 0, 0, &payload);
    if (status != 0) {
        return settle(commands, status);
    }
    fol_record record = {.kind = FOL_RECORD_DESPAWN, .entity = entity, .payload = payload};
    fol_commands_publish(commands, &record, payload);
    return 0;
}

int fol_commands_call(fol_commands *commands, int (*fn)(void *world, void *argument),
                      void (*drop)(void *argument), void *argument, bool needs_host)
{
    uint8_t *payload;
    if (fn == NULL) {
        return FOL_E_VALUE;
    }
    int status = fol_commands_room(commands, FOL_CALL_BYTES, 0, &payload);
    if (status > 0 && drop != NULL) {
        /* Refused: it will not run, and is done with. */
        drop(argument);
    }
    if (status != 0) {
        return settle(commands, status);
    }
    *(fol_recorded_call *)(void *)payload = (fol_recorded_call){fn, drop, argument};
    fol_record record = {
        .kind = FOL_RECORD_CALL, .is_owned = true, .needs_host = needs_host, .payload = payload};
    fol_commands_publish(commands, &record, payload + FOL_CALL_BYTES);
    return 0;
}

static int call_without_drop(fol_commands *commands, int (*fn)(void *world, void *argument),
                             void *argument)
{
    return fol_commands_call(commands, fn, NULL, argument, false);
}

const fol_command_api fol_command_api_table = {
    .spawn = fol_commands_spawn,
    .despawn = fol_commands_despawn,
    .add = fol_commands_add,
    .set = fol_commands_set,
    .remove = fol_commands_remove,
    .insert = fol_commands_insert,
    .call = call_without_drop,
};
