/* Provisional ids: what spawn commands give out, and what each of them turns out to be.
 *
 * The low half of a provisional id is a number. Numbers come in sheets of 65,536, and a world's
 * directory leads from a sheet's number to its cells. A cell is 0 as long as its id means nobody,
 * then (while a merge plans) the number of an entry plus one, then the real id. So an id works in
 * all buffers of its world, whoever gave it.
 *
 * A buffer takes sheets as it needs them, so how many ids one worker may give in a frame is bounded
 * by the world's numbers alone, not by who runs what. Sheets that stand side by side have their
 * cells side by side. At the end of a frame the cells are cleared, and when the numbers run low
 * they are taken anew for the same cells; so an id does not come again before four billion others.
 *
 * Taking sheets: a buffer claims an entry of the directory by an exchange from NULL to its cells,
 * with release, which pairs with the acquire of whoever looks an id up. Any thread may look up;
 * cells themselves are written by merges and at the end of a frame, by the thread that holds the
 * world.
 */
#ifndef FOL_WORLD_PROVISIONAL_H
#define FOL_WORLD_PROVISIONAL_H

#include <stdatomic.h>

#include "world/slots.h"

#define FOL_SHEET_BITS 16u
#define FOL_SHEET_IDS  (UINT32_C(1) << FOL_SHEET_BITS)
/* The last sheet is never taken, so its ids mean nobody. */
#define FOL_SHEETS ((UINT32_C(1) << (32u - FOL_SHEET_BITS)) - 1)

/* The id of a spawn that was refused at once without being told so. */
#define FOL_NOBODY fol_entity_make(FOL_PROVISIONAL_GENERATION, UINT32_MAX)

/* Of a world; all zero: nobody took a sheet. */
typedef struct fol_id_directory {
    _Atomic(fol_entity *) *cells; /* of each sheet, or NULL; FOL_SHEETS + 1 entries */
    _Atomic uint32_t next;        /* the sheet to try next */
} fol_id_directory;

/* Sheets side by side. */
typedef struct fol_id_span {
    fol_entity *cells;
    uint32_t first_sheet;
    uint32_t sheets;
} fol_id_span;

/* Of a buffer. */
typedef struct fol_ids {
    fol_id_span current;
    uint32_t next; /* number that the next spawn gets */
    uint32_t end;  /* behind the last one of `current` */
    uint32_t used_from;
    uint32_t wanted;    /* so many at once, in some merge so far */
    fol_id_span *spans; /* used up in this frame */
    uint32_t span_count;
    uint32_t span_capacity;
} fol_ids;

/* Makes the directory unless it is there. -ENOMEM. */
int fol_id_directory_ensure(fol_id_directory *directory);
void fol_id_directory_deinit(fol_id_directory *directory);

/* The first sheet of a buffer. -ENOMEM. */
int fol_ids_init(fol_ids *ids, fol_id_directory *directory);
/* `directory` NULL: the world has gone. */
void fol_ids_deinit(fol_ids *ids, fol_id_directory *directory);

/* Makes the next `count` numbers of `ids` stand side by side. -ENOMEM. */
int fol_ids_reserve(fol_ids *ids, fol_id_directory *directory, uint32_t count);

/* Forgets what the frame's ids stand for. */
void fol_ids_end_frame(fol_ids *ids, fol_id_directory *directory);

/* Numbers that the cells of one span are to hold. */
static inline uint32_t fol_ids_wanted(const fol_ids *ids)
{
    return ids->wanted < UINT32_MAX / 4 ? 2 * ids->wanted : ids->wanted;
}

/* The end of a frame has nothing to do. */
static inline bool fol_ids_are_settled(const fol_ids *ids)
{
    uint32_t left = ids->end - ids->next;
    return ids->next == ids->used_from && ids->span_count == 0 && left != 0 &&
           left >= ids->wanted && fol_ids_wanted(ids) <= ids->current.sheets * FOL_SHEET_IDS;
}

/* What a provisional id stands for, or NULL when nobody gave it. */
static inline fol_entity *fol_ids_find(const fol_id_directory *directory, fol_entity entity)
{
    uint32_t number = fol_entity_index(entity);
    /* Pairs with the release in claim: who sees the sheet sees cleared cells. */
    fol_entity *cells =
        atomic_load_explicit(&directory->cells[number >> FOL_SHEET_BITS], memory_order_acquire);
    return cells == NULL ? NULL : &cells[number & (FOL_SHEET_IDS - 1)];
}

#endif
