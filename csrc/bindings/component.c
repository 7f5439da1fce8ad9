/* Component classes: a metaclass whose instances carry the core's component type.
 *
 * foliot._component turns what users write into fields; make_component here turns those into a
 * class. Plain classes stand for object resources: one component is made for each and kept for as
 * long as the class lives.
 */
#include "bindings/bindings.h"

#include "bindings/field.h"
#include "bindings/item.h"
#include "bindings/types.h"
#include "bindings/value.h"

#include <string.h>

#define CAPSULE_NAME "foliot.resource"

static void retain_object(void *object)
{
    Py_XINCREF((PyObject *)object);
}

static void drop_object(void *object)
{
    Py_XDECREF((PyObject *)object);
}

static const fol_object_hooks object_hooks = {retain_object, drop_object};

/* One (name, format, item size, shape, dtype). Strings are borrowed from the tuple. */
static int read_field(PyObject *description, fol_field *out)
{
    PyObject *shape;
    PyObject *dtype;
    unsigned item_size;
    const char *name;
    const char *format;
    if (!PyArg_ParseTuple(description, "ssIO!O", &name, &format, &item_size, &PyTuple_Type, &shape,
                          &dtype)) {
        return -1;
    }
    if (PyTuple_GET_SIZE(shape) > FOL_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "field %s has %zd dimensions, at most %d", name,
                     PyTuple_GET_SIZE(shape), FOL_MAX_DIMS);
        return -1;
    }
    *out = (fol_field){.name = name, .format = format, .item_size = item_size};
    out->ndim = (uint32_t)PyTuple_GET_SIZE(shape);
    for (uint32_t i = 0; i < out->ndim; i++) {
        unsigned long length = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(shape, i));
        if (PyErr_Occurred()) {
            return -1;
        }
        if (length == 0 || length > UINT32_MAX) {
            PyErr_Format(PyExc_ValueError, "field %s has a dimension of %lu items", name, length);
            return -1;
        }
        out->shape[i] = (uint32_t)length;
    }
    return 0;
}

static int read_spec(fol_py_state *state, PyObject *fields, fol_field *room,
                     fol_component_spec *spec, fol_component **out)
{
    Py_ssize_t count = PyTuple_GET_SIZE(fields);
    if (count > FOL_MAX_FIELDS) {
        PyErr_Format(PyExc_ValueError, "%s has %zd fields, at most %d", spec->name, count,
                     FOL_MAX_FIELDS);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (read_field(PyTuple_GET_ITEM(fields, i), &room[i]) < 0) {
            return -1;
        }
        if (spec->storage == FOL_STORAGE_PLAIN && !fol_py_format_is_known(room[i].format)) {
            PyErr_Format(PyExc_ValueError, "%s.%s has format %s, which is not plain data",
                         spec->name, room[i].name, room[i].format);
            return -1;
        }
    }
    spec->fields = room;
    spec->field_count = (uint32_t)count;
    int status = fol_component_create(spec, out);
    if (status < 0) {
        return fol_py_raise(state, status, "%s cannot be laid out: too large, or a field twice",
                            spec->name);
    }
    return 0;
}

/* Tuples of interned names and of dtypes. */
static int fill_names(fol_py_component *type, PyObject *fields)
{
    Py_ssize_t count = PyTuple_GET_SIZE(fields);
    type->names = PyTuple_New(count);
    type->dtypes = PyTuple_New(count);
    if (type->names == NULL || type->dtypes == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *description = PyTuple_GET_ITEM(fields, i);
        PyObject *name = PyTuple_GET_ITEM(description, 0);
        if (PyUnicode_GET_LENGTH(name) == 0) {
            name = PyUnicode_FromString("value");
            if (name == NULL) {
                return -1;
            }
        } else {
            Py_INCREF(name);
        }
        PyUnicode_InternInPlace(&name);
        PyTuple_SET_ITEM(type->names, i, name);
        PyTuple_SET_ITEM(type->dtypes, i, Py_NewRef(PyTuple_GET_ITEM(description, 4)));
    }
    return 0;
}

static int add_fields(fol_py_component *type)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->names); i++) {
        PyObject *name = PyTuple_GET_ITEM(type->names, i);
        PyObject *field = fol_py_field_new(type->state, name, (uint32_t)i);
        if (field == NULL || PyObject_SetAttr((PyObject *)type, name, field) < 0) {
            Py_XDECREF(field);
            return -1;
        }
        Py_DECREF(field);
    }
    return PyObject_SetAttr((PyObject *)type, type->state->names[FOL_PY_NAME___match_args__],
                            type->names);
}

/* The default of a class is the value a call without the rest of its fields gives. */
static int fill_defaults(fol_py_component *type, PyObject *defaults)
{
    if (PyDict_GET_SIZE(defaults) == 0) {
        return 0;
    }
    PyObject *made = PyObject_VectorcallDict((PyObject *)type, NULL, 0, defaults);
    if (made == NULL) {
        return -1;
    }
    fol_py_value *value = (fol_py_value *)made;
    uint32_t size = fol_component_value_size(type->component);
    if (fol_component_storage(type->component) != FOL_STORAGE_PLAIN) {
        type->default_object = Py_XNewRef(value->object);
    } else {
        type->default_value = PyMem_Malloc(size);
        if (type->default_value == NULL) {
            Py_DECREF(made);
            PyErr_NoMemory();
            return -1;
        }
        memcpy(type->default_value, value->packed, size);
    }
    Py_DECREF(made);
    return 0;
}

static PyObject *make_class(fol_py_state *state, PyObject *name, PyObject *space)
{
    PyObject *arguments = Py_BuildValue("(O(O)O)", name, (PyObject *)state->value_type, space);
    if (arguments == NULL) {
        return NULL;
    }
    PyObject *class = PyType_Type.tp_new(state->component_type, arguments, NULL);
    Py_DECREF(arguments);
    if (class != NULL) {
        /* Python lets an object change its class only where both classes add the same slots to
         * their base. Room that no slot accounts for keeps a value in the class whose layout its
         * packed bytes have. */
        ((PyTypeObject *)class)->tp_basicsize += (Py_ssize_t)sizeof(PyObject *);
    }
    return class;
}

PyDoc_STRVAR(
    make_component_doc,
    "make_component($module, name, storage, is_resource, fields, defaults, namespace, /)\n--\n\n"
    "A component class. storage: 0 plain, 1 bytes, 2 object; fields: tuples of name, "
    "format, item size, shape, dtype.");

static PyObject *make_component(PyObject *module, PyObject *arguments)
{
    fol_py_state *state = fol_py_state_of_module(module);
    PyObject *name;
    PyObject *fields;
    PyObject *defaults;
    PyObject *space;
    int storage;
    int is_resource;
    if (!PyArg_ParseTuple(arguments, "UipO!O!O!", &name, &storage, &is_resource, &PyTuple_Type,
                          &fields, &PyDict_Type, &defaults, &PyDict_Type, &space)) {
        return NULL;
    }
    fol_component_spec spec = {.name = PyUnicode_AsUTF8(name),
                               .storage = (fol_storage)storage,
                               .is_resource = is_resource != 0,
                               .hooks = storage == FOL_STORAGE_OBJECT ? &object_hooks : NULL};
    fol_field room[FOL_MAX_FIELDS];
    fol_component *component;
    if (spec.name == NULL || read_spec(state, fields, room, &spec, &component) < 0) {
        return NULL;
    }
    PyObject *class = make_class(state, name, space);
    if (class == NULL) {
        fol_component_release(component);
        return NULL;
    }
    fol_py_component *type = (fol_py_component *)class;
    type->state = state;
    type->component = component;
    type->heap.ht_type.tp_vectorcall = fol_py_value_call;
    if (fill_names(type, fields) < 0 || add_fields(type) < 0 || fill_defaults(type, defaults) < 0) {
        Py_DECREF(class);
        return NULL;
    }
    return class;
}

/* Object resources of plain classes. */

/* A class's name without its module. */
static const char *name_of(const PyTypeObject *class)
{
    const char *last = strrchr(class->tp_name, '.');
    return last == NULL ? class->tp_name : last + 1;
}

static void release_capsule(PyObject *capsule)
{
    fol_component_release(PyCapsule_GetPointer(capsule, CAPSULE_NAME));
}

static fol_component *make_class_resource(fol_py_state *state, PyObject *class)
{
    fol_field field = {.name = "", .format = "O"};
    fol_component_spec spec = {.name = name_of((PyTypeObject *)class),
                               .storage = FOL_STORAGE_OBJECT,
                               .is_resource = true,
                               .field_count = 1,
                               .fields = &field,
                               .hooks = &object_hooks};
    fol_component *component;
    int status = fol_component_create(&spec, &component);
    if (status < 0) {
        fol_py_raise(state, status, NULL);
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(component, CAPSULE_NAME, release_capsule);
    if (capsule == NULL) {
        fol_component_release(component);
        return NULL;
    }
    /* setdefault, so that threads that come here together agree on one. */
    PyObject *kept = PyObject_CallMethodObjArgs(
        state->class_components, state->names[FOL_PY_NAME_setdefault], class, capsule, NULL);
    Py_DECREF(capsule);
    if (kept == NULL) {
        return NULL;
    }
    component = PyCapsule_GetPointer(kept, CAPSULE_NAME);
    Py_DECREF(kept);
    return component;
}

fol_component *fol_py_component_of(fol_py_state *state, PyObject *key)
{
    if (fol_py_is_component(state, key)) {
        return ((fol_py_component *)key)->component;
    }
    if (!PyType_Check(key)) {
        const char *kind = Py_TYPE(key)->tp_name;
        if (fol_py_is_component(state, (PyObject *)Py_TYPE(key))) {
            PyErr_Format(PyExc_TypeError, "a component class is expected, got a %s value", kind);
        } else {
            PyErr_Format(PyExc_TypeError, "a component or resource class is expected, got %R", key);
        }
        return NULL;
    }
    if (key == (PyObject *)state->value_type) {
        PyErr_SetString(PyExc_TypeError, "the base of component classes is no component itself");
        return NULL;
    }
    PyObject *capsule = PyObject_GetItem(state->class_components, key);
    if (capsule == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return NULL;
        }
        PyErr_Clear();
        return make_class_resource(state, key);
    }
    fol_component *component = PyCapsule_GetPointer(capsule, CAPSULE_NAME);
    Py_DECREF(capsule);
    return component;
}

PyObject *fol_py_component_name(PyObject *key)
{
    if (PyType_Check(key)) {
        return PyUnicode_FromString(name_of((PyTypeObject *)key));
    }
    return PyObject_Repr(key);
}

/* The metaclass. */

static PyObject *component_new(PyTypeObject *Py_UNUSED(meta), PyObject *arguments,
                               PyObject *Py_UNUSED(keywords))
{
    PyObject *bases = PyTuple_GET_SIZE(arguments) == 3 ? PyTuple_GET_ITEM(arguments, 1) : NULL;
    if (bases != NULL && PyTuple_Check(bases) && PyTuple_GET_SIZE(bases) > 0) {
        PyErr_Format(PyExc_TypeError, "%R is a component class and cannot be subclassed",
                     PyTuple_GET_ITEM(bases, 0));
    } else {
        PyErr_SetString(PyExc_TypeError, "component classes are made by fo.component");
    }
    return NULL;
}

static int component_traverse(PyObject *self, visitproc visit, void *arg)
{
    fol_py_component *type = (fol_py_component *)self;
    Py_VISIT(type->names);
    Py_VISIT(type->dtypes);
    Py_VISIT(type->default_object);
    return PyType_Type.tp_traverse(self, visit, arg);
}

static int component_clear(PyObject *self)
{
    Py_CLEAR(((fol_py_component *)self)->default_object);
    return PyType_Type.tp_clear(self);
}

static void component_dealloc(PyObject *self)
{
    fol_py_component *type = (fol_py_component *)self;
    PyTypeObject *meta = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(type->names);
    Py_CLEAR(type->dtypes);
    Py_CLEAR(type->default_object);
    PyMem_Free(type->default_value);
    type->default_value = NULL;
    if (type->component != NULL) {
        fol_component_release(type->component);
        type->component = NULL;
    }
    /* The base expects a tracked object and frees it. */
    PyObject_GC_Track(self);
    PyType_Type.tp_dealloc(self);
    Py_DECREF(meta);
}

static PyMethodDef component_functions[] = {
    {"make_component", make_component, METH_VARARGS, make_component_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot component_slots[] = {
    {Py_tp_doc, "The type of component classes."},
    {Py_tp_new, component_new},
    {Py_tp_traverse, component_traverse},
    {Py_tp_clear, component_clear},
    {Py_tp_dealloc, component_dealloc},
    {0, NULL},
};

static PyType_Spec component_spec = {
    .name = "foliot._core.ComponentType",
    .basicsize = sizeof(fol_py_component),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = component_slots,
};

int fol_py_add_component_types(fol_py_state *state)
{
    if (fol_py_add_type(state, &component_spec, (PyObject *)&PyType_Type, &state->component_type) <
        0) {
        return -1;
    }
    return PyModule_AddFunctions(state->module, component_functions);
}
