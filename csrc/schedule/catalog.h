/* What a schedule declares: names of phases, resources and sets, and the access of every system.
 *
 * Flat arrays that refer to each other by index, so a plan copies a catalog with a few block
 * copies. Every list of ids is ascending and holds no id twice. A system with q component queries
 * owns q + 1 consecutive query records; the last one is its plain resources, which no filter
 * narrows.
 */
#ifndef FOL_SCHEDULE_CATALOG_H
#define FOL_SCHEDULE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "foliot/schedule.h"

#define FOL_NONE UINT32_MAX

/* A run of fol_catalog.ids. */
typedef struct fol_span {
    size_t first;
    uint32_t count;
} fol_span;

typedef struct fol_query_record {
    fol_span touches;  /* id * 2, plus 1 when written */
    fol_span required; /* what a table must have, what is read and written included */
    fol_span excluded;
} fol_query_record;

typedef struct fol_system_record {
    size_t name;
    size_t query_first;
    uint32_t query_count; /* without the record of plain resources */
    uint32_t phase;
    fol_span sets;
    bool is_exclusive;
    bool records_commands;
    bool does_io;
    bool holds_interpreter;
} fol_system_record;

/* Names are offsets into fol_catalog.text. */
typedef struct fol_name_list {
    size_t *offsets;
    size_t count;
    size_t room;
} fol_name_list;

typedef struct fol_catalog {
    char *text;
    size_t text_size;
    size_t text_room;
    uint32_t *ids;
    size_t id_count;
    size_t id_room;
    fol_query_record *queries;
    size_t query_count;
    size_t query_room;
    fol_system_record *systems;
    size_t system_count;
    size_t system_room;
    fol_name_list phases;
    fol_name_list resources;
    fol_name_list sets;
} fol_catalog;

void fol_catalog_init(fol_catalog *catalog);
void fol_catalog_deinit(fol_catalog *catalog);

/* All or nothing; -ENOMEM. `list` is one of the catalog's own. */
int fol_catalog_add_name(fol_catalog *catalog, fol_name_list *list, const char *name,
                         uint32_t *out);
/* Every id of the specification exists. */
int fol_catalog_add_system(fol_catalog *catalog, const fol_system_spec *spec, uint32_t *out);

/* `to` is not initialised before; on failure it needs no deinit. */
int fol_catalog_copy(const fol_catalog *from, fol_catalog *to);

static inline const char *fol_catalog_name(const fol_catalog *catalog, const fol_name_list *list,
                                           uint32_t id)
{
    FOL_ASSERT(id < list->count);
    return catalog->text + list->offsets[id];
}

static inline const fol_system_record *fol_catalog_system(const fol_catalog *catalog, uint32_t id)
{
    FOL_ASSERT(id < catalog->system_count);
    return &catalog->systems[id];
}

static inline const char *fol_catalog_system_name(const fol_catalog *catalog, uint32_t id)
{
    return catalog->text + fol_catalog_system(catalog, id)->name;
}

/* The record of plain resources is number query_count. */
static inline const fol_query_record *
fol_catalog_query(const fol_catalog *catalog, const fol_system_record *system, uint32_t number)
{
    FOL_ASSERT_HOT(number <= system->query_count);
    return &catalog->queries[system->query_first + number];
}

static inline const uint32_t *fol_catalog_ids(const fol_catalog *catalog, fol_span span)
{
    return catalog->ids + span.first;
}

/* It matches entities or takes the whole world, so recorded commands change what it finds. */
static inline bool fol_system_observes(const fol_system_record *system)
{
    return system->query_count > 0 || system->is_exclusive;
}

static inline bool fol_system_has_access(const fol_catalog *catalog,
                                         const fol_system_record *system)
{
    return fol_system_observes(system) ||
           fol_catalog_query(catalog, system, system->query_count)->touches.count > 0;
}

#endif
