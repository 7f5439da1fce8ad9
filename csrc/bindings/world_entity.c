/* World methods about one entity. */
#include "bindings/world_object.h"

#include "bindings/pack.h"

/* The name of the first component that an entity lacks; called by the holder of the world. */
static const char *first_missing(fol_world *world, fol_entity id, const fol_value *values,
                                 fol_component *const *components, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const fol_component *component = values == NULL ? components[i] : values[i].component;
        if (fol_world_has(world, id, component) == 0) {
            return fol_component_name(component);
        }
    }
    return "a component";
}

static int raise_missing(fol_py_world_object *self, PyObject *entity, const char *name)
{
    return fol_py_raise(self->state, FOL_E_MISSING, "%R has no %s", entity, name);
}

static PyObject *world_spawn(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value *values;
    PyObject *made = NULL;
    if (fol_py_pack_values(self->state, arguments, count, &scratch, &values) < 0 ||
        fol_py_world_enter(object) < 0) {
        goto done;
    }
    fol_entity id;
    fol_py_world_touch(self);
    int status = fol_world_spawn(self->world, values, (size_t)count, &id);
    if (status == 0) {
        made = fol_py_entity_new(self->state, id);
        if (made == NULL) {
            fol_world_despawn(self->world, id);
        }
    }
    fol_py_world_leave(object);
    if (status < 0) {
        fol_py_world_raise(self, status, NULL);
    }
done:
    fol_py_scratch_release(&scratch);
    return made;
}

static PyObject *world_despawn(PyObject *object, PyObject *entity)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_entity id;
    if (fol_py_parse_entity(self->state, entity, &id) < 0 || fol_py_world_enter(object) < 0) {
        return NULL;
    }
    fol_py_world_touch(self);
    int status = fol_world_despawn(self->world, id);
    fol_py_world_leave(object);
    if (status < 0) {
        fol_py_world_raise(self, status, entity);
        return NULL;
    }
    Py_RETURN_NONE;
}

static int check_has_entity(const char *method, Py_ssize_t count)
{
    if (count > 0) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s needs an entity", method);
    return -1;
}

typedef int (*put_function)(fol_world *world, fol_entity entity, const fol_value *values,
                            size_t count);

/* add and set: values onto one entity. */
static PyObject *put_values(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
                            const char *method, put_function put, bool moves_rows)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (check_has_entity(method, count) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value *values;
    fol_entity id;
    int status = -1;
    size_t value_count = (size_t)count - 1;
    if (fol_py_parse_entity(self->state, arguments[0], &id) < 0 ||
        fol_py_pack_values(self->state, arguments + 1, count - 1, &scratch, &values) < 0 ||
        fol_py_world_enter(object) < 0) {
        goto done;
    }
    if (moves_rows) {
        fol_py_world_touch(self);
    }
    status = put(self->world, id, values, value_count);
    const char *missing =
        status == FOL_E_MISSING ? first_missing(self->world, id, values, NULL, value_count) : NULL;
    fol_py_world_leave(object);
    if (missing != NULL) {
        raise_missing(self, arguments[0], missing);
    } else if (status < 0) {
        fol_py_world_raise(self, status, arguments[0]);
    }
done:
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *world_add(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    return put_values(object, arguments, count, "add", fol_world_add, true);
}

static PyObject *world_set(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    return put_values(object, arguments, count, "set", fol_world_set, false);
}

static PyObject *world_remove(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (check_has_entity("remove", count) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_component **components;
    fol_entity id;
    int status = -1;
    size_t component_count = (size_t)count - 1;
    if (fol_py_parse_entity(self->state, arguments[0], &id) < 0 ||
        fol_py_parse_components(self->state, arguments + 1, count - 1, &scratch, &components) < 0 ||
        fol_py_world_enter(object) < 0) {
        goto done;
    }
    fol_py_world_touch(self);
    status = fol_world_remove(self->world, id, components, component_count);
    const char *missing = status == FOL_E_MISSING
                              ? first_missing(self->world, id, NULL, components, component_count)
                              : NULL;
    fol_py_world_leave(object);
    if (missing != NULL) {
        raise_missing(self, arguments[0], missing);
    } else if (status < 0) {
        fol_py_world_raise(self, status, arguments[0]);
    }
done:
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static int check_two(const char *method, Py_ssize_t count)
{
    if (count == 2) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s takes an entity and a component, got %zd arguments", method,
                 count);
    return -1;
}

static PyObject *world_get(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_entity id;
    if (check_two("get", count) < 0 || fol_py_parse_entity(self->state, arguments[0], &id) < 0) {
        return NULL;
    }
    const fol_component *component = fol_py_entity_component(self->state, arguments[1]);
    if (component == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    PyObject *value = NULL;
    void *packed = fol_py_scratch_take(&scratch, fol_component_value_size(component));
    if (packed == NULL || fol_py_world_enter(object) < 0) {
        goto done;
    }
    int status = fol_world_get(self->world, id, component, packed);
    if (status == 0) {
        /* Bytes and objects are borrowed until the next change, so the value is made inside. */
        value = fol_py_value_new(self->state, arguments[1], packed);
    }
    fol_py_world_leave(object);
    if (status == FOL_E_MISSING) {
        raise_missing(self, arguments[0], fol_component_name(component));
    } else if (status < 0) {
        fol_py_world_raise(self, status, arguments[0]);
    }
done:
    fol_py_scratch_release(&scratch);
    return value;
}

static PyObject *world_has(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_entity id;
    if (check_two("has", count) < 0 || fol_py_parse_entity(self->state, arguments[0], &id) < 0) {
        return NULL;
    }
    const fol_component *component = fol_py_entity_component(self->state, arguments[1]);
    if (component == NULL || fol_py_world_enter(object) < 0) {
        return NULL;
    }
    int status = fol_world_has(self->world, id, component);
    fol_py_world_leave(object);
    if (status < 0) {
        fol_py_world_raise(self, status, arguments[0]);
        return NULL;
    }
    return PyBool_FromLong(status);
}

PyObject *fol_py_world_insert(PyObject *object, PyObject *resource)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value value;
    int status = -1;
    if (fol_py_pack_value(self->state, resource, true, &scratch, &value) == 0 &&
        fol_py_world_enter(object) == 0) {
        status = fol_world_insert(self->world, &value);
        fol_py_world_leave(object);
        if (status < 0) {
            fol_py_world_raise(self, status, NULL);
        }
    }
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *fol_py_world_item(PyObject *object, PyObject *key)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    const fol_component *component = fol_py_component_of(self->state, key);
    if (component == NULL) {
        return NULL;
    }
    const char *name = fol_component_name(component);
    if (!fol_component_is_resource(component)) {
        PyErr_Format(PyExc_TypeError,
                     "%s is a component, not a resource: use get(entity, %s) or a query", name,
                     name);
        return NULL;
    }
    if (fol_py_world_enter(object) < 0) {
        return NULL;
    }
    PyObject *found = NULL;
    void *packed = fol_world_resource(self->world, component);
    if (packed == NULL) {
        fol_py_raise(self->state, FOL_E_MISSING, "%s was never inserted into the world", name);
    } else if (fol_py_is_component(self->state, key)) {
        found = fol_py_value_new(self->state, key, packed);
    } else {
        PyObject *held = *(PyObject **)packed;
        found = Py_NewRef(held == NULL ? Py_None : held);
    }
    fol_py_world_leave(object);
    return found;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

PyDoc_STRVAR(spawn_doc,
             "spawn($self, *values)\n--\n\n"
             "A new entity with these component values; a class stands for its default value.\n\n"
             "Errors: CapacityError when the world is full, ValueError for a component given "
             "twice.\n");
PyDoc_STRVAR(despawn_doc, "despawn($self, entity, /)\n--\n\n"
                          "Remove an entity and all it has.\n\n"
                          "Errors: StaleHandleError when it is not alive.\n");
PyDoc_STRVAR(add_doc, "add($self, entity, /, *values)\n--\n\n"
                      "Add components to an entity; what it has already is overwritten.\n\n"
                      "Errors: StaleHandleError, CapacityError.\n");
PyDoc_STRVAR(set_doc, "set($self, entity, /, *values)\n--\n\n"
                      "Overwrite components of an entity.\n\n"
                      "Errors: StaleHandleError; KeyError when the entity lacks one of them, and "
                      "then none is changed.\n");
PyDoc_STRVAR(remove_doc, "remove($self, entity, /, *components)\n--\n\n"
                         "Take components from an entity.\n\n"
                         "Errors: StaleHandleError; KeyError when the entity lacks one of them, "
                         "and then none is taken.\n");
PyDoc_STRVAR(get_doc, "get($self, entity, component, /)\n--\n\n"
                      "A copy of an entity's component as a value.\n\n"
                      "Errors: StaleHandleError; KeyError when the entity lacks it.\n");
PyDoc_STRVAR(has_doc, "has($self, entity, component, /)\n--\n\n"
                      "Whether the entity has the component.\n\n"
                      "Errors: StaleHandleError when it is not alive.\n");

PyMethodDef fol_py_world_entity_methods[] = {
    {"spawn", FAST(world_spawn), METH_FASTCALL, spawn_doc},
    {"despawn", world_despawn, METH_O, despawn_doc},
    {"add", FAST(world_add), METH_FASTCALL, add_doc},
    {"set", FAST(world_set), METH_FASTCALL, set_doc},
    {"remove", FAST(world_remove), METH_FASTCALL, remove_doc},
    {"get", FAST(world_get), METH_FASTCALL, get_doc},
    {"has", FAST(world_has), METH_FASTCALL, has_doc},
    {NULL, NULL, 0, NULL},
};
