/* The inside of a command buffer.
 *
 * Recording appends a fixed-size record, and behind it a payload in an arena; both lie in pages, so
 * nothing recorded ever moves. The pages grow while something is recorded that finds no room, and
 * stay: behind a merge each buffer has one page of either kind, with room for all that the merged
 * buffers held together. So recording does not allocate where no merge had more to do than one
 * before, whoever records what.
 *
 * What one system recorded for one chunk since fol_commands_begin is a *stretch*, opened by its
 * first command; a merge orders stretches, records within one stay in sequence.
 *
 * Limits. What one system records between two merges is a *run*, and what it may record is bounded:
 * commands, bytes of payload, entities spawned. A run that one buffer holds whole is told at once.
 * A run that may be recorded in parts by several workers at once cannot be: a part does not know of
 * the others. There a part keeps what fits into a run of its own, counts the rest as lost, and says
 * nothing; the merge goes through the parts in order, and refuses the first command that does not
 * fit and all behind it. What a part lost lies behind that in any case, so what is refused is the
 * same whatever the parts are: see merge_limit.c.
 *
 * The fast way asks three questions at each command: is there a record, are there the bytes, are
 * there the spawns. Limits, ends of pages, a stretch that is not open yet, a world that merges or
 * has gone all look like no, and fol_commands_make_room sorts them out.
 *
 * Components are numbered by the buffer when it first meets them: a record holds numbers, so that
 * recording touches nothing that threads share.
 */
#ifndef FOL_WORLD_COMMANDS_H
#define FOL_WORLD_COMMANDS_H

#include <stdatomic.h>

#include "structures/map.h"
#include "world/pages.h"
#include "world/provisional.h"
#include "world/world.h"

/* Payloads, and the parts of them, start at multiples of this. */
#define FOL_PAYLOAD_ALIGNMENT 16u

/* The size of a payload that fits nowhere. */
#define FOL_TOO_LARGE (SIZE_MAX & ~(size_t)(FOL_PAYLOAD_ALIGNMENT - 1))

static inline size_t fol_payload_align(size_t size)
{
    return (size + FOL_PAYLOAD_ALIGNMENT - 1) & ~(size_t)(FOL_PAYLOAD_ALIGNMENT - 1);
}

/* What fol_commands_room returns when the command is to be counted as lost: no failure. */
#define FOL_COMMANDS_LOST 1

typedef enum fol_record_kind {
    FOL_RECORD_DONE = 0, /* applied, or dropped */
    FOL_RECORD_SPAWN,
    FOL_RECORD_DESPAWN,
    FOL_RECORD_ADD,
    FOL_RECORD_SET,
    FOL_RECORD_REMOVE,
    FOL_RECORD_INSERT,
    FOL_RECORD_CALL,
    FOL_RECORD_SPAWN_MANY,
    FOL_RECORD_ADD_MANY,
    FOL_RECORD_REMOVE_MANY,
    FOL_RECORD_DESPAWN_MANY,
} fol_record_kind;

/* What the plan of a running merge makes of a record. */
typedef enum fol_record_fate {
    FOL_FATE_APPLIED = 0,
    FOL_FATE_DROPPED,   /* its entity is gone, or lacks the component */
    FOL_FATE_NO_TABLE,  /* refused: the world has no table for the set it leads to */
    FOL_FATE_NO_TYPE,   /* refused: it has no number for a type */
    FOL_FATE_NO_ENTITY, /* refused: it has no place for another entity */
} fol_record_fate;

typedef struct fol_record {
    uint8_t kind;
    bool is_owned;     /* the payload owns objects or prepared Bytes, or may */
    bool needs_host;   /* it holds objects or a host call */
    uint8_t fate;      /* fol_record_fate */
    uint32_t count;    /* values, components, or entities of a many-command */
    fol_entity entity; /* the first provisional id of a spawn */
    void *payload;
} fol_record;

_Static_assert(sizeof(fol_record) == 24, "records are small");

/* One component of a record, and its packed value in the arena (NULL: zeros). */
typedef struct fol_recorded_value {
    uint32_t type; /* the buffer's number */
    void *value;
} fol_recorded_value;

typedef struct fol_recorded_call {
    int (*fn)(void *world, void *argument);
    void (*drop)(void *argument);
    void *argument;
} fol_recorded_call;

#define FOL_CALL_BYTES fol_payload_align(sizeof(fol_recorded_call))

/* Ids, and a bulk for each component with its sources in the arena; or components alone. */
typedef struct fol_recorded_many {
    fol_entity *ids;
    fol_bulk *bulks;
    fol_component **components;
    uint32_t component_count;
    uint32_t kept_count; /* elements of each source that has a stride; never less than the ids */
    size_t bytes;        /* of the payload */
} fol_recorded_many;

/* What commands need, in the order in which limits are looked at. */
typedef struct fol_need {
    uint64_t commands;
    size_t bytes;
    uint64_t spawns;
} fol_need;

typedef struct fol_stretch {
    uint32_t round; /* failed merges before it, so that what waits longer goes first */
    uint32_t system_order;
    uint32_t chunk;
    uint32_t first; /* record */
    uint32_t arena_page;
    bool is_part;   /* of a run that others may record parts of: the merge looks at its limits */
    bool is_judged; /* a merge did */
    uint8_t *arena_start; /* of the payloads, in their first page */
    fol_need kept;        /* by all of its records; known when it is closed */
    fol_need first_lost;  /* by the first command that a part lost */
    uint32_t lost;        /* commands */
    uint64_t lost_weight; /* the same, a many-command counting one for each entity */
} fol_stretch;

struct fol_commands {
    fol_world *world; /* NULL after the world's end */
    fol_commands *next;
    fol_commands **link; /* what points here */
    uint8_t worker;
    bool is_open; /* what is recorded now belongs to the last stretch */
    bool is_part; /* of fol_commands_begin_part */
    uint32_t max_commands;
    size_t max_bytes;
    const char *full_setting;
    uint64_t full_limit;

    /* The fast way: where the next record and payload go, and what may come without a look. */
    fol_record *record_next;
    fol_record *record_end;
    uint8_t *arena_next; /* 16-byte aligned */
    uint8_t *arena_end;
    uint32_t spawn_room;

    fol_pages record_pages;
    uint32_t record_ends[FOL_PAGES_MAX]; /* records in the pages up to this one */
    uint32_t record_page;
    fol_pages arena_pages;
    uint32_t arena_page;
    uint8_t *run_start;            /* of the open stretch's payloads in this page */
    size_t run_bytes;              /* of its payloads in the pages before */
    uint64_t run_spawns;           /* of the open stretch */
    _Atomic uint32_t record_count; /* written by the owner, read by visits from any thread */
    _Atomic uint32_t waiting;      /* records not yet done, and lost ones; asked from any thread */
    _Atomic uint32_t host_count;   /* records that need the host */
    fol_stretch *stretches;
    uint32_t stretch_count;
    uint32_t stretch_capacity;
    uint32_t round;
    uint32_t system_order; /* of fol_commands_begin */
    uint32_t chunk;
    fol_ids ids;

    fol_map type_of; /* component address -> the buffer's number */
    fol_component *last_component;
    uint32_t last_type;
    uint32_t component_count;
    uint32_t component_capacity;
    /* By the buffer's number, retained. Visits from any thread read it; an array that it outgrew
     * stays until the buffer is empty. */
    _Atomic(fol_component **) components;
    fol_component **outgrown; /* a list: what stands before the first element leads on */
    uint32_t *world_types;    /* the world's number, set by a merge */
};

static inline uint32_t fol_commands_records(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->record_count, memory_order_relaxed);
}

static inline uint32_t fol_commands_waiting(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->waiting, memory_order_relaxed);
}

/* Only the owner counts, so a load and a store do. The counts publish nothing. */
static inline void fol_commands_set_waiting(fol_commands *commands, uint32_t waiting)
{
    atomic_store_explicit(&commands->waiting, waiting, memory_order_relaxed);
}

/* The record of a number, and behind which number its page ends. Pages double, so they are few, and
 * mostly one. */
static inline fol_record *fol_commands_records_from(const fol_commands *commands, uint32_t number,
                                                    uint32_t *page_end)
{
    uint32_t page = 0;
    while (number >= commands->record_ends[page]) {
        page++;
    }
    uint32_t first = page == 0 ? 0 : commands->record_ends[page - 1];
    *page_end = commands->record_ends[page];
    return (fol_record *)(void *)commands->record_pages.items[page] + (number - first);
}

static inline fol_record *fol_commands_record(const fol_commands *commands, uint32_t number)
{
    uint32_t page_end;
    return fol_commands_records_from(commands, number, &page_end);
}

static inline fol_component *fol_commands_component(const fol_commands *commands, uint32_t number)
{
    /* Pairs with the release in grow_components. */
    return atomic_load_explicit(&commands->components, memory_order_acquire)[number];
}

/* The records of a stretch end where the next one's begin. */
static inline uint32_t fol_stretch_end(const fol_commands *commands, uint32_t stretch)
{
    return stretch + 1 < commands->stretch_count ? commands->stretches[stretch + 1].first
                                                 : fol_commands_records(commands);
}

/* Whether Bytes still lie in the arena, not in a blob of their own. */
static inline bool fol_commands_holds(const fol_commands *commands, const void *data)
{
    return fol_pages_hold(&commands->arena_pages, data);
}

/* What a provisional id stands for, or NULL when no buffer of the world gave it. */
static inline fol_entity *fol_commands_find_resolved(const fol_commands *commands,
                                                     fol_entity entity)
{
    return commands->world == NULL ? NULL : fol_ids_find(&commands->world->ids, entity);
}

/* Marks a record done, and drops what its payload still owns. */
void fol_record_finish(fol_commands *commands, fol_record *record);

/* What a record that waits counts against the limits. */
fol_need fol_record_need(const fol_commands *commands, const fol_record *record);

/* How many commands a record is in a report: a many-command is one for each entity. */
static inline uint32_t fol_record_weight(const fol_record *record)
{
    return record->kind >= FOL_RECORD_SPAWN_MANY ? record->count : 1;
}

/* Ends the open stretch: what comes next begins another. */
void fol_commands_close(fol_commands *commands);

/* Forgets what a stretch lost. */
void fol_commands_forget_lost(fol_commands *commands, fol_stretch *stretch);

/* Forgets everything recorded; every record is done. */
void fol_commands_reset(fol_commands *commands);

/* What a buffer holds, or is to hold. */
typedef struct fol_commands_size {
    size_t records;
    size_t bytes;
    size_t stretches;
    uint64_t spawns;
} fol_commands_size;

fol_commands_size fol_commands_measure(const fol_commands *commands);

/* An empty buffer gets one page of either kind, and stretches, for so much. -ENOMEM: it may have
 * grown in part, and grows again when it must. */
int fol_commands_grow(fol_commands *commands, const fol_commands_size *size);

/* Room for so many components. -ENOMEM. */
int fol_commands_grow_components(fol_commands *commands, uint32_t capacity);

/* Finds the next record and the ends of the pages after what was recorded last has gone. */
void fol_commands_find_ends(fol_commands *commands);

/* The slow way of fol_commands_room. */
int fol_commands_make_room(fol_commands *commands, size_t bytes, uint32_t spawns);

/* Counts a command as lost that fol_commands_room said was. Returns 0. */
int fol_commands_lose(fol_commands *commands, uint32_t weight);

/* Room for one more record, for `bytes` of payload (a multiple of 16) and numbers for `spawns`
 * entities, side by side from ids.next on. FOL_COMMANDS_LOST; FOL_E_CAPACITY, FOL_E_BUSY, -ENOMEM.
 * Payloads start 16-byte aligned. */
static inline int fol_commands_room(fol_commands *commands, size_t bytes, uint32_t spawns,
                                    uint8_t **out)
{
    if (FOL_UNLIKELY(commands->record_next == commands->record_end ||
                     bytes > (size_t)(commands->arena_end - commands->arena_next) ||
                     spawns > commands->spawn_room)) {
        int status = fol_commands_make_room(commands, bytes, spawns);
        if (status != 0) {
            return status;
        }
    }
    *out = commands->arena_next;
    return 0;
}

/* The next ids, for which there is room. */
static inline fol_entity fol_commands_take_ids(fol_commands *commands, uint32_t count)
{
    fol_entity first = fol_entity_make(FOL_PROVISIONAL_GENERATION, commands->ids.next);
    FOL_ASSERT_HOT(count <= commands->spawn_room);
    commands->ids.next += count;
    commands->spawn_room -= count;
    commands->run_spawns += count;
    return first;
}

/* Appends a record whose payload ends at `payload_end`. */
void fol_commands_publish(fol_commands *commands, const fol_record *record, uint8_t *payload_end);

/* The buffer's number of a component. FOL_E_VALUE for NULL; -ENOMEM. */
int fol_commands_type_of(fol_commands *commands, fol_component *component, uint32_t *out);

#endif
