/* Memory, references and buffers that live until one release.
 *
 * Arguments are turned into what the core takes before the world is entered, and everything made on
 * the way ends at one place. Small calls stay within the inline bytes and allocate nothing.
 */
#include "bindings/bindings.h"

#define ALIGNMENT 16u
#define BLOCK_MIN 4096u

typedef struct block {
    struct block *next;
    size_t size;
    size_t used;
    size_t padding; /* keeps the bytes after the header aligned */
} block;

typedef struct hold {
    struct hold *next;
    PyObject *object; /* NULL when the hold is of a buffer */
    Py_buffer buffer;
} hold;

_Static_assert(sizeof(block) % ALIGNMENT == 0, "memory after a block's header is aligned");

void fol_py_scratch_init(fol_py_scratch *scratch)
{
    scratch->blocks = NULL;
    scratch->holds = NULL;
    scratch->used = 0;
}

static void *take_from_new_block(fol_py_scratch *scratch, size_t size)
{
    size_t room = size > BLOCK_MIN ? size : BLOCK_MIN;
    block *fresh = PyMem_Malloc(sizeof(block) + room);
    if (fresh == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    fresh->next = scratch->blocks;
    fresh->size = room;
    fresh->used = size;
    scratch->blocks = fresh;
    return fresh + 1;
}

void *fol_py_scratch_take(fol_py_scratch *scratch, size_t size)
{
    if (size > (size_t)PY_SSIZE_T_MAX / 2) {
        PyErr_NoMemory();
        return NULL;
    }
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (scratch->blocks == NULL && size <= sizeof(scratch->first) - scratch->used) {
        void *memory = scratch->first + scratch->used;
        scratch->used += size;
        return memory;
    }
    block *last = scratch->blocks;
    if (last != NULL && size <= last->size - last->used) {
        void *memory = (unsigned char *)(last + 1) + last->used;
        last->used += size;
        return memory;
    }
    return take_from_new_block(scratch, size);
}

static hold *add_hold(fol_py_scratch *scratch)
{
    hold *added = fol_py_scratch_take(scratch, sizeof(hold));
    if (added != NULL) {
        added->next = scratch->holds;
        added->object = NULL;
    }
    return added;
}

int fol_py_scratch_hold(fol_py_scratch *scratch, PyObject *object)
{
    hold *added = add_hold(scratch);
    if (added == NULL) {
        return -1;
    }
    added->object = Py_NewRef(object);
    scratch->holds = added;
    return 0;
}

int fol_py_scratch_buffer(fol_py_scratch *scratch, PyObject *object, int flags, Py_buffer **out)
{
    hold *added = add_hold(scratch);
    if (added == NULL || PyObject_GetBuffer(object, &added->buffer, flags) < 0) {
        return -1;
    }
    scratch->holds = added;
    *out = &added->buffer;
    return 0;
}

void fol_py_scratch_release(fol_py_scratch *scratch)
{
    if (scratch->holds != NULL) {
        PyObject *type;
        PyObject *error;
        PyObject *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        for (hold *each = scratch->holds; each != NULL; each = each->next) {
            if (each->object != NULL) {
                Py_DECREF(each->object);
            } else {
                PyBuffer_Release(&each->buffer);
            }
        }
        scratch->holds = NULL;
        PyErr_Restore(type, error, traceback);
    }
    block *next = scratch->blocks;
    while (next != NULL) {
        block *gone = next;
        next = gone->next;
        PyMem_Free(gone);
    }
    scratch->blocks = NULL;
}
