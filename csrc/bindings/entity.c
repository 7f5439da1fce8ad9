/* fo.Entity: an int that knows its two halves, and arrays of ids. */
#include "bindings/bindings.h"

#include "bindings/types.h"

#define GENERATION_SHIFT 32

static int halves(PyObject *self, fol_entity *out)
{
    /* Entity(-1) is a valid int of no entity: its bits are read as they are. */
    *out = PyLong_AsUnsignedLongLongMask(self);
    return *out == (fol_entity)-1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *entity_index(PyObject *self, void *Py_UNUSED(closure))
{
    fol_entity id;
    return halves(self, &id) < 0 ? NULL : PyLong_FromUnsignedLong((uint32_t)id);
}

static PyObject *entity_generation(PyObject *self, void *Py_UNUSED(closure))
{
    fol_entity id;
    return halves(self, &id) < 0 ? NULL
                                 : PyLong_FromUnsignedLong((uint32_t)(id >> GENERATION_SHIFT));
}

static PyObject *entity_repr(PyObject *self)
{
    fol_entity id;
    if (halves(self, &id) < 0) {
        return NULL;
    }
    if (fol_entity_is_provisional(id)) {
        return PyUnicode_FromFormat("Entity(provisional, index=%u)", (unsigned)id);
    }
    return PyUnicode_FromFormat("Entity(index=%u, generation=%u)", (unsigned)id,
                                (unsigned)(id >> GENERATION_SHIFT));
}

PyObject *fol_py_entity_new(fol_py_state *state, fol_entity entity)
{
    PyObject *number = PyLong_FromUnsignedLongLong(entity);
    PyObject *made =
        number == NULL ? NULL : PyObject_CallOneArg((PyObject *)state->entity_type, number);
    Py_XDECREF(number);
    return made;
}

PyObject *fol_py_entity_array(fol_py_state *state, Py_ssize_t count, fol_entity **out)
{
    PyObject *shape = Py_BuildValue("(n)", count);
    if (shape == NULL) {
        return NULL;
    }
    PyObject *array =
        PyObject_CallFunctionObjArgs(state->ndarray, shape, state->entity_dtype, NULL);
    Py_DECREF(shape);
    Py_buffer buffer;
    if (array == NULL || PyObject_GetBuffer(array, &buffer, PyBUF_WRITABLE) < 0) {
        Py_XDECREF(array);
        return NULL;
    }
    *out = buffer.buf;
    PyBuffer_Release(&buffer);
    return array;
}

static PyGetSetDef entity_getset[] = {
    {"index", entity_index, NULL, "Place of the entity among all; used again after a despawn.",
     NULL},
    {"generation", entity_generation, NULL, "Times the index was given out.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(entity_doc, "The id of an entity: an int, ``generation << 32 | index``.\n\n"
                         "Ids are never given out twice: an index that is used again has another "
                         "generation.\n\n"
                         "Example:\n"
                         "    >>> import foliot as fo\n"
                         "    >>> entity = fo.World().spawn()\n"
                         "    >>> entity == entity.generation << 32 | entity.index\n"
                         "    True\n");

static PyType_Slot entity_slots[] = {
    {Py_tp_doc, (void *)entity_doc},
    {Py_tp_repr, entity_repr},
    {Py_tp_getset, entity_getset},
    {0, NULL},
};

static PyType_Spec entity_spec = {
    .name = "foliot.Entity",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = entity_slots,
};

int fol_py_add_entity_type(fol_py_state *state)
{
    return fol_py_add_type(state, &entity_spec, (PyObject *)&PyLong_Type, &state->entity_type);
}
