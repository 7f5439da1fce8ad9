/* Flat storage of declarations; see catalog.h. */

#include "schedule/catalog.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/grow.h"

void fol_catalog_init(fol_catalog *catalog)
{
    memset(catalog, 0, sizeof(*catalog));
}

void fol_catalog_deinit(fol_catalog *catalog)
{
    fol_free(catalog->text);
    fol_free(catalog->ids);
    fol_free(catalog->queries);
    fol_free(catalog->systems);
    fol_free(catalog->phases.offsets);
    fol_free(catalog->resources.offsets);
    fol_free(catalog->sets.offsets);
    fol_catalog_init(catalog);
}

static int reserve_text(fol_catalog *catalog, size_t size)
{
    char *text = fol_grow(catalog->text, &catalog->text_room, catalog->text_size + size, 1);
    if (text == NULL) {
        return -ENOMEM;
    }
    catalog->text = text;
    return FOL_OK;
}

/* The offset of a copy of the name, for which there is room. */
static size_t put_text(fol_catalog *catalog, const char *name, size_t size)
{
    FOL_ASSERT(catalog->text_size + size <= catalog->text_room);
    size_t offset = catalog->text_size;
    memcpy(catalog->text + offset, name, size);
    catalog->text_size += size;
    return offset;
}

int fol_catalog_add_name(fol_catalog *catalog, fol_name_list *list, const char *name, uint32_t *out)
{
    size_t size = strlen(name) + 1;
    int status = reserve_text(catalog, size);
    if (status != FOL_OK) {
        return status;
    }
    size_t *offsets = fol_grow(list->offsets, &list->room, list->count + 1, sizeof(*offsets));
    if (offsets == NULL) {
        return -ENOMEM;
    }
    list->offsets = offsets;
    FOL_ASSERT(list->count < FOL_NONE);
    *out = (uint32_t)list->count;
    list->offsets[list->count++] = put_text(catalog, name, size);
    return FOL_OK;
}

static bool is_ascending(const uint32_t *ids, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (ids[i - 1] >= ids[i]) {
            return false;
        }
    }
    return true;
}

static void sift_down(uint32_t *ids, size_t root, size_t count)
{
    uint32_t value = ids[root];
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && ids[child + 1] > ids[child]) {
            child++;
        }
        if (ids[child] <= value) {
            break;
        }
        ids[root] = ids[child];
        root = child;
    }
    ids[root] = value;
}

/* Heapsort: the library's sort may allocate. */
static void sort_ids(uint32_t *ids, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(ids, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        uint32_t greatest = ids[0];
        ids[0] = ids[end];
        ids[end] = greatest;
        sift_down(ids, 0, end);
    }
}

/* Sorts what was appended since `first` and drops repetitions. Items are equal when they agree
 * above `shift` bits; the greatest of equals stays, so that of a read and a write the write does.
 */
static fol_span close_span(fol_catalog *catalog, size_t first, unsigned shift)
{
    FOL_ASSERT(first <= catalog->id_count);
    uint32_t *ids = catalog->ids + first;
    size_t count = catalog->id_count - first;
    if (!is_ascending(ids, count)) {
        sort_ids(ids, count);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && ids[kept - 1] >> shift == ids[i] >> shift) {
            ids[kept - 1] = ids[i];
        } else {
            ids[kept++] = ids[i];
        }
    }
    catalog->id_count = first + kept;
    return (fol_span){.first = first, .count = (uint32_t)kept};
}

static void append_ids(fol_catalog *catalog, fol_id_list list)
{
    FOL_ASSERT(catalog->id_count + list.count <= catalog->id_room);
    if (list.count > 0) {
        memcpy(catalog->ids + catalog->id_count, list.ids, list.count * sizeof(*list.ids));
        catalog->id_count += list.count;
    }
}

static void append_touches(fol_catalog *catalog, fol_id_list list, uint32_t writes)
{
    FOL_ASSERT(catalog->id_count + list.count <= catalog->id_room);
    for (size_t i = 0; i < list.count; i++) {
        catalog->ids[catalog->id_count++] = list.ids[i] * 2 + writes;
    }
}

static void put_query(fol_catalog *catalog, const fol_query_access *access, bool is_filter)
{
    FOL_ASSERT(catalog->query_count < catalog->query_room);
    fol_query_record *query = &catalog->queries[catalog->query_count++];
    size_t first = catalog->id_count;
    append_touches(catalog, access->reads, 0);
    append_touches(catalog, access->writes, 1);
    query->touches = close_span(catalog, first, 1);
    first = catalog->id_count;
    if (is_filter) {
        append_ids(catalog, access->reads);
        append_ids(catalog, access->writes);
        append_ids(catalog, access->required);
    }
    query->required = close_span(catalog, first, 0);
    first = catalog->id_count;
    append_ids(catalog, access->excluded);
    query->excluded = close_span(catalog, first, 0);
}

/* An upper bound of the ids that the records of a system hold. */
static size_t count_ids(const fol_system_spec *spec)
{
    size_t count = spec->resource_reads.count + spec->resource_writes.count + spec->sets.count;
    for (size_t i = 0; i < spec->query_count; i++) {
        const fol_query_access *query = &spec->queries[i];
        count += 2 * (query->reads.count + query->writes.count);
        count += query->required.count + query->excluded.count;
    }
    return count;
}

static int reserve_system(fol_catalog *catalog, const fol_system_spec *spec, size_t name_size)
{
    int status = reserve_text(catalog, name_size);
    if (status != FOL_OK) {
        return status;
    }
    uint32_t *ids = fol_grow(catalog->ids, &catalog->id_room, catalog->id_count + count_ids(spec),
                             sizeof(*ids));
    if (ids == NULL) {
        return -ENOMEM;
    }
    catalog->ids = ids;
    fol_query_record *queries =
        fol_grow(catalog->queries, &catalog->query_room,
                 catalog->query_count + spec->query_count + 1, sizeof(*queries));
    if (queries == NULL) {
        return -ENOMEM;
    }
    catalog->queries = queries;
    fol_system_record *systems = fol_grow(catalog->systems, &catalog->system_room,
                                          catalog->system_count + 1, sizeof(*systems));
    if (systems == NULL) {
        return -ENOMEM;
    }
    catalog->systems = systems;
    return FOL_OK;
}

int fol_catalog_add_system(fol_catalog *catalog, const fol_system_spec *spec, uint32_t *out)
{
    size_t name_size = strlen(spec->name) + 1;
    int status = reserve_system(catalog, spec, name_size);
    if (status != FOL_OK) {
        return status;
    }
    fol_system_record *system = &catalog->systems[catalog->system_count];
    *system = (fol_system_record){
        .name = put_text(catalog, spec->name, name_size),
        .query_first = catalog->query_count,
        .query_count = (uint32_t)spec->query_count,
        .phase = spec->phase,
        .is_exclusive = spec->is_exclusive,
        .records_commands = spec->records_commands,
        .does_io = spec->does_io,
        .holds_interpreter = spec->holds_interpreter,
    };
    for (size_t i = 0; i < spec->query_count; i++) {
        put_query(catalog, &spec->queries[i], true);
    }
    fol_query_access resources = {.reads = spec->resource_reads, .writes = spec->resource_writes};
    put_query(catalog, &resources, false);
    size_t first = catalog->id_count;
    append_ids(catalog, spec->sets);
    system->sets = close_span(catalog, first, 0);
    *out = (uint32_t)catalog->system_count++;
    return FOL_OK;
}

/* A copy of `count` items; an empty one is a block too, so NULL always means failure. */
static void *copy_items(const void *items, size_t count, size_t item_size)
{
    void *copy = fol_alloc_array(count, item_size);
    if (copy != NULL && count > 0) {
        memcpy(copy, items, count * item_size);
    }
    return copy;
}

static size_t *copy_names(const fol_name_list *from, fol_name_list *to)
{
    to->offsets = copy_items(from->offsets, from->count, sizeof(*from->offsets));
    to->count = from->count;
    to->room = from->count;
    return to->offsets;
}

int fol_catalog_copy(const fol_catalog *from, fol_catalog *to)
{
    fol_catalog copy = *from;
    copy.text_room = from->text_size;
    copy.id_room = from->id_count;
    copy.query_room = from->query_count;
    copy.system_room = from->system_count;
    copy.text = copy_items(from->text, from->text_size, 1);
    copy.ids = copy_items(from->ids, from->id_count, sizeof(*from->ids));
    copy.queries = copy_items(from->queries, from->query_count, sizeof(*from->queries));
    copy.systems = copy_items(from->systems, from->system_count, sizeof(*from->systems));
    size_t *phases = copy_names(&from->phases, &copy.phases);
    size_t *resources = copy_names(&from->resources, &copy.resources);
    size_t *sets = copy_names(&from->sets, &copy.sets);
    if (copy.text == NULL || copy.ids == NULL || copy.queries == NULL || copy.systems == NULL ||
        phases == NULL || resources == NULL || sets == NULL) {
        fol_catalog_deinit(&copy);
        return -ENOMEM;
    }
    *to = copy;
    return FOL_OK;
}
