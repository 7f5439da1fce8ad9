/* Recording commands on many entities: ids and columns are copied to the arena, whole. */

#include <string.h>

#include "world/commands.h"
#include "world/fill.h"

/* Payload room handed out from the front; `size` alone while measuring. */
typedef struct layout {
    uint8_t *base; /* NULL while measuring */
    size_t size;
    bool is_too_large;
} layout;

static void *take(layout *layout, size_t count, size_t item_size)
{
    size_t bytes;
    size_t start = layout->size;
    if (__builtin_mul_overflow(count, item_size, &bytes) || bytes > PTRDIFF_MAX ||
        start > PTRDIFF_MAX) {
        layout->is_too_large = true;
        return NULL;
    }
    layout->size = start + fol_payload_align(bytes);
    return layout->base == NULL ? NULL : layout->base + start;
}

/* How many elements of a source are kept: none, the repeated one, or all. */
static size_t kept_count(const fol_source *source, size_t count)
{
    if (source->data == NULL || count == 0) {
        return 0;
    }
    return source->stride == 0 ? 1 : count;
}

/* Copies the data behind kept Bytes; while measuring, reads the originals. */
static void keep_bytes(layout *layout, const fol_source *source, size_t kept, fol_bytes *out)
{
    for (size_t i = 0; i < kept; i++) {
        fol_bytes value;
        memcpy(&value, fol_source_at(source, i), sizeof(value));
        uint8_t *data = value.size == 0 ? NULL : take(layout, 1, value.size);
        if (out != NULL) {
            if (value.size != 0) {
                memcpy(data, value.data, value.size);
            }
            out[i] = (fol_bytes){data, value.size};
        }
    }
}

static void retain_objects(const fol_component *component, void *const *objects, size_t kept)
{
    for (size_t i = 0; i < kept; i++) {
        if (objects[i] != NULL) {
            component->hooks->retain(objects[i]);
        }
    }
}

/* Keeps one source of a component. */
static void keep_source(layout *layout, const fol_component *component, uint32_t field,
                        const fol_source *source, size_t count, fol_source *out)
{
    size_t size = component->fields[field].size;
    size_t kept = kept_count(source, count);
    void *data = take(layout, kept, size);
    if (layout->base != NULL) {
        if (kept != 0) {
            fol_fill(data, size, source, 0, kept);
        }
        *out = (fol_source){kept == 0 ? NULL : data, source->stride == 0 ? 0 : (ptrdiff_t)size};
    }
    if (component->storage == FOL_STORAGE_BYTES) {
        keep_bytes(layout, source, kept, data);
    } else if (component->storage == FOL_STORAGE_OBJECT && layout->base != NULL) {
        retain_objects(component, data, kept);
    }
}

/* Keeps the bulks; while measuring, only `layout` changes. */
static void keep_bulks(layout *layout, const fol_bulk *bulks, size_t bulk_count, size_t count,
                       fol_bulk *out)
{
    for (size_t i = 0; i < bulk_count && !layout->is_too_large; i++) {
        const fol_component *component = bulks[i].component;
        fol_source *sources = NULL;
        if (bulks[i].sources != NULL) {
            sources = take(layout, component->field_count, sizeof(*sources));
            for (uint32_t f = 0; f < component->field_count; f++) {
                keep_source(layout, component, f, &bulks[i].sources[f], count,
                            sources == NULL ? NULL : &sources[f]);
            }
        }
        if (out != NULL) {
            out[i] = (fol_bulk){bulks[i].component, sources};
        }
    }
}

/* What one many-command consists of; unused parts are empty. */
typedef struct many {
    fol_record_kind kind;
    size_t count;
    const fol_entity *ids;
    const fol_bulk *bulks;
    size_t bulk_count;
    fol_component *const *components;
    size_t component_count;
} many;

static uint8_t *keep_many(layout *layout, const many *many)
{
    fol_recorded_many *kept = take(layout, 1, sizeof(*kept));
    fol_entity *ids = many->ids == NULL ? NULL : take(layout, many->count, sizeof(*ids));
    fol_bulk *bulks = many->bulk_count == 0 ? NULL : take(layout, many->bulk_count, sizeof(*bulks));
    fol_component **components = take(layout, many->component_count, sizeof(*components));
    keep_bulks(layout, many->bulks, many->bulk_count, many->count, bulks);
    if (layout->base == NULL) {
        return NULL;
    }
    size_t component_count = many->bulk_count + many->component_count;
    *kept = (fol_recorded_many){.ids = ids,
                                .bulks = bulks,
                                .components = components,
                                .component_count = (uint32_t)component_count,
                                .kept_count = (uint32_t)many->count,
                                .bytes = layout->size};
    if (ids != NULL && many->count != 0) {
        memcpy(ids, many->ids, many->count * sizeof(*ids));
    }
    for (size_t i = 0; i < many->component_count; i++) {
        components[i] = many->components[i];
    }
    return layout->base + layout->size;
}

static int check_component(fol_commands *commands, fol_component *component, uint64_t *seen)
{
    uint32_t type;
    if (component == NULL || component->is_resource) {
        return FOL_E_VALUE;
    }
    int status = fol_commands_type_of(commands, component, &type);
    if (status < 0) {
        return status;
    }
    if (fol_bits_test(seen, type)) {
        return FOL_E_VALUE;
    }
    fol_bits_set(seen, type);
    return 0;
}

/* Checks the components and says what the record will own. */
static int check_many(fol_commands *commands, const many *many, fol_record *record)
{
    uint64_t seen[FOL_MASK_WORDS] = {0};
    int status = 0;
    for (size_t i = 0; i < many->bulk_count && status == 0; i++) {
        fol_component *component = many->bulks[i].component;
        status = check_component(commands, component, seen);
        if (status == 0 && component->storage == FOL_STORAGE_OBJECT) {
            record->is_owned = true;
            record->needs_host = true;
        }
    }
    for (size_t i = 0; i < many->component_count && status == 0; i++) {
        status = check_component(commands, many->components[i], seen);
    }
    return status;
}

/* The first id of a spawn goes to `first` (may be NULL). */
static int record_many(fol_commands *commands, const many *many, fol_entity *first)
{
    uint8_t *payload;
    fol_record record = {.kind = (uint8_t)many->kind, .count = (uint32_t)many->count};
    int status = check_many(commands, many, &record);
    if (status < 0 || many->count == 0) {
        return status;
    }
    layout measured = {NULL, 0, many->count > UINT32_MAX};
    if (!measured.is_too_large) {
        (void)keep_many(&measured, many);
    }
    bool is_spawn = many->kind == FOL_RECORD_SPAWN_MANY;
    status = fol_commands_room(commands, measured.is_too_large ? FOL_TOO_LARGE : measured.size,
                               is_spawn ? record.count : 0, &payload);
    if (status != 0) {
        return status < 0 ? status : fol_commands_lose(commands, record.count);
    }
    if (is_spawn) {
        record.entity = fol_commands_take_ids(commands, record.count);
        *first = record.entity;
    }
    record.payload = payload;
    layout kept = {payload, 0, false};
    fol_commands_publish(commands, &record, keep_many(&kept, many));
    FOL_ASSERT(kept.size == measured.size);
    return 0;
}

int fol_commands_spawn_many(fol_commands *commands, size_t count, const fol_bulk *bulks,
                            size_t bulk_count, fol_entity *ids_out)
{
    fol_entity first = FOL_NOBODY;
    int status = record_many(commands,
                             &(many){.kind = FOL_RECORD_SPAWN_MANY,
                                     .count = count,
                                     .bulks = bulks,
                                     .bulk_count = bulk_count},
                             &first);
    if (status == 0 && ids_out != NULL) {
        for (size_t i = 0; i < count; i++) {
            ids_out[i] = first == FOL_NOBODY ? first : first + i;
        }
    }
    return status;
}

int fol_commands_add_many(fol_commands *commands, const fol_entity *ids, size_t count,
                          const fol_bulk *bulks, size_t bulk_count)
{
    return record_many(commands,
                       &(many){.kind = FOL_RECORD_ADD_MANY,
                               .count = count,
                               .ids = ids,
                               .bulks = bulks,
                               .bulk_count = bulk_count},
                       NULL);
}

int fol_commands_remove_many(fol_commands *commands, const fol_entity *ids, size_t count,
                             fol_component *const *components, size_t component_count)
{
    return record_many(commands,
                       &(many){.kind = FOL_RECORD_REMOVE_MANY,
                               .count = count,
                               .ids = ids,
                               .components = components,
                               .component_count = component_count},
                       NULL);
}

int fol_commands_despawn_many(fol_commands *commands, const fol_entity *ids, size_t count)
{
    return record_many(commands,
                       &(many){.kind = FOL_RECORD_DESPAWN_MANY, .count = count, .ids = ids}, NULL);
}
