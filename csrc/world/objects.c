/* The host's objects in a world, for its garbage collector. */

#include "world/world.h"

typedef int (*visitor)(void *object, void *argument);

static int visit_part(const fol_table *table, const fol_part *part, visitor visit, void *argument)
{
    void *const *cells = (void *const *)(void *)fol_part_columns(table, part)->data;
    for (size_t row = 0; row < table->rows; row++) {
        int result = cells[row] == NULL ? 0 : visit(cells[row], argument);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static bool is_object(const fol_component *component)
{
    return component->storage == FOL_STORAGE_OBJECT;
}

static int visit_tables(const fol_world *world, visitor visit, void *argument)
{
    for (uint32_t t = 0; t < world->table_count; t++) {
        const fol_table *table = world->tables[t];
        if (!table->has_owned) {
            continue;
        }
        for (uint32_t p = 0; p < table->part_count; p++) {
            int result = is_object(table->parts[p].component)
                             ? visit_part(table, &table->parts[p], visit, argument)
                             : 0;
            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

static int visit_resources(const fol_world *world, visitor visit, void *argument)
{
    for (uint32_t i = 0; i < world->type_count; i++) {
        const fol_type *type = &world->types[i];
        if (!type->is_present || !is_object(type->component)) {
            continue;
        }
        void *object = *(void **)type->resource;
        int result = object == NULL ? 0 : visit(object, argument);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int fol_world_visit_objects(const fol_world *world, int (*visit)(void *object, void *argument),
                            void *argument)
{
    int result = 0;
    if (world->object_type_count != 0) {
        result = visit_tables(world, visit, argument);
        if (result == 0) {
            result = visit_resources(world, visit, argument);
        }
    }
    for (const fol_commands *commands = world->commands; commands != NULL && result == 0;
         commands = fol_commands_next(commands)) {
        result = fol_commands_visit(commands, visit, argument);
    }
    return result;
}

static void clear_cell(const fol_component *component, void *cell)
{
    void *object = *(void **)cell;
    *(void **)cell = NULL;
    if (object != NULL) {
        component->hooks->drop(object);
    }
}

void fol_world_clear_objects(fol_world *world)
{
    for (fol_commands *commands = world->commands; commands != NULL;
         commands = fol_commands_next(commands)) {
        fol_commands_clear_objects(commands);
    }
    for (uint32_t t = 0; t < world->table_count; t++) {
        fol_table *table = world->tables[t];
        for (uint32_t p = 0; p < table->part_count; p++) {
            const fol_part *part = &table->parts[p];
            for (size_t row = 0; is_object(part->component) && row < table->rows; row++) {
                clear_cell(part->component, fol_column_cell(fol_part_columns(table, part), row));
            }
        }
    }
    for (uint32_t i = 0; i < world->type_count; i++) {
        const fol_type *type = &world->types[i];
        if (type->is_present && is_object(type->component)) {
            clear_cell(type->component, type->resource);
        }
    }
}
