/* The world: entities, component types, tables of columns, queries, resources, command buffers.
 *
 * Layout. Entities with the same set of components share a table; a table keeps each field of each
 * component as its own column, 64-byte aligned, all columns of a table in one reference-counted
 * block. Removing a row moves the last row into the hole.
 *
 * Who may call what. One thread at a time holds the world (`fol_world_lock`); every function below
 * except the lock, component and block functions expects the caller to hold it. While a frame runs
 * the frame holds it, and only queries, column access and recording commands are allowed to
 * systems; structural functions then belong to merges and exclusive systems.
 *
 * Workers. While nothing structural happens, the workers of a frame may call at once:
 *  - fol_query_begin, _begin_range and _row_count on one query, once one thread began it since the
 *    last structural change; and on different queries from the first on, also right after a merge;
 *  - fol_query_next on iterators of their own, and fol_query_mark on runs of their own;
 *  - fol_query_needs_marks, _missing, _column_of, _block, and the retains and releases;
 *  - fol_world_resource and fol_world_mark_resource; fol_world_is_alive, _has, _get of components
 *    that nobody writes meanwhile, _components_of, _entity_count and _tick;
 *  - the recording functions, each buffer by one thread at a time; fol_commands_count, _need_host
 *    and fol_commands_resolve on any buffer.
 * Making and destroying queries and buffers, fol_world_set_tick, discarding and merging belong to
 * the thread that holds the world, while no worker is in it. What starts and ends the workers' turn
 * must order memory, as a lock or a join does.
 *
 * All-or-nothing. A function that returns a negative status has changed nothing, unless its comment
 * says otherwise; only the component types it named may stay registered. -ENOMEM is returned when
 * memory is refused.
 *
 * Change ticks. Every change carries a 64-bit tick chosen by the caller (`fol_world_set_tick`);
 * ticks never decrease. A row counts as changed for an observer when its tick is greater than the
 * observer's last one. Ticks per row are kept only for components some query watches; from the
 * moment a component is first watched, all its rows count as changed and added at that moment.
 * Rows take their ticks along when they move: a change made before an observer's last run, to a row
 * that was in none of its tables then, is not new to it when the row comes.
 */
#ifndef FOLIOT_WORLD_H
#define FOLIOT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/system.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Component types. */

#define FOL_MAX_DIMS   4
#define FOL_MAX_FIELDS 64

typedef enum fol_storage {
    FOL_STORAGE_PLAIN = 0,  /* fixed-size data, any number of fields; no field: a tag */
    FOL_STORAGE_BYTES = 1,  /* one field, a fol_bytes owned by the world */
    FOL_STORAGE_OBJECT = 2, /* one field, an opaque pointer kept alive through object hooks */
} fol_storage;

typedef struct fol_field {
    const char *name;             /* "" for the only field of an unnamed component */
    const char *format;           /* PEP 3118 format of one item, such as "f" */
    uint32_t item_size;           /* bytes of one item */
    uint32_t ndim;                /* 0 for a scalar field */
    uint32_t shape[FOL_MAX_DIMS]; /* of one element, slowest first */
    uint32_t size;                /* bytes of one element: item_size times the shape's product */
    uint32_t offset;              /* of the element in a packed value */
} fol_field;

/* How the world keeps objects of the host language alive. Called while the caller holds the world;
 * drop may run arbitrary host code, which finds the world locked. */
typedef struct fol_object_hooks {
    void (*retain)(void *object);
    void (*drop)(void *object);
} fol_object_hooks;

typedef struct fol_component_spec {
    const char *name;
    fol_storage storage;
    bool is_resource;
    uint32_t field_count;    /* 0 for a tag */
    const fol_field *fields; /* copied; size and offset are computed, what is given is ignored */
    const fol_object_hooks *hooks; /* FOL_STORAGE_OBJECT only; must outlive the component */
} fol_component_spec;

/* Reference-counted, immutable, thread-safe. FOL_E_VALUE for a bad description. */
int fol_component_create(const fol_component_spec *spec, fol_component **out);
void fol_component_retain(fol_component *component);
void fol_component_release(fol_component *component);
const char *fol_component_name(const fol_component *component);
fol_storage fol_component_storage(const fol_component *component);
bool fol_component_is_resource(const fol_component *component);
bool fol_component_is_tag(const fol_component *component);
uint32_t fol_component_field_count(const fol_component *component);
const fol_field *fol_component_field(const fol_component *component, uint32_t index);
/* Bytes of a packed value: fields in order, each at a multiple of the largest power of two that
 * divides its item size (at most 16), nothing behind the last. A Bytes value packs as a fol_bytes,
 * an object as a void *. */
uint32_t fol_component_value_size(const fol_component *component);

/* World. */

typedef struct fol_world fol_world;
typedef struct fol_query fol_query;
typedef struct fol_block fol_block; /* the memory of one table */

typedef struct fol_world_config {
    uint32_t max_entities;   /* live at once */
    uint32_t max_components; /* component and resource types a world may register, <= 1024 */
    uint32_t max_tables;     /* distinct component sets, beside the empty one */
} fol_world_config;

/* 4,194,304 entities, 1,024 components, 65,536 tables. */
extern const fol_world_config fol_world_config_default;

int fol_world_create(const fol_world_config *config, fol_world **out);
void fol_world_destroy(fol_world *world);

/* Try to hold the world: FOL_E_BUSY when somebody else does. Never waits. Any thread. */
int fol_world_lock(fol_world *world);
void fol_world_unlock(fol_world *world);

/* The name of the setting that the last FOL_E_CAPACITY of this world was about, such as
 * "max_entities". */
const char *fol_world_full_setting(const fol_world *world);
/* What that setting is. */
uint64_t fol_world_full_limit(const fol_world *world);

/* The tick given to changes from now on: 1 in a new world, so that an observer whose last one is 0
 * finds everything new. Lower than the current one is ignored. */
void fol_world_set_tick(fol_world *world, uint64_t tick);
uint64_t fol_world_tick(const fol_world *world);

/* Entities, one by one. */

/* Components may come in any order; a component named twice is FOL_E_VALUE. Bytes are copied,
 * objects retained. */
int fol_world_spawn(fol_world *world, const fol_value *values, size_t count, fol_entity *out);
int fol_world_despawn(fol_world *world, fol_entity entity);
/* Adds what is missing and overwrites what is there; one move however many components. */
int fol_world_add(fol_world *world, fol_entity entity, const fol_value *values, size_t count);
/* FOL_E_MISSING unless the entity has every component named. */
int fol_world_set(fol_world *world, fol_entity entity, const fol_value *values, size_t count);
/* FOL_E_MISSING unless the entity has every component named. */
int fol_world_remove(fol_world *world, fol_entity entity, fol_component *const *components,
                     size_t count);
bool fol_world_is_alive(const fol_world *world, fol_entity entity);
/* FOL_E_STALE, else 1 or 0. */
int fol_world_has(const fol_world *world, fol_entity entity, const fol_component *component);
/* Copies the packed value to out (value_size bytes); Bytes and objects are borrowed, good until the
 * next change. FOL_E_STALE, FOL_E_MISSING. */
int fol_world_get(const fol_world *world, fol_entity entity, const fol_component *component,
                  void *out);
/* The components of an entity, in registration order: up to `room` written, all counted. */
int fol_world_components_of(const fol_world *world, fol_entity entity, fol_component **out,
                            size_t room, size_t *count);
uint32_t fol_world_entity_count(const fol_world *world);

/* Entities in bulk. */

/* Where the values of one field come from: element i at data + i * stride bytes; stride 0 repeats
 * one element; data NULL means zeros (empty bytes, NULL object). */
typedef struct fol_source {
    const void *data;
    ptrdiff_t stride;
} fol_source;

/* One component and a source for each of its fields; sources NULL: zeros. Plain sources, and ids,
 * may lie in the columns of the world itself: they are read before anything moves. */
typedef struct fol_bulk {
    fol_component *component;
    const fol_source *sources;
} fol_bulk;

/* ids_out gets `count` ids and may be NULL. */
int fol_world_spawn_many(fol_world *world, size_t count, const fol_bulk *bulks, size_t bulk_count,
                         fol_entity *ids_out);
/* For all three: FOL_E_STALE sets *bad (may be NULL) to the position of the first bad id. An id
 * that stands twice is done once, with the values of its last place. Ids that follow the row order
 * of one table are moved column by column. */
int fol_world_despawn_many(fol_world *world, const fol_entity *ids, size_t count, size_t *bad);
int fol_world_add_many(fol_world *world, const fol_entity *ids, size_t count, const fol_bulk *bulks,
                       size_t bulk_count, size_t *bad);
/* FOL_E_MISSING (and *bad) when an entity lacks one of the components. */
int fol_world_remove_many(fol_world *world, const fol_entity *ids, size_t count,
                          fol_component *const *components, size_t component_count, size_t *bad);

/* Resources. */

/* Inserts or replaces the one value of a resource. */
int fol_world_insert(fol_world *world, const fol_value *resource);
/* FOL_E_MISSING when it was never inserted. */
int fol_world_take_out(fol_world *world, const fol_component *resource);
/* The packed value in place, 64-byte aligned, each field at its packed offset; NULL when it was
 * never inserted. The address stays the same until take_out or the world's end. */
void *fol_world_resource(const fol_world *world, const fol_component *resource);
/* Tells that a resource was written in place, for observers of changes. */
void fol_world_mark_resource(fol_world *world, const fol_component *resource);

/* Queries. */

typedef enum fol_term_kind {
    FOL_TERM_WRITE = 0,
    FOL_TERM_READ = 1,
    FOL_TERM_WITH = 2,
    FOL_TERM_WITHOUT = 3,
    FOL_TERM_CHANGED = 4, /* has it, and it changed or was added since; gives no column */
    FOL_TERM_ADDED = 5,   /* has it, and it was added since; gives no column */
} fol_term_kind;

typedef struct fol_term {
    fol_component *component;
    fol_term_kind kind;
} fol_term;

/* Terms on resources may be WRITE or READ only; they restrict nothing and give one-row columns.
 * Columns stand in this order: the fields of WRITE terms in the order given, then of READ terms. A
 * query without component terms matches every table. Several CHANGED or ADDED terms all have to
 * hold for a row. */
int fol_query_create(fol_world *world, const fol_term *terms, size_t count, fol_query **out);
void fol_query_destroy(fol_query *query);
uint32_t fol_query_column_count(const fol_query *query);
/* The index of the first column of a component (as declared, WRITE or READ), or -1. */
int fol_query_column_of(const fol_query *query, const fol_component *component, bool *is_written);
/* Whether the query names any component (not resource). */
bool fol_query_has_components(const fol_query *query);

/* Contiguous rows of one table. */
typedef struct fol_run {
    uint32_t match;    /* index of the table among the query's tables; stable, dense from 0 */
    uint64_t version;  /* changes whenever the table's block does */
    size_t first;      /* row of the table */
    size_t rows;       /* of the run, at least 1 */
    size_t table_rows; /* of the whole table */
    const fol_entity *entities; /* of the run */
    void *const *columns;       /* of the run; good until the next fol_query_next on the iterator */
} fol_run;

#define FOL_MAX_COLUMNS 256

typedef struct fol_query_iterator {
    fol_query *query;
    uint64_t since;                 /* observers' last tick, for CHANGED and ADDED */
    uint32_t match;                 /* next table */
    uint32_t end_match;             /* the table the range ends in; UINT32_MAX: no end */
    uint32_t plain_end;             /* tables before this one are given whole if short enough */
    size_t row;                     /* next row of the table */
    size_t end_row;                 /* first row of the end table behind the range */
    size_t max_rows;                /* longest run to give; 0: no bound; may be set on the way */
    void *columns[FOL_MAX_COLUMNS]; /* used only for runs that do not start their table */
} fol_query_iterator;

/* Brings the query's list of tables up to date (one comparison when nothing changed) and starts
 * over. After one thread began since the last structural change, any number may begin at once.
 * FOL_E_MISSING when a declared resource was never inserted (fol_query_missing names it). */
int fol_query_begin(fol_query *query, uint64_t since, size_t max_rows, fol_query_iterator *out);
/* The rows of all its tables, whatever filters say. Good after a fol_query_begin with status 0
 * since the last structural change; then any number may ask at once. */
uint64_t fol_query_row_count(const fol_query *query);
/* As fol_query_begin, over the rows [first, end) counted through the query's tables in order, for
 * several workers that take a piece each. A cut inside a table is moved up to a multiple of 16 rows
 * of that table, by the same rule for first and for end: ranges that meet at a number give each row
 * once, and share no cache line of a column of four bytes or more. An `end` of at least
 * fol_query_row_count is no cut. */
int fol_query_begin_range(fol_query *query, uint64_t since, size_t max_rows, uint64_t first,
                          uint64_t end, fol_query_iterator *out);
/* False at the end. Empty tables are skipped. Runs come in table order, rows ascending. */
bool fol_query_next(fol_query_iterator *iterator, fol_run *out);
/* The first declared resource that the world lacks, or NULL. */
const fol_component *fol_query_missing(const fol_query *query);

/* Records that the run's rows of one WRITE component (or of all of them: NULL) changed at `tick`.
 * Costs nothing for components nobody watches. Several threads may mark different runs. */
void fol_query_mark(fol_query *query, const fol_run *run, const fol_component *component,
                    uint64_t tick);
/* Whether marking has any effect: the query writes a resource, or a component somebody watches.
 * Stays so until another query is created. */
bool fol_query_needs_marks(const fol_query *query);

/* The memory behind a run's columns; retain it for as long as a pointer into it is kept. Any
 * thread. */
fol_block *fol_query_block(const fol_query *query, const fol_run *run);
void fol_block_retain(fol_block *block);
void fol_block_release(fol_block *block);

/* Joining small tables. A gather copies the rows of many short runs into columns of its own, so
 * that work with a cost per call is done once for all of them, and copies written columns back. For
 * queries over plain data only. The query must outlive it. */
typedef struct fol_gather fol_gather;

/* Joins up to max_rows rows (1 .. 2^24). FOL_E_VALUE for bytes, objects or a bad max_rows. */
int fol_gather_create(fol_query *query, size_t max_rows, fol_gather **out);
void fol_gather_destroy(fol_gather *gather);
/* Forgets what is joined and not committed; call it after fol_query_begin. */
void fol_gather_begin(fol_gather *gather);
/* The next rows of an iterator on the query: 1, 0 at the end, or -ENOMEM. A run longer than
 * max_rows is given in place; else *joined is true and the columns are the gather's own, good until
 * the next call, with `match` and `version` of no meaning. */
int fol_gather_next(fol_gather *gather, fol_query_iterator *iterator, fol_run *out, bool *joined);
/* Copies the written columns of the joined rows back and marks them, or marks the run in place. */
void fol_gather_commit(fol_gather *gather, uint64_t tick);
/* The memory behind the last rows given. */
fol_block *fol_gather_block(const fol_gather *gather);

/* Replaces one Bytes cell of a column (copies). -ENOMEM. */
int fol_bytes_assign(fol_bytes *cell, const void *data, size_t size);
/* Keeps the data behind a Bytes value alive after its cell changes. Any thread. */
void fol_bytes_retain(const fol_bytes *value);
void fol_bytes_release(const fol_bytes *value);

/* Whole-world views. */

/* 128 bits over entity ids, plain data and bytes, in entity order, and resources by name; objects
 * do not count. Component types count by name and layout, so that equal worlds have equal digests
 * whatever the order of registration or of rows. */
void fol_world_digest(const fol_world *world, uint8_t out[16]);

/* Calls visit for every object the world holds (components, resources); stops at nonzero and
 * returns it. For garbage collectors. */
int fol_world_visit_objects(const fol_world *world, int (*visit)(void *object, void *argument),
                            void *argument);
/* Replaces every object by NULL, dropping it. */
void fol_world_clear_objects(fol_world *world);

/* Command buffers. */

typedef struct fol_commands_config {
    uint32_t max_commands; /* that one run of a system records; a many-command is one */
    size_t max_bytes;      /* of payload that these carry, in whole 16-byte units */
    uint8_t worker;        /* 0 .. 254: among equal stamps, lower workers come first */
} fol_commands_config;

/* The real id a provisional one stands for, once it was merged; the id itself otherwise. */
fol_entity fol_commands_resolve(const fol_commands *commands, fol_entity entity);
/* True for ids given by spawn commands: generation 0xffffffff. */
static inline bool fol_entity_is_provisional(fol_entity entity)
{
    return (entity >> 32) == 0xffffffffu;
}

/* A buffer grows with what is recorded between two merges and stays as large: behind a merge each
 * buffer has room for all that the merged ones held, so to record no more than that again allocates
 * nothing, whichever buffer gets it. */
int fol_commands_create(fol_world *world, const fol_commands_config *config, fol_commands **out);
/* Drops what was recorded and not merged. */
void fol_commands_destroy(fol_commands *commands);

/* Stamps what is recorded next, a run of a system: the system's place in the plan and the chunk of
 * the system. Of a run the limits hold: max_commands, max_bytes, and as many spawns as the world's
 * max_entities. Beyond them recording returns FOL_E_CAPACITY, and the command fails alone. */
void fol_commands_begin(fol_commands *commands, uint32_t system_order, uint32_t chunk);
/* The same for one part of a run that other buffers may hold parts of: those recorded with the same
 * system order since the last merge. The limits are the run's, and recording says nothing of them:
 * the merge refuses the first command, in its order, that does not fit, and all of the run behind
 * it. So it does not matter how many parts there are. A spawn that is sure to be refused gives an
 * id that means nobody, and the `drop` of such a call is called at once. */
void fol_commands_begin_part(fol_commands *commands, uint32_t system_order, uint32_t chunk);
/* Forgets what was recorded since the last begin: a failed system's commands go whole. */
void fol_commands_rollback(fol_commands *commands);
/* Forgets what was recorded with this system order since the last merge, in whatever chunks: a
 * system that failed on one worker loses its commands in every buffer. What waits from a merge that
 * failed stays. For the thread that holds the world, before the merge; drops objects, so it needs
 * the host as fol_commands_rollback does. */
void fol_commands_discard(fol_commands *commands, uint32_t system_order);
/* Commands waiting for a merge, those that it will refuse as well. */
uint32_t fol_commands_count(const fol_commands *commands);
/* Those of them that were recorded since the last begin. */
uint32_t fol_commands_recorded(const fol_commands *commands);
/* True when merging may need the host: a waiting command holds objects or a host call, or any
 * command waits and the world has object components, whose values commands may drop. */
bool fol_commands_need_host(const fol_commands *commands);
/* The setting the last FOL_E_CAPACITY of this buffer was about: "max_commands", "command_bytes" or
 * "max_entities" (the run spawned more than a world of this size ever holds). */
const char *fol_commands_full_setting(const fol_commands *commands);
/* What that setting is. */
uint64_t fol_commands_full_limit(const fol_commands *commands);

/* Recording. Data is copied, objects retained. Ids may be provisional. FOL_E_CAPACITY; FOL_E_VALUE
 * as for the world's functions; FOL_E_BUSY while the world merges; -ENOMEM when the buffer cannot
 * grow. Whatever the failure, nothing of the command is recorded. */
int fol_commands_spawn(fol_commands *commands, const fol_value *values, size_t count,
                       fol_entity *out);
int fol_commands_spawn_many(fol_commands *commands, size_t count, const fol_bulk *bulks,
                            size_t bulk_count, fol_entity *ids_out);
int fol_commands_despawn(fol_commands *commands, fol_entity entity);
int fol_commands_add(fol_commands *commands, fol_entity entity, const fol_value *values,
                     size_t count);
int fol_commands_set(fol_commands *commands, fol_entity entity, const fol_value *values,
                     size_t count);
int fol_commands_remove(fol_commands *commands, fol_entity entity, fol_component *const *components,
                        size_t count);
int fol_commands_insert(fol_commands *commands, const fol_value *resource);
int fol_commands_add_many(fol_commands *commands, const fol_entity *ids, size_t count,
                          const fol_bulk *bulks, size_t bulk_count);
int fol_commands_remove_many(fol_commands *commands, const fol_entity *ids, size_t count,
                             fol_component *const *components, size_t component_count);
int fol_commands_despawn_many(fol_commands *commands, const fol_entity *ids, size_t count);
/* A custom command: fn runs at the merge between the commands before and after it, with the world
 * in its hands (every world function is allowed). A negative return is kept as the merge's error
 * for that system; the merge goes on. drop (may be NULL) is called once, run or not. needs_host: fn
 * or drop call into the host language. */
int fol_commands_call(fol_commands *commands, int (*fn)(void *world, void *argument),
                      void (*drop)(void *argument), void *argument, bool needs_host);

/* The table of the functions above for native kernels. */
extern const fol_command_api fol_command_api_table;

typedef enum fol_command_kind {
    FOL_COMMAND_SPAWN = 0,
    FOL_COMMAND_DESPAWN,
    FOL_COMMAND_ADD,
    FOL_COMMAND_SET,
    FOL_COMMAND_REMOVE,
    FOL_COMMAND_INSERT,
    FOL_COMMAND_CALL,
    FOL_COMMAND_KINDS,
} fol_command_kind;

/* "spawn", "despawn", … */
const char *fol_command_kind_name(fol_command_kind kind);

typedef struct fol_merge_report {
    uint64_t applied[FOL_COMMAND_KINDS]; /* many-commands count one for each entity */
    uint64_t dropped; /* on entities that were gone or lacked the component, or refused: a
                       * many-command counts one for each entity here too */
    uint64_t moves;   /* rows moved between tables or created */
    uint64_t bytes_moved;
    /* Called for each custom command that failed, and with FOL_E_CAPACITY once for each system of
     * which the merge refuses commands and for each setting it refuses them for; may be NULL. */
    void (*on_error)(void *argument, uint32_t system_order, int status);
    void *on_error_argument;
    /* Runs part(argument, index) once for every index below count, on any threads in any order, and
     * returns when all are done; `state` is parallel_state. NULL: all on the caller's thread. Parts
     * never call the host. Asked for groups of 4,096 entities or more without Bytes and objects,
     * and for the plain columns of many-commands on more than 4,096 rows and 256 KiB; the world
     * comes out the same to the last row. */
    void (*run_parallel)(void *state, uint32_t count, void (*part)(void *argument, uint32_t index),
                         void *argument);
    void *parallel_state;
} fol_merge_report;

/* Applies the buffers' commands in the order (system order, chunk, sequence within the chunk) as if
 * one after another; the commands of one entity between two custom commands become one move. The
 * report's counts are added to. On -ENOMEM the commands that could not be applied stay in their
 * buffers, none half done, and the next merge tries again. Buffers are empty after success;
 * provisional ids stay resolvable until fol_commands_end_frame.
 *
 * Commands that lead to more component sets, types or entities than the world may have (max_tables,
 * max_components, max_entities) are refused: they are dropped, and all others applied. A spawn
 * takes its place when its turn comes, which may be one that a despawn before it has left. Commands
 * beyond the limits of a run recorded in parts are refused as well, before all others are looked
 * at. An entity whose set can
 * get no table any more keeps the longest part of its commands that ends in a set with a table;
 * those behind that would change the set are refused. A many-command is refused whole. The entities
 * named first get the last tables, and the types named first the last numbers.
 * fol_world_full_setting and fol_world_full_limit say in on_error what was full. */
int fol_world_merge(fol_world *world, fol_commands *const *buffers, size_t count,
                    fol_merge_report *report);
/* Forgets the provisional ids of the frame. */
void fol_commands_end_frame(fol_commands *commands);

#ifdef __cplusplus
}
#endif

#endif
