/* Where each entity lives: one slot for each index ever given out.
 *
 * A slot holds the generation of its entity, or of the next one when it is free. Free slots form a
 * last-in first-out list through `row`, so ids depend only on the order of spawns and despawns. A
 * generation is never 0 and never the one of provisional ids; a slot that would reach that retires.
 */
#ifndef FOL_WORLD_SLOTS_H
#define FOL_WORLD_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "foliot/system.h"

#define FOL_NO_INDEX               UINT32_MAX
#define FOL_PROVISIONAL_GENERATION UINT32_MAX

typedef struct fol_slot {
    uint32_t generation;
    uint32_t table; /* FOL_NO_INDEX: no row yet, or free */
    uint32_t row;   /* of the table; of a free slot, the next free one */
    uint32_t entry; /* the entity's place in a running merge, else FOL_NO_INDEX */
} fol_slot;

_Static_assert(sizeof(fol_slot) == 16, "four slots in a cache line");

typedef struct fol_slots {
    fol_slot *items;
    uint32_t count; /* ever used */
    uint32_t capacity;
    uint32_t free_head;
    uint32_t free_count;
    uint32_t live;
    uint32_t retired;
} fol_slots;

void fol_slots_init(fol_slots *slots);
void fol_slots_deinit(fol_slots *slots);

int fol_slots_grow(fol_slots *slots, size_t fresh);

/* Makes the next `count` takes free of allocation. -ENOMEM. */
static inline int fol_slots_reserve(fol_slots *slots, size_t count)
{
    size_t fresh = count > slots->free_count ? count - slots->free_count : 0;
    return FOL_LIKELY(fresh <= slots->capacity - slots->count) ? 0 : fol_slots_grow(slots, fresh);
}

static inline uint32_t fol_entity_index(fol_entity entity)
{
    return (uint32_t)entity;
}

static inline uint32_t fol_entity_generation(fol_entity entity)
{
    return (uint32_t)(entity >> 32);
}

static inline fol_entity fol_entity_make(uint32_t generation, uint32_t index)
{
    return ((fol_entity)generation << 32) | index;
}

/* The slot of a live entity, or NULL. */
static inline fol_slot *fol_slots_find(const fol_slots *slots, fol_entity entity)
{
    uint32_t index = fol_entity_index(entity);
    if (FOL_UNLIKELY(index >= slots->count)) {
        return NULL;
    }
    fol_slot *slot = &slots->items[index];
    if (FOL_UNLIKELY(slot->generation != fol_entity_generation(entity) ||
                     slot->table == FOL_NO_INDEX)) {
        return NULL;
    }
    return slot;
}

/* A new entity without a row; room must be reserved. */
static inline fol_entity fol_slots_take(fol_slots *slots)
{
    uint32_t index = slots->free_head;
    slots->live++;
    if (index == FOL_NO_INDEX) {
        FOL_ASSERT_HOT(slots->count < slots->capacity);
        index = slots->count++;
        slots->items[index] = (fol_slot){1, FOL_NO_INDEX, 0, FOL_NO_INDEX};
        return fol_entity_make(1, index);
    }
    fol_slot *slot = &slots->items[index];
    slots->free_head = slot->row;
    slots->free_count--;
    return fol_entity_make(slot->generation, index);
}

/* Gives an entity's slot back; its id is stale from now on. */
static inline void fol_slots_give(fol_slots *slots, fol_entity entity)
{
    fol_slot *slot = &slots->items[fol_entity_index(entity)];
    FOL_ASSERT_HOT(slot->generation == fol_entity_generation(entity));
    slot->table = FOL_NO_INDEX;
    slot->entry = FOL_NO_INDEX;
    slots->live--;
    slot->generation++;
    if (FOL_UNLIKELY(slot->generation == FOL_PROVISIONAL_GENERATION)) {
        slots->retired++;
        return;
    }
    slot->row = slots->free_head;
    slots->free_head = fol_entity_index(entity);
    slots->free_count++;
}

#endif
