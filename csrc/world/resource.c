/* Resources: one value a world for each type, in memory that never moves. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/bytes.h"
#include "world/world.h"

int fol_resource_reserve(fol_world *world, uint32_t type)
{
    fol_type *resource = &world->types[type];
    if (resource->resource != NULL) {
        return 0;
    }
    uint32_t size = resource->component->value_size;
    resource->resource = fol_alloc_aligned(size);
    if (resource->resource == NULL) {
        return -ENOMEM;
    }
    memset(resource->resource, 0, size);
    return 0;
}

/* Fields only: what lies between them stays zero. */
static void put_plain(fol_type *resource, const uint8_t *packed)
{
    const fol_component *component = resource->component;
    for (uint32_t i = 0; i < component->field_count; i++) {
        const fol_field *field = &component->fields[i];
        uint8_t *to = (uint8_t *)resource->resource + field->offset;
        if (packed == NULL) {
            memset(to, 0, field->size);
        } else {
            memcpy(to, packed + field->offset, field->size);
        }
    }
}

void fol_resource_put(fol_world *world, uint32_t type, const void *packed)
{
    fol_type *resource = &world->types[type];
    FOL_ASSERT(resource->resource != NULL);
    fol_tick_raise(&resource->resource_tick, world->tick);
    if (!resource->is_present) {
        resource->is_present = true;
        fol_world_restructure(world);
    }
    if (resource->component->storage == FOL_STORAGE_BYTES) {
        fol_bytes old = *(fol_bytes *)resource->resource;
        *(fol_bytes *)resource->resource = *(const fol_bytes *)packed;
        fol_bytes_release(&old);
    } else if (resource->component->storage == FOL_STORAGE_OBJECT) {
        void *old = *(void **)resource->resource;
        *(void **)resource->resource = *(void *const *)packed;
        if (old != NULL) {
            resource->component->hooks->drop(old);
        }
    } else {
        put_plain(resource, packed);
    }
}

int fol_world_insert(fol_world *world, const fol_value *resource)
{
    uint32_t type;
    if (resource->component == NULL || !resource->component->is_resource) {
        return FOL_E_VALUE;
    }
    int status = fol_world_type_of(world, resource->component, &type);
    if (status < 0) {
        return status;
    }
    status = fol_resource_reserve(world, type);
    if (status < 0) {
        return status;
    }
    if (resource->component->storage == FOL_STORAGE_BYTES) {
        fol_bytes bytes = {NULL, 0};
        if (resource->value != NULL) {
            const fol_bytes *given = resource->value;
            status = fol_bytes_create(given->data, given->size, &bytes);
        }
        if (status == 0) {
            fol_resource_put(world, type, &bytes);
        }
        return status;
    }
    if (resource->component->storage == FOL_STORAGE_OBJECT) {
        void *object = resource->value == NULL ? NULL : *(void *const *)resource->value;
        if (object != NULL) {
            resource->component->hooks->retain(object);
        }
        fol_resource_put(world, type, &object);
        return 0;
    }
    fol_resource_put(world, type, resource->value);
    return 0;
}

static fol_type *find_present(const fol_world *world, const fol_component *resource)
{
    uint32_t type = fol_world_find_type(world, resource);
    if (type == FOL_NO_INDEX || !world->types[type].is_present) {
        return NULL;
    }
    return &world->types[type];
}

void *fol_world_resource(const fol_world *world, const fol_component *resource)
{
    const fol_type *type = find_present(world, resource);
    return type == NULL ? NULL : type->resource;
}

void fol_world_mark_resource(fol_world *world, const fol_component *resource)
{
    fol_type *type = find_present(world, resource);
    if (type != NULL) {
        fol_tick_raise(&type->resource_tick, world->tick);
    }
}
