/* The inside of a command buffer.
 *
 * Recording appends a fixed-size record, and behind it a payload in an arena; both are address
 * space reserved at creation, so recording never allocates and nothing recorded ever moves. What
 * one system recorded for one chunk since fol_commands_begin is a *stretch*; a merge orders
 * stretches, records within one stay in sequence.
 *
 * Components are numbered by the buffer when it first meets them: a record holds numbers, so that
 * recording touches nothing that threads share but the world's count of recorded spawns.
 *
 * A provisional id holds the worker and the spawn's number in the frame; `resolved` says what it
 * became: 0 nothing yet, a real id, or (while a merge plans) the number of its entry plus one.
 */
#ifndef FOL_WORLD_COMMANDS_H
#define FOL_WORLD_COMMANDS_H

#include <stdatomic.h>

#include "structures/map.h"
#include "world/world.h"

#define FOL_PROVISIONAL_BITS 24u
#define FOL_PROVISIONAL_MAX  (UINT32_C(1) << FOL_PROVISIONAL_BITS)

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
    FOL_FATE_DROPPED, /* its entity is gone, or lacks the component */
    FOL_FATE_REFUSED, /* the world has no table for the set it leads to, or no number for a type */
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

/* Ids, and a bulk for each component with its sources in the arena; or components alone. */
typedef struct fol_recorded_many {
    fol_entity *ids;
    fol_bulk *bulks;
    fol_component **components;
    uint32_t component_count;
    uint32_t kept_count; /* elements of each source that has a stride; never less than the ids */
} fol_recorded_many;

typedef struct fol_stretch {
    uint32_t round; /* failed merges before it, so that what waits longer goes first */
    uint32_t system_order;
    uint32_t chunk;
    uint32_t first;       /* record */
    uint32_t first_spawn; /* number of the next spawn when it began */
    size_t arena_start;   /* of the payloads */
} fol_stretch;

struct fol_commands {
    fol_world *world; /* NULL after the world's end */
    fol_commands *next;
    fol_commands **link; /* what points here */
    uint8_t worker;
    uint32_t max_commands;
    uint32_t max_components;
    uint32_t max_spawns; /* provisional ids of a frame */
    size_t max_bytes;
    const char *full_setting;

    fol_record *records;
    _Atomic uint32_t record_count; /* written by the owner, read by visits from any thread */
    _Atomic uint32_t waiting;      /* records not yet done; asked for from any thread */
    _Atomic uint32_t host_count;   /* records that need the host */
    uint8_t *arena;
    size_t arena_used;
    fol_stretch *stretches;
    uint32_t stretch_count;
    uint32_t round;
    uint32_t system_order; /* of fol_commands_begin */
    uint32_t chunk;

    fol_entity *resolved; /* by the number of the spawn */
    _Atomic uint32_t
        spawn_count;     /* provisional ids given in this frame; read by others' resolves */
    uint32_t spawn_base; /* given in the frames before, so that their ids do not come again soon */
    uint64_t reserved; /* spawns recorded and not merged: the buffer's part of the world's count */

    fol_map type_of; /* component address -> the buffer's number */
    fol_component *last_component;
    uint32_t last_type;
    fol_component **components; /* by the buffer's number, retained */
    uint32_t *world_types;      /* the world's number, set by a merge */
    uint32_t component_count;
};

static inline uint32_t fol_commands_records(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->record_count, memory_order_relaxed);
}

static inline uint32_t fol_commands_waiting(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->waiting, memory_order_relaxed);
}

static inline uint32_t fol_commands_spawned(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->spawn_count, memory_order_relaxed);
}

/* Only the owner counts, so a load and a store do. The counts publish nothing. */
static inline void fol_commands_set_waiting(fol_commands *commands, uint32_t waiting)
{
    atomic_store_explicit(&commands->waiting, waiting, memory_order_relaxed);
}

static inline void fol_commands_set_spawned(fol_commands *commands, uint32_t spawned)
{
    atomic_store_explicit(&commands->spawn_count, spawned, memory_order_relaxed);
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
    return (const uint8_t *)data >= commands->arena &&
           (const uint8_t *)data < commands->arena + commands->max_bytes;
}

/* The provisional id of the frame's spawn of this number. */
static inline fol_entity fol_provisional_make(const fol_commands *commands, uint32_t number)
{
    uint32_t counted = (commands->spawn_base + number) & (FOL_PROVISIONAL_MAX - 1);
    return fol_entity_make(FOL_PROVISIONAL_GENERATION,
                           ((uint32_t)commands->worker << FOL_PROVISIONAL_BITS) | counted);
}

/* What a provisional id stands for, or NULL when no buffer gave it. */
fol_entity *fol_commands_find_resolved(const fol_commands *commands, fol_entity entity);

/* Whether a waiting record names the component of this number. Looks at every record. */
bool fol_commands_name_component(const fol_commands *commands, uint32_t number);

/* Marks a record done, and drops what its payload still owns. */
void fol_record_finish(fol_commands *commands, fol_record *record);

/* Gives places back that were reserved for spawns. */
void fol_commands_give_back_spawns(fol_commands *commands, uint64_t count);

/* Forgets everything recorded; every record is done. */
void fol_commands_reset(fol_commands *commands);

/* Room for one more record and `bytes` of payload: FOL_E_CAPACITY. Payloads start 16-byte aligned.
 */
int fol_commands_room(fol_commands *commands, size_t bytes, uint8_t **out);

/* Appends a record whose payload ends at `payload_end`. */
void fol_commands_publish(fol_commands *commands, const fol_record *record,
                          const uint8_t *payload_end);

/* The buffer's number of a component. FOL_E_VALUE for NULL; FOL_E_CAPACITY. */
int fol_commands_type_of(fol_commands *commands, fol_component *component, uint32_t *out);

/* Reserves `count` places among the world's entities and provisional ids. FOL_E_CAPACITY. */
int fol_commands_reserve_spawns(fol_commands *commands, size_t count);

#endif
