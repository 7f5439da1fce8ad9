/* Detaching bulk input from the tables it lies in; see bulk_detach.h. */

#include "world/bulk_detach.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/block.h"
#include "world/fill.h"

#define ALIGNMENT 16u

static bool is_inside(const fol_touched *touched, const void *address)
{
    for (const fol_table *table = touched->first; table != NULL; table = table->next_touched) {
        if (address != NULL && table->block != NULL && fol_block_holds(table->block, address)) {
            return true;
        }
    }
    return false;
}

static bool is_any_inside(const fol_touched *touched, const fol_entity *ids, const fol_bulk *bulks,
                          size_t bulk_count)
{
    if (is_inside(touched, ids)) {
        return true;
    }
    for (size_t b = 0; b < bulk_count; b++) {
        uint32_t fields = bulks[b].sources == NULL ? 0 : bulks[b].component->field_count;
        for (uint32_t f = 0; f < fields; f++) {
            if (is_inside(touched, bulks[b].sources[f].data)) {
                return true;
            }
        }
    }
    return false;
}

/* How many elements of a source are copied: the repeated one, or all. */
static size_t copied_count(const fol_source *source, size_t count)
{
    return source->data == NULL ? 0 : source->stride == 0 ? 1 : count;
}

static size_t align_up(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* The elements lie in memory already, so their total cannot overflow. */
static size_t measure(const fol_entity *ids, const fol_bulk *bulks, size_t bulk_count, size_t count)
{
    size_t size = ids == NULL ? 0 : align_up(count * sizeof(*ids));
    size += align_up(bulk_count * sizeof(*bulks));
    for (size_t b = 0; b < bulk_count; b++) {
        const fol_component *component = bulks[b].component;
        uint32_t fields = bulks[b].sources == NULL ? 0 : component->field_count;
        size += align_up(fields * sizeof(fol_source));
        for (uint32_t f = 0; f < fields; f++) {
            size += align_up(copied_count(&bulks[b].sources[f], count) * component->fields[f].size);
        }
    }
    return size;
}

static uint8_t *copy_sources(const fol_bulk *bulk, size_t count, uint8_t *room, fol_bulk *out)
{
    const fol_component *component = bulk->component;
    uint32_t fields = bulk->sources == NULL ? 0 : component->field_count;
    fol_source *sources = (fol_source *)(void *)room;
    room += align_up(fields * sizeof(*sources));
    *out = (fol_bulk){bulk->component, fields == 0 ? NULL : sources};
    for (uint32_t f = 0; f < fields; f++) {
        size_t size = component->fields[f].size;
        size_t copied = copied_count(&bulk->sources[f], count);
        sources[f] = (fol_source){copied == 0 ? NULL : room,
                                  bulk->sources[f].stride == 0 ? 0 : (ptrdiff_t)size};
        if (copied != 0) {
            fol_fill(room, size, &bulk->sources[f], 0, copied);
        }
        room += align_up(copied * size);
    }
    return room;
}

int fol_bulk_detach(const fol_touched *touched, const fol_entity *ids, const fol_bulk *bulks,
                    size_t bulk_count, size_t count, fol_detached *out)
{
    *out = (fol_detached){NULL, ids, bulks};
    if (FOL_LIKELY(!is_any_inside(touched, ids, bulks, bulk_count))) {
        return 0;
    }
    size_t size = measure(ids, bulks, bulk_count, count);
    uint8_t *memory = fol_alloc(size);
    if (memory == NULL) {
        return -ENOMEM;
    }
    uint8_t *room = memory;
    if (ids != NULL) {
        memcpy(room, ids, count * sizeof(*ids));
        out->ids = (const fol_entity *)(void *)room;
        room += align_up(count * sizeof(*ids));
    }
    fol_bulk *copies = (fol_bulk *)(void *)room;
    room += align_up(bulk_count * sizeof(*copies));
    for (size_t b = 0; b < bulk_count; b++) {
        room = copy_sources(&bulks[b], count, room, &copies[b]);
    }
    FOL_ASSERT(room == memory + size);
    out->memory = memory;
    out->bulks = copies;
    return 0;
}

void fol_bulk_forget(fol_detached *detached)
{
    fol_free(detached->memory);
    detached->memory = NULL;
}
