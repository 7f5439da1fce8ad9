/* Finding and making tables; see graph.h. */

#include "world/graph.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

#define MIN_TABLES 16u

/* A table with the hash may have another set: the list of equal hashes is walked. */
fol_table *fol_graph_lookup(const fol_world *world, const fol_set *set)
{
    uint32_t first = fol_map_find(&world->table_of, set->hash);
    if (first == FOL_MAP_ABSENT) {
        return NULL;
    }
    fol_table *table = world->tables[first];
    size_t words = fol_world_mask_words(world);
    /* Ends with the list, which holds each table once. */
    while (table != NULL && !fol_bits_equal(table->mask, set->mask, words)) {
        table = table->next_same;
    }
    return table;
}

/* Room in the list of tables and in the map for one more. */
static int reserve_table(fol_world *world)
{
    /* The table of entities without components is always there and does not count. */
    if (world->table_count > world->config.max_tables) {
        return fol_world_is_full(world, "max_tables", world->config.max_tables);
    }
    if (world->table_count == world->table_capacity) {
        uint32_t capacity = world->table_capacity == 0 ? MIN_TABLES : world->table_capacity * 2;
        fol_table **tables = fol_realloc_array(world->tables, capacity, sizeof(fol_table *));
        if (tables == NULL) {
            return -ENOMEM;
        }
        world->tables = tables;
        world->table_capacity = capacity;
    }
    return fol_map_reserve(&world->table_of, world->table_of.count + 1);
}

static fol_table *describe_table(const fol_world *world, const fol_set *set)
{
    fol_component *components[FOL_MAX_TYPES];
    uint16_t types[FOL_MAX_TYPES];
    uint32_t count = 0;
    size_t words = fol_world_mask_words(world);
    size_t end = words * FOL_WORD_BITS;
    for (size_t type = fol_bits_next(set->mask, words, 0); type < end;
         type = fol_bits_next(set->mask, words, type + 1)) {
        components[count] = world->types[type].component;
        types[count] = (uint16_t)type;
        count++;
    }
    return fol_table_create(components, types, count, set->hash);
}

static int make_table(fol_world *world, const fol_set *set, fol_table **out)
{
    int status = reserve_table(world);
    if (status < 0) {
        return status;
    }
    fol_table *table = describe_table(world, set);
    if (table == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < table->part_count; i++) {
        fol_part *part = &table->parts[i];
        if (world->types[part->type].is_watched) {
            status = fol_table_watch(table, part, 0);
            FOL_ASSERT(status == 0);
        }
    }
    table->index = world->table_count;
    uint32_t same = fol_map_find(&world->table_of, set->hash);
    if (same == FOL_MAP_ABSENT) {
        status = fol_map_insert(&world->table_of, set->hash, table->index);
        FOL_ASSERT(status == 0);
    } else {
        table->next_same = world->tables[same]->next_same;
        world->tables[same]->next_same = table;
    }
    world->tables[world->table_count++] = table;
    fol_world_restructure(world);
    table->version = world->structure_version;
    *out = table;
    return 0;
}

int fol_graph_find(fol_world *world, const fol_set *set, fol_table **out)
{
    fol_table *table = fol_graph_lookup(world, set);
    if (table != NULL) {
        *out = table;
        return 0;
    }
    return make_table(world, set, out);
}

int fol_set_name(fol_world *world, fol_component *component, fol_set *set, uint16_t *out)
{
    uint32_t type;
    if (component == NULL || component->is_resource) {
        return FOL_E_VALUE;
    }
    int status = fol_world_type_of(world, component, &type);
    if (status < 0) {
        return status;
    }
    if (fol_set_has(set, type)) {
        return FOL_E_VALUE;
    }
    fol_set_add(set, world, type);
    *out = (uint16_t)type;
    return 0;
}

/* An edge's key is never shared: table, type and direction have bits of their own. */
static uint64_t edge_key(const fol_table *from, uint32_t type, bool is_removed)
{
    return ((uint64_t)from->index << 11) | (uint64_t)type << 1 | (is_removed ? 1 : 0);
}

int fol_graph_step(fol_world *world, fol_table *from, uint32_t type, bool is_removed,
                   fol_table **out)
{
    FOL_ASSERT(fol_table_has(from, type) == is_removed);
    uint64_t key = edge_key(from, type, is_removed);
    uint32_t known = fol_map_find(&world->edges, key);
    fol_table *to;
    if (known != FOL_MAP_ABSENT) {
        to = world->tables[known];
    } else {
        fol_set set;
        fol_set_of_table(&set, from, fol_world_mask_words(world));
        if (is_removed) {
            fol_set_remove(&set, world, type);
        } else {
            fol_set_add(&set, world, type);
        }
        int status = fol_graph_find(world, &set, &to);
        if (status < 0) {
            return status;
        }
        /* An edge that is not remembered is only slower. */
        (void)fol_map_insert(&world->edges, key, to->index);
    }
    if (is_removed) {
        from->removed_type = type;
        from->removed_to = to;
    } else {
        from->added_type = type;
        from->added_to = to;
    }
    *out = to;
    return 0;
}
