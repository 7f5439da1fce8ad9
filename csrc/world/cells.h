/* Writing the cells of one component in one row. */
#ifndef FOL_WORLD_CELLS_H
#define FOL_WORLD_CELLS_H

#include <string.h>

#include "world/rows.h"

/* Plain data: the packed value's fields, zeros for NULL. */
static inline void fol_cells_put(fol_table *table, const fol_part *part, size_t row,
                                 const void *packed)
{
    const fol_field *fields = part->component->fields;
    fol_column *columns = fol_part_columns(table, part);
    for (uint32_t i = 0; i < part->column_count; i++) {
        void *cell = fol_column_cell(&columns[i], row);
        if (packed == NULL) {
            memset(cell, 0, columns[i].size);
        } else {
            fol_copy_elements(cell, (const uint8_t *)packed + fields[i].offset, columns[i].size, 1);
        }
    }
}

/* Bytes: the cell takes over `value`, and the old one is released. */
static inline void fol_cells_take_bytes(fol_table *table, const fol_part *part, size_t row,
                                        fol_bytes value)
{
    fol_bytes *cell = fol_column_cell(fol_part_columns(table, part), row);
    fol_bytes old = *cell;
    *cell = value;
    fol_bytes_release(&old);
}

/* Objects: the cell takes over `object`, and then the old one is dropped, which may run the host.
 */
static inline void fol_cells_take_object(fol_table *table, const fol_part *part, size_t row,
                                         void *object)
{
    void **cell = fol_column_cell(fol_part_columns(table, part), row);
    void *old = *cell;
    *cell = object;
    if (old != NULL) {
        part->component->hooks->drop(old);
    }
}

#endif
