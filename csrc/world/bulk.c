/* Requests of bulk operations; see bulk.h. */

#include "world/bulk.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/bytes.h"
#include "world/cells.h"
#include "world/fill.h"
#include "world/ticks.h"

int fol_bulk_resolve(fol_world *world, const fol_bulk *bulks, size_t bulk_count,
                     size_t entity_count, fol_bulk_request *out)
{
    out->bulks = bulks;
    out->bulk_count = bulk_count;
    out->entity_count = entity_count;
    out->bytes_count = 0;
    out->prepared = NULL;
    fol_set_clear(&out->set, FOL_MASK_WORDS);
    if (bulk_count > FOL_MAX_TYPES) {
        return FOL_E_VALUE;
    }
    for (size_t i = 0; i < bulk_count; i++) {
        int status = fol_set_name(world, bulks[i].component, &out->set, &out->types[i]);
        if (status < 0) {
            return status;
        }
        out->bytes_count += bulks[i].component->storage == FOL_STORAGE_BYTES ? 1 : 0;
    }
    return 0;
}

/* Copies of the elements of one source; an element that is repeated is copied once and shared. */
static int copy_bytes(const fol_source *source, size_t count, fol_bytes *out, size_t *made)
{
    for (size_t i = 0; i < count; i++) {
        if (source == NULL || source->data == NULL) {
            out[i] = (fol_bytes){NULL, 0};
        } else if (source->stride == 0 && i > 0) {
            out[i] = out[0];
            fol_bytes_retain(&out[i]);
        } else {
            fol_bytes value;
            memcpy(&value, fol_source_at(source, i), sizeof(value));
            int status = fol_bytes_create(value.data, value.size, &out[i]);
            if (status < 0) {
                return status;
            }
        }
        (*made)++;
    }
    return 0;
}

int fol_bulk_prepare(fol_bulk_request *request)
{
    size_t total;
    if (request->bytes_count == 0) {
        return 0;
    }
    if (__builtin_mul_overflow(request->entity_count, (size_t)request->bytes_count, &total)) {
        return -ENOMEM;
    }
    fol_bytes *prepared = fol_alloc_array(total, sizeof(*prepared));
    if (prepared == NULL) {
        return -ENOMEM;
    }
    size_t made = 0;
    for (size_t i = 0; i < request->bulk_count; i++) {
        const fol_bulk *bulk = &request->bulks[i];
        if (bulk->component->storage == FOL_STORAGE_BYTES) {
            int status = copy_bytes(bulk->sources, request->entity_count, prepared + made, &made);
            if (status < 0) {
                goto fail_copy;
            }
        }
    }
    FOL_ASSERT(made == total);
    request->prepared = prepared;
    return 0;

fail_copy:
    while (made > 0) {
        made--;
        fol_bytes_release(&prepared[made]);
    }
    fol_free(prepared);
    return -ENOMEM;
}

void fol_bulk_end(fol_bulk_request *request)
{
    fol_free(request->prepared);
    request->prepared = NULL;
}

static void write_plain(fol_table *table, const fol_part *part, size_t row, const fol_bulk *bulk,
                        size_t first, size_t count)
{
    fol_column *columns = fol_part_columns(table, part);
    for (uint32_t i = 0; i < part->column_count; i++) {
        const fol_source *source = bulk->sources == NULL ? NULL : &bulk->sources[i];
        fol_fill(fol_column_cell(&columns[i], row), columns[i].size, source, first, count);
    }
}

static void write_objects(fol_table *table, const fol_part *part, size_t row, const fol_bulk *bulk,
                          size_t first, size_t count)
{
    const fol_source *source = bulk->sources;
    for (size_t i = 0; i < count; i++) {
        void *object = NULL;
        if (source != NULL && source->data != NULL) {
            memcpy(&object, fol_source_at(source, first + i), sizeof(object));
        }
        if (object != NULL) {
            part->component->hooks->retain(object);
        }
        fol_cells_take_object(table, part, row + i, object);
    }
}

/* Plain columns written in pieces of rows. */
typedef struct piecewise {
    fol_table *table;
    const fol_bulk_request *request;
    size_t row;
    size_t first;
    size_t count;
    size_t piece_rows;
} piecewise;

/* The plain columns of some rows. */
static void write_piece(void *argument, uint32_t index)
{
    const piecewise *work = argument;
    size_t done = index * work->piece_rows;
    size_t left = work->count - done;
    size_t count = left < work->piece_rows ? left : work->piece_rows;
    for (size_t b = 0; b < work->request->bulk_count; b++) {
        const fol_part *part = fol_table_part(work->table, work->request->types[b]);
        if (part->component->storage == FOL_STORAGE_PLAIN) {
            write_plain(work->table, part, work->row + done, &work->request->bulks[b],
                        work->first + done, count);
        }
    }
}

/* Writes all plain columns if that is worth more than one thread. */
static bool write_pieces(const fol_world *world, fol_table *table, size_t row,
                         const fol_bulk_request *request, size_t first, size_t count)
{
    size_t rows = world->limits.piece_rows;
    if (world->run_parallel == NULL || count <= rows ||
        count * table->row_bytes < world->limits.piece_bytes) {
        return false;
    }
    piecewise work = {table, request, row, first, count, rows};
    fol_world_run_parts(world, (uint32_t)((count + rows - 1) / rows), write_piece, &work);
    return true;
}

void fol_bulk_write(fol_world *world, fol_table *table, size_t row, const fol_bulk_request *request,
                    size_t first, size_t count)
{
    const fol_bytes *prepared = request->prepared;
    bool is_written = write_pieces(world, table, row, request, first, count);
    for (size_t b = 0; b < request->bulk_count; b++) {
        fol_part *part = fol_table_part(table, request->types[b]);
        switch (part->component->storage) {
        case FOL_STORAGE_PLAIN:
            if (!is_written) {
                write_plain(table, part, row, &request->bulks[b], first, count);
            }
            break;
        case FOL_STORAGE_BYTES:
            for (size_t i = 0; i < count; i++) {
                fol_cells_take_bytes(table, part, row + i, prepared[first + i]);
            }
            prepared += request->entity_count;
            break;
        case FOL_STORAGE_OBJECT:
            write_objects(table, part, row, &request->bulks[b], first, count);
            break;
        }
        if (part->is_watched) {
            fol_part_touch(part, row, count, world->tick);
        }
    }
}

size_t fol_bulk_follow(const fol_table *table, size_t row, const fol_entity *ids, size_t count)
{
    const fol_entity *rows = &table->entities[row];
    size_t behind = table->rows - row;
    size_t end = count < behind ? count : behind;
    size_t length = 1;
    FOL_ASSERT_HOT(end >= 1 && rows[0] == ids[0]);
    /* Eight at a time, then one at a time up to the first that differs. */
    while (length + 8 <= end && memcmp(&rows[length], &ids[length], 8 * sizeof(*ids)) == 0) {
        length += 8;
    }
    while (length < end && rows[length] == ids[length]) {
        length++;
    }
    return length;
}
