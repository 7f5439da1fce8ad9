/* Numbers at an address, by format. Everything goes through a copy, so addresses need no alignment.
 */
#include "bindings/item.h"

#include <stdio.h>
#include <string.h>

#define HASH_MULTIPLIER UINT64_C(0x9E3779B97F4A7C15)

/* long is spelt apart in buffers; here it is one of the fixed widths. */
static char canonical(char format)
{
    _Static_assert(sizeof(long) == sizeof(long long), "a 64-bit Unix");
    if (format == 'l') {
        return 'q';
    }
    return format == 'L' ? 'Q' : format;
}

bool fol_py_format_is_known(const char *format)
{
    if (format[0] == 'Z') {
        return (format[1] == 'f' || format[1] == 'd') && format[2] == '\0';
    }
    return format[0] != '\0' && format[1] == '\0' && strchr("?bBhHiIqQefd", format[0]) != NULL;
}

bool fol_py_format_matches(const char *buffer_format, const fol_field *field)
{
    const char *format = buffer_format == NULL ? "B" : buffer_format;
    if (format[0] == '@' || format[0] == '=') {
        format++;
    }
    if (format[0] == 'Z') {
        return strcmp(format, field->format) == 0;
    }
    return format[0] != '\0' && format[1] == '\0' && canonical(format[0]) == field->format[0];
}

static bool is_signed(char format)
{
    return strchr("bhiq", format) != NULL;
}

static bool is_unsigned(char format)
{
    return strchr("BHIQ", format) != NULL;
}

/* Little and big machines alike: an integer of `size` bytes into the widest one. */
static int64_t load_signed(const void *item, uint32_t size)
{
    int8_t one;
    int16_t two;
    int32_t four;
    int64_t eight;
    switch (size) {
    case 1:
        memcpy(&one, item, 1);
        return one;
    case 2:
        memcpy(&two, item, 2);
        return two;
    case 4:
        memcpy(&four, item, 4);
        return four;
    default:
        memcpy(&eight, item, 8);
        return eight;
    }
}

static uint64_t load_unsigned(const void *item, uint32_t size)
{
    uint64_t wide = (uint64_t)load_signed(item, size);
    return size >= 8 ? wide : wide & ((UINT64_C(1) << (size * 8)) - 1);
}

/* Stores the low bytes. */
static void store_integer(void *item, uint32_t size, uint64_t value)
{
    uint8_t one = (uint8_t)value;
    uint16_t two = (uint16_t)value;
    uint32_t four = (uint32_t)value;
    switch (size) {
    case 1:
        memcpy(item, &one, 1);
        break;
    case 2:
        memcpy(item, &two, 2);
        break;
    case 4:
        memcpy(item, &four, 4);
        break;
    default:
        memcpy(item, &value, 8);
        break;
    }
}

static double load_float(char format, const void *item)
{
    float narrow;
    double wide;
    switch (format) {
    case 'e':
        return PyFloat_Unpack2(item, PY_LITTLE_ENDIAN);
    case 'f':
        memcpy(&narrow, item, sizeof(narrow));
        return narrow;
    default:
        memcpy(&wide, item, sizeof(wide));
        return wide;
    }
}

static int store_float(char format, double value, void *item)
{
    float narrow = (float)value;
    switch (format) {
    case 'e':
        return PyFloat_Pack2(value, item, PY_LITTLE_ENDIAN);
    case 'f':
        memcpy(item, &narrow, sizeof(narrow));
        return 0;
    default:
        memcpy(item, &value, sizeof(value));
        return 0;
    }
}

PyObject *fol_py_item_read(const fol_field *field, const void *item)
{
    char format = field->format[0];
    if (format == 'f' || format == 'd' || format == 'e') {
        return PyFloat_FromDouble(load_float(format, item));
    }
    if (format == '?') {
        return PyBool_FromLong(*(const unsigned char *)item != 0);
    }
    if (format == 'Z') {
        const char *part = item;
        char kind = field->format[1];
        return PyComplex_FromDoubles(load_float(kind, part),
                                     load_float(kind, part + field->item_size / 2));
    }
    if (is_signed(format)) {
        return PyLong_FromLongLong(load_signed(item, field->item_size));
    }
    return PyLong_FromUnsignedLongLong(load_unsigned(item, field->item_size));
}

const char *fol_py_place_label(fol_py_place place, char *room)
{
    const char *component = fol_component_name(place.component);
    const char *format = place.field->name[0] == '\0' ? "%s" : "%s.%s";
    snprintf(room, FOL_PY_LABEL_SIZE, format, component, place.field->name);
    return room;
}

/* Turns a conversion's TypeError into a sentence that names the field. */
static int refuse_kind(fol_py_place place, const char *wanted, PyObject *value)
{
    char room[FOL_PY_LABEL_SIZE];
    if (PyErr_Occurred() == NULL || PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(PyExc_TypeError, "%s takes %s, got %.100s", fol_py_place_label(place, room),
                     wanted, Py_TYPE(value)->tp_name);
    }
    return -1;
}

static int write_signed(fol_py_place place, PyObject *number, void *item)
{
    const fol_field *field = place.field;
    int64_t limit =
        field->item_size == 8 ? INT64_MAX : (INT64_C(1) << (field->item_size * 8 - 1)) - 1;
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow != 0 || value > limit || value < -limit - 1) {
        char room[FOL_PY_LABEL_SIZE];
        PyErr_Format(PyExc_ValueError, "%s holds %lld to %lld, got %R",
                     fol_py_place_label(place, room), (long long)(-limit - 1), (long long)limit,
                     number);
        return -1;
    }
    store_integer(item, field->item_size, (uint64_t)value);
    return 0;
}

static int write_unsigned(fol_py_place place, PyObject *number, void *item)
{
    const fol_field *field = place.field;
    uint64_t limit =
        field->item_size == 8 ? UINT64_MAX : (UINT64_C(1) << (field->item_size * 8)) - 1;
    unsigned long long value = PyLong_AsUnsignedLongLong(number);
    bool has_failed = value == (unsigned long long)-1 && PyErr_Occurred();
    if (has_failed && !PyErr_ExceptionMatches(PyExc_OverflowError)) {
        return -1;
    }
    if (has_failed || value > limit) {
        PyErr_Clear();
        char room[FOL_PY_LABEL_SIZE];
        PyErr_Format(PyExc_ValueError, "%s holds 0 to %llu, got %R",
                     fol_py_place_label(place, room), (unsigned long long)limit, number);
        return -1;
    }
    store_integer(item, field->item_size, value);
    return 0;
}

static int write_integer(fol_py_place place, PyObject *value, void *item)
{
    const fol_field *field = place.field;
    PyObject *number = PyNumber_Index(value);
    if (number == NULL) {
        return refuse_kind(place, "an integer", value);
    }
    int status = is_unsigned(field->format[0]) ? write_unsigned(place, number, item)
                                               : write_signed(place, number, item);
    Py_DECREF(number);
    return status;
}

static int write_complex(fol_py_place place, PyObject *value, void *item)
{
    const fol_field *field = place.field;
    Py_complex number = PyComplex_AsCComplex(value);
    if (number.real == -1.0 && PyErr_Occurred()) {
        return refuse_kind(place, "a complex number", value);
    }
    char *part = item;
    store_float(field->format[1], number.real, part);
    store_float(field->format[1], number.imag, part + field->item_size / 2);
    return 0;
}

static int write_bool(fol_py_place place, PyObject *value, void *item)
{
    if (PyUnicode_Check(value) || PyBytes_Check(value) || value == Py_None) {
        return refuse_kind(place, "a bool", value);
    }
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    *(unsigned char *)item = (unsigned char)truth;
    return 0;
}

int fol_py_item_write(fol_py_place place, PyObject *value, void *item)
{
    const fol_field *field = place.field;
    char format = field->format[0];
    if (format == '?') {
        return write_bool(place, value, item);
    }
    if (format == 'Z') {
        return write_complex(place, value, item);
    }
    if (format != 'f' && format != 'd' && format != 'e') {
        return write_integer(place, value, item);
    }
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) {
        return refuse_kind(place, "a number", value);
    }
    if (store_float(format, number, item) < 0) {
        PyErr_Clear();
        char room[FOL_PY_LABEL_SIZE];
        PyErr_Format(PyExc_ValueError, "%s holds -65504 to 65504, got %R",
                     fol_py_place_label(place, room), value);
        return -1;
    }
    return 0;
}

bool fol_py_item_equal(const fol_field *field, const void *a, const void *b)
{
    char format = field->format[0];
    if (format == 'f' || format == 'd' || format == 'e') {
        return load_float(format, a) == load_float(format, b);
    }
    if (format == 'Z') {
        const char *left = a;
        const char *right = b;
        char kind = field->format[1];
        uint32_t half = field->item_size / 2;
        return load_float(kind, left) == load_float(kind, right) &&
               load_float(kind, left + half) == load_float(kind, right + half);
    }
    return memcmp(a, b, field->item_size) == 0;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * HASH_MULTIPLIER;
    return hash ^ (hash >> 32);
}

static uint64_t mix_float(uint64_t hash, double value)
{
    /* Both zeros are equal, so they hash alike. */
    double key = value == 0.0 ? 0.0 : value;
    uint64_t word;
    memcpy(&word, &key, sizeof(word));
    return mix(hash, word);
}

uint64_t fol_py_item_hash(const fol_field *field, const void *item, uint64_t hash)
{
    char format = field->format[0];
    if (format == 'f' || format == 'd' || format == 'e') {
        return mix_float(hash, load_float(format, item));
    }
    if (format == 'Z') {
        const char *part = item;
        char kind = field->format[1];
        hash = mix_float(hash, load_float(kind, part));
        return mix_float(hash, load_float(kind, part + field->item_size / 2));
    }
    return mix(hash, load_unsigned(item, field->item_size));
}
