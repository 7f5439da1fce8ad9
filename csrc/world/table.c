/* Tables: making them, and moving them to larger blocks; see table.h. */

#include "world/table.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "world/block.h"
#include "world/ticks.h"

#define MIN_CAPACITY 16u

static void name_parts(fol_table *table)
{
    for (uint32_t i = 0; i < table->part_count; i++) {
        uint32_t at = i;
        while (at > 0 && fol_component_compare(table->parts[table->by_name[at - 1]].component,
                                               table->parts[i].component) > 0) {
            table->by_name[at] = table->by_name[at - 1];
            at--;
        }
        table->by_name[at] = (uint16_t)i;
    }
}

/* Sets up the parts and their columns, still without rows. */
static void describe(fol_table *table, fol_component *const *components, const uint16_t *types)
{
    uint32_t column = 0;
    uint64_t bytes = sizeof(fol_entity);
    for (uint32_t i = 0; i < table->part_count; i++) {
        fol_component *component = components[i];
        fol_part *part = &table->parts[i];
        part->component = component;
        part->type = types[i];
        part->first_column = column;
        part->column_count = (uint16_t)component->field_count;
        part->is_owned = fol_component_is_owned(component);
        table->has_owned = table->has_owned || part->is_owned;
        fol_bits_set(table->mask, types[i]);
        for (uint32_t f = 0; f < component->field_count; f++) {
            table->columns[column++].size = component->fields[f].size;
            bytes += component->fields[f].size;
        }
    }
    FOL_ASSERT(column == table->column_count);
    table->row_bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

fol_table *fol_table_create(fol_component *const *components, const uint16_t *types, uint32_t count,
                            uint64_t hash)
{
    FOL_ASSERT(count <= FOL_MAX_TYPES);
    uint32_t columns = 0;
    for (uint32_t i = 0; i < count; i++) {
        columns += components[i]->field_count;
    }
    size_t parts_at = sizeof(fol_table);
    size_t columns_at = parts_at + count * sizeof(fol_part);
    size_t names_at = columns_at + columns * sizeof(fol_column);
    uint8_t *memory = fol_alloc_aligned(names_at + count * sizeof(uint16_t));
    if (memory == NULL) {
        return NULL;
    }
    memset(memory, 0, names_at);
    fol_table *table = (fol_table *)(void *)memory;
    table->parts = (fol_part *)(void *)(memory + parts_at);
    table->columns = (fol_column *)(void *)(memory + columns_at);
    table->by_name = (uint16_t *)(void *)(memory + names_at);
    table->part_count = count;
    table->column_count = columns;
    table->hash = hash;
    table->added_type = UINT32_MAX;
    table->removed_type = UINT32_MAX;
    describe(table, components, types);
    name_parts(table);
    return table;
}

void fol_part_drop(const fol_table *table, const fol_part *part, size_t row, size_t count)
{
    FOL_ASSERT_HOT(part->is_owned);
    const fol_component *component = part->component;
    const fol_column *column = fol_part_columns(table, part);
    for (size_t i = row; i < row + count; i++) {
        if (component->storage == FOL_STORAGE_BYTES) {
            fol_bytes_release(fol_column_cell(column, i));
            continue;
        }
        void *object = *(void **)fol_column_cell(column, i);
        if (object != NULL) {
            component->hooks->drop(object);
        }
    }
}

void fol_table_destroy(fol_table *table)
{
    size_t rows = table->rows;
    table->rows = 0;
    for (uint32_t i = 0; i < table->part_count; i++) {
        if (table->parts[i].is_owned) {
            fol_part_drop(table, &table->parts[i], 0, rows);
        }
    }
    if (table->block != NULL) {
        fol_block_release(table->block);
    }
    fol_free(table);
}

size_t fol_table_next_capacity(const fol_table *table, size_t rows)
{
    size_t capacity = table->capacity * 2;
    if (capacity < rows) {
        capacity = (rows + MIN_CAPACITY - 1) / MIN_CAPACITY * MIN_CAPACITY;
    }
    return capacity;
}

static size_t block_size(const fol_table *table, size_t capacity)
{
    size_t size = fol_block_start();
    (void)fol_block_place(&size, capacity, sizeof(fol_entity));
    for (uint32_t i = 0; i < table->column_count; i++) {
        (void)fol_block_place(&size, capacity, table->columns[i].size);
    }
    for (uint32_t i = 0; i < table->part_count; i++) {
        if (table->parts[i].is_watched) {
            (void)fol_block_place(&size, capacity, sizeof(uint64_t));
            (void)fol_block_place(&size, capacity, sizeof(uint64_t));
        }
    }
    return size;
}

/* The next array of the block, with the first `rows` items of the old one. */
static void *move_array(fol_block *block, size_t *size, size_t capacity, size_t item_size,
                        const void *old, size_t rows)
{
    void *array = fol_block_at(block, fol_block_place(size, capacity, item_size));
    if (rows != 0 && old != NULL) {
        memcpy(array, old, rows * item_size);
    }
    return array;
}

int fol_table_resize(fol_table *table, size_t capacity)
{
    FOL_ASSERT(capacity >= table->rows && capacity != 0);
    fol_block *block = fol_block_create(block_size(table, capacity));
    if (block == NULL) {
        return -ENOMEM;
    }
    size_t size = fol_block_start();
    size_t rows = table->rows;
    table->entities = move_array(block, &size, capacity, sizeof(fol_entity), table->entities, rows);
    for (uint32_t i = 0; i < table->column_count; i++) {
        fol_column *column = &table->columns[i];
        column->data = move_array(block, &size, capacity, column->size, column->data, rows);
    }
    for (uint32_t i = 0; i < table->part_count; i++) {
        fol_part *part = &table->parts[i];
        if (part->is_watched) {
            part->changed =
                move_array(block, &size, capacity, sizeof(uint64_t), part->changed, rows);
            part->added = move_array(block, &size, capacity, sizeof(uint64_t), part->added, rows);
        }
    }
    if (table->block != NULL) {
        fol_block_release(table->block);
    }
    table->block = block;
    table->capacity = capacity;
    return 0;
}

int fol_table_watch(fol_table *table, fol_part *part, uint64_t tick)
{
    if (part->is_watched) {
        return 0;
    }
    part->is_watched = true;
    if (table->capacity != 0) {
        int status = fol_table_resize(table, table->capacity);
        if (status < 0) {
            part->is_watched = false;
            return status;
        }
        memset(part->changed, 0, table->rows * sizeof(*part->changed));
        memset(part->added, 0, table->rows * sizeof(*part->added));
    }
    table->has_watched = true;
    part->all_added = tick;
    atomic_store_explicit(&part->latest_added, tick, memory_order_relaxed);
    atomic_store_explicit(&part->all_changed, tick, memory_order_relaxed);
    atomic_store_explicit(&part->latest_changed, tick, memory_order_relaxed);
    return 0;
}

void fol_table_unwatch(fol_table *table, fol_part *part)
{
    part->is_watched = false;
    part->changed = NULL;
    part->added = NULL;
    table->has_watched = false;
    for (uint32_t i = 0; i < table->part_count; i++) {
        table->has_watched = table->has_watched || table->parts[i].is_watched;
    }
}
