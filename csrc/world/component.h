/* The inside of a component type: immutable after creation but for its count of references. */
#ifndef FOL_WORLD_COMPONENT_H
#define FOL_WORLD_COMPONENT_H

#include <stdatomic.h>

#include "foliot/world.h"

struct fol_component {
    _Atomic uint64_t references;
    const char *name;
    fol_storage storage;
    bool is_resource;
    uint32_t field_count;
    uint32_t value_size;
    uint64_t identity[2]; /* hash of name and layout, for digests */
    const fol_object_hooks *hooks;
    fol_field fields[]; /* their strings follow the last one */
};

/* Bytes and objects own something; plain data does not. */
static inline bool fol_component_is_owned(const fol_component *component)
{
    return component->storage != FOL_STORAGE_PLAIN;
}

/* An order of component types by what they are: name, then layout. */
int fol_component_compare(const fol_component *a, const fol_component *b);

#endif
