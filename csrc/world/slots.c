/* Growth of the entity slots; see slots.h. */

#include "world/slots.h"

#include <errno.h>

#include "base/memory.h"

#define MIN_SLOTS 64u

void fol_slots_init(fol_slots *slots)
{
    *slots = (fol_slots){.free_head = FOL_NO_INDEX};
}

void fol_slots_deinit(fol_slots *slots)
{
    fol_free(slots->items);
    *slots = (fol_slots){.free_head = FOL_NO_INDEX};
}

/* Room for `fresh` slots that were never used. */
int fol_slots_grow(fol_slots *slots, size_t fresh)
{
    FOL_ASSERT(slots->count <= slots->capacity);
    size_t wanted = (size_t)slots->count + fresh;
    if (wanted >= FOL_NO_INDEX) {
        return -ENOMEM;
    }
    size_t capacity = slots->capacity == 0 ? MIN_SLOTS : (size_t)slots->capacity * 2;
    if (capacity >= FOL_NO_INDEX) {
        capacity = FOL_NO_INDEX - 1;
    }
    capacity = capacity < wanted ? wanted : capacity;
    fol_slot *items = fol_realloc_array(slots->items, capacity, sizeof(*items));
    if (items == NULL) {
        return -ENOMEM;
    }
    slots->items = items;
    slots->capacity = (uint32_t)capacity;
    return 0;
}
