/* Items of plain data: one number at an address, to and from Python.
 *
 * Formats are those of PEP 3118 that foliot._component gives out: ? b B h H i I q Q e f d Zf Zd, in
 * the machine's own byte order. Addresses need no alignment.
 */
#ifndef FOL_BINDINGS_ITEM_H
#define FOL_BINDINGS_ITEM_H

#include "bindings/bindings.h"

/* True for a format the functions below understand. */
bool fol_py_format_is_known(const char *format);
/* True when a buffer's format (NULL: bytes) describes the same items as the field. */
bool fol_py_format_matches(const char *buffer_format, const fol_field *field);

PyObject *fol_py_item_read(const fol_field *field, const void *item);
/* Where a number goes: errors name it "Position.x", or "Mass" for an unnamed field. */
typedef struct fol_py_place {
    const fol_component *component;
    const fol_field *field;
} fol_py_place;

#define FOL_PY_LABEL_SIZE 200

/* The name of a place, written into room (FOL_PY_LABEL_SIZE bytes). Returns room. */
const char *fol_py_place_label(fol_py_place place, char *room);

/* Converts and stores one item. ValueError when the number does not fit, TypeError when it is no
 * number of this kind. */
int fol_py_item_write(fol_py_place place, PyObject *value, void *item);
/* Equality as Python has it: 0.0 equals -0.0, nan equals nothing. */
bool fol_py_item_equal(const fol_field *field, const void *a, const void *b);
/* Mixes the item into a hash such that equal items hash alike. */
uint64_t fol_py_item_hash(const fol_field *field, const void *item, uint64_t hash);

#endif
