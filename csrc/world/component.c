/* Component types: a description checked, laid out and copied into one block.
 *
 * A packed value holds the fields in order, each at a multiple of its alignment: the largest power
 * of two that divides its item size, at most 16. So a C struct of the same fields has the same
 * offsets.
 */

#include "world/component.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "world/hash.h"

#define MAX_VALUE_SIZE  (UINT32_C(1) << 30)
#define MAX_ALIGNMENT   16u
#define MAX_TEXT_LENGTH 4096u

static uint32_t alignment_of(uint32_t item_size)
{
    uint32_t alignment = item_size & (~item_size + 1);
    return alignment > MAX_ALIGNMENT ? MAX_ALIGNMENT : alignment;
}

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* Sets the sizes of a field whose storage decides them. */
static void size_by_storage(fol_storage storage, fol_field *field)
{
    if (storage != FOL_STORAGE_PLAIN) {
        field->item_size = storage == FOL_STORAGE_BYTES ? sizeof(fol_bytes) : sizeof(void *);
        field->ndim = 0;
    }
}

static int size_field(fol_field *field)
{
    if (field->item_size == 0 || field->ndim > FOL_MAX_DIMS) {
        return FOL_E_VALUE;
    }
    uint64_t size = field->item_size;
    for (uint32_t i = 0; i < field->ndim; i++) {
        size *= field->shape[i];
        if (size > MAX_VALUE_SIZE) {
            return FOL_E_VALUE;
        }
    }
    for (uint32_t i = field->ndim; i < FOL_MAX_DIMS; i++) {
        field->shape[i] = 0;
    }
    if (size == 0 || size > MAX_VALUE_SIZE) {
        return FOL_E_VALUE;
    }
    field->size = (uint32_t)size;
    return 0;
}

static bool is_field_name_taken(const fol_component_spec *spec, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(text_or_empty(spec->fields[i].name), text_or_empty(spec->fields[index].name)) ==
            0) {
            return true;
        }
    }
    return false;
}

static int check_storage(const fol_component_spec *spec)
{
    switch (spec->storage) {
    case FOL_STORAGE_PLAIN:
        return 0;
    case FOL_STORAGE_BYTES:
        return spec->field_count == 1 ? 0 : FOL_E_VALUE;
    case FOL_STORAGE_OBJECT:
        return spec->field_count == 1 && spec->hooks != NULL && spec->hooks->retain != NULL &&
                       spec->hooks->drop != NULL
                   ? 0
                   : FOL_E_VALUE;
    }
    return FOL_E_VALUE;
}

/* Checks a description and lays out its fields; `text` is the room their strings take. */
static int lay_out(const fol_component_spec *spec, fol_field *fields, uint32_t *value_size,
                   size_t *text)
{
    if (spec->name == NULL || spec->name[0] == '\0' || strlen(spec->name) > MAX_TEXT_LENGTH ||
        spec->field_count > FOL_MAX_FIELDS || (spec->field_count != 0 && spec->fields == NULL)) {
        return FOL_E_VALUE;
    }
    int status = check_storage(spec);
    size_t room = strlen(spec->name) + 1;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < spec->field_count && status == 0; i++) {
        fields[i] = spec->fields[i];
        size_by_storage(spec->storage, &fields[i]);
        status = size_field(&fields[i]);
        size_t length =
            strlen(text_or_empty(fields[i].name)) + strlen(text_or_empty(fields[i].format));
        if (status < 0 || length > MAX_TEXT_LENGTH || is_field_name_taken(spec, i)) {
            return FOL_E_VALUE;
        }
        uint64_t alignment = alignment_of(fields[i].item_size);
        offset = (offset + alignment - 1) & ~(alignment - 1);
        fields[i].offset = (uint32_t)offset;
        offset += fields[i].size;
        if (offset > MAX_VALUE_SIZE) {
            return FOL_E_VALUE;
        }
        room += length + 2;
    }
    *value_size = (uint32_t)offset;
    *text = room;
    return status;
}

static const char *copy_text(char **to, const char *text)
{
    char *start = *to;
    size_t size = strlen(text) + 1;
    memcpy(start, text, size);
    *to = start + size;
    return start;
}

static void identify(fol_component *component)
{
    fol_hash hash = {0};
    fol_hash_text(&hash, component->name);
    fol_hash_pair(&hash, (uint64_t)component->storage, component->is_resource ? 1 : 0);
    fol_hash_pair(&hash, component->field_count, component->value_size);
    for (uint32_t i = 0; i < component->field_count; i++) {
        const fol_field *field = &component->fields[i];
        fol_hash_text(&hash, field->name);
        fol_hash_text(&hash, field->format);
        fol_hash_pair(&hash, field->item_size, field->ndim);
        fol_hash_bytes(&hash, field->shape, sizeof(field->shape));
    }
    fol_hash_end(&hash, component->identity);
}

int fol_component_create(const fol_component_spec *spec, fol_component **out)
{
    fol_field fields[FOL_MAX_FIELDS];
    uint32_t value_size;
    size_t text;
    int status = lay_out(spec, fields, &value_size, &text);
    if (status < 0) {
        return status;
    }
    size_t fields_size = spec->field_count * sizeof(fol_field);
    fol_component *component = fol_alloc(sizeof(*component) + fields_size + text);
    if (component == NULL) {
        return -ENOMEM;
    }
    memset(component, 0, sizeof(*component));
    atomic_init(&component->references, 1);
    component->storage = spec->storage;
    component->is_resource = spec->is_resource;
    component->field_count = spec->field_count;
    component->value_size = value_size;
    component->hooks = spec->storage == FOL_STORAGE_OBJECT ? spec->hooks : NULL;
    char *room = (char *)component->fields + fields_size;
    component->name = copy_text(&room, spec->name);
    for (uint32_t i = 0; i < spec->field_count; i++) {
        component->fields[i] = fields[i];
        component->fields[i].name = copy_text(&room, text_or_empty(fields[i].name));
        component->fields[i].format = copy_text(&room, text_or_empty(fields[i].format));
    }
    FOL_ASSERT(room == (char *)component->fields + fields_size + text);
    identify(component);
    *out = component;
    return 0;
}

void fol_component_retain(fol_component *component)
{
    uint64_t before = atomic_fetch_add_explicit(&component->references, 1, memory_order_relaxed);
    FOL_ASSERT(before != 0);
}

void fol_component_release(fol_component *component)
{
    /* The release half pairs with the acquire half of the last one: whoever frees the component
     * has seen every other use of it end. */
    uint64_t before = atomic_fetch_sub_explicit(&component->references, 1, memory_order_acq_rel);
    FOL_ASSERT(before != 0);
    if (before == 1) {
        fol_free(component);
    }
}

const char *fol_component_name(const fol_component *component)
{
    return component->name;
}

fol_storage fol_component_storage(const fol_component *component)
{
    return component->storage;
}

bool fol_component_is_resource(const fol_component *component)
{
    return component->is_resource;
}

bool fol_component_is_tag(const fol_component *component)
{
    return component->field_count == 0;
}

uint32_t fol_component_field_count(const fol_component *component)
{
    return component->field_count;
}

const fol_field *fol_component_field(const fol_component *component, uint32_t index)
{
    FOL_ASSERT(index < component->field_count);
    return &component->fields[index];
}

uint32_t fol_component_value_size(const fol_component *component)
{
    return component->value_size;
}

int fol_component_compare(const fol_component *a, const fol_component *b)
{
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : memcmp(a->identity, b->identity, sizeof(a->identity));
}
