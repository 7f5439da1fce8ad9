/* What makes sense as a request, and the names of kinds.
 *
 * A row of the table says which flags, paths and descriptors go with a kind; the rest are rules of
 * one or a few kinds. What only the kernel can know (does the file exist, is it a socket) is not
 * asked here: that is the result of the operation.
 */
#include <fcntl.h>

#include "foliot/status.h"
#include "io/operation.h"

#define ALL_FLAGS                                                                                  \
    ((uint32_t)(FOL_IO_PATH | FOL_IO_VECTORS | FOL_IO_MANY | FOL_IO_WHOLE | FOL_IO_TO_END))
#define VECTORS_MAX 1024u /* of one system call */

typedef struct kind_rule {
    const char *name;
    uint32_t flags;      /* that go with it */
    bool always_path;    /* whatever the flags say */
    bool has_descriptor; /* fd is one, unless a path is given */
} kind_rule;

static const kind_rule kind_rules[FOL_IO_KIND_COUNT] = {
    [FOL_IO_NOP] = {"nop", 0, false, false},
    [FOL_IO_OPEN] = {"open", 0, true, false},
    [FOL_IO_CLOSE] = {"close", 0, false, true},
    [FOL_IO_READ] = {"read", FOL_IO_PATH | FOL_IO_VECTORS | FOL_IO_TO_END, false, true},
    [FOL_IO_WRITE] = {"write", FOL_IO_PATH | FOL_IO_VECTORS, false, true},
    [FOL_IO_FSYNC] = {"fsync", 0, false, true},
    [FOL_IO_STAT] = {"stat", FOL_IO_PATH, false, true},
    [FOL_IO_RENAME] = {"rename", 0, true, false},
    [FOL_IO_UNLINK] = {"unlink", 0, true, false},
    [FOL_IO_MKDIR] = {"mkdir", 0, true, false},
    [FOL_IO_SOCKET] = {"socket", 0, false, false},
    [FOL_IO_CONNECT] = {"connect", 0, false, true},
    [FOL_IO_ACCEPT] = {"accept", FOL_IO_MANY, false, true},
    [FOL_IO_RECV] = {"recv", FOL_IO_MANY | FOL_IO_WHOLE, false, true},
    [FOL_IO_SEND] = {"send", 0, false, true},
    [FOL_IO_SHUTDOWN] = {"shutdown", 0, false, true},
    [FOL_IO_POLL] = {"poll", 0, false, true},
    [FOL_IO_TIMEOUT] = {"timeout", 0, false, false},
    [FOL_IO_CANCEL] = {"cancel", 0, false, false},
};

const char *fol_io_kind_name(uint32_t kind)
{
    return kind < FOL_IO_KIND_COUNT ? kind_rules[kind].name : NULL;
}

/* What is wrong with the flags, or NULL. */
static const char *check_flags(const fol_io_request *request, const kind_rule *rule)
{
    uint32_t flags = request->flags;
    if ((flags & ~ALL_FLAGS) != 0) {
        return "flags has a bit that is no flag of requests";
    }
    uint32_t foreign = flags & ~rule->flags;
    if ((foreign & FOL_IO_PATH) != 0) {
        return "FOL_IO_PATH goes with read, write and stat only";
    }
    if ((foreign & FOL_IO_VECTORS) != 0) {
        return "FOL_IO_VECTORS goes with read and write only";
    }
    if ((foreign & FOL_IO_MANY) != 0) {
        return "FOL_IO_MANY goes with accept and recv only";
    }
    if ((foreign & FOL_IO_WHOLE) != 0) {
        return "FOL_IO_WHOLE goes with recv only";
    }
    if ((foreign & FOL_IO_TO_END) != 0) {
        return "FOL_IO_TO_END goes with read only";
    }
    if ((flags & FOL_IO_MANY) != 0 && (flags & FOL_IO_WHOLE) != 0) {
        return "FOL_IO_MANY gives what comes and FOL_IO_WHOLE waits for all: only one of them";
    }
    if ((flags & FOL_IO_TO_END) != 0 && (flags & FOL_IO_VECTORS) != 0) {
        return "FOL_IO_TO_END reads into a buffer of foliot's own, not into vectors";
    }
    return NULL;
}

static const char *check_names(const fol_io_request *request, const kind_rule *rule)
{
    bool wants_path = rule->always_path || (request->flags & FOL_IO_PATH) != 0;
    if (wants_path && request->path == NULL) {
        return "path is missing";
    }
    if (!wants_path && request->path != NULL) {
        return (rule->flags & FOL_IO_PATH) != 0
                   ? "path is given, but FOL_IO_PATH is not: it is either a path or a descriptor"
                   : "path is given to a kind that has none";
    }
    if (request->kind == FOL_IO_RENAME && request->path2 == NULL) {
        return "path2, the new name, is missing";
    }
    if (request->kind != FOL_IO_RENAME && request->path2 != NULL) {
        return "path2 goes with rename only";
    }
    if (rule->has_descriptor && !wants_path && request->fd < 0) {
        return "fd is negative: it must be an open descriptor";
    }
    return NULL;
}

static const char *check_read(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_TO_END) != 0 && request->buffer != NULL) {
        return "FOL_IO_TO_END reads into a buffer of foliot's own: buffer must be NULL";
    }
    if (request->buffer == NULL && request->size == 0 && (request->flags & FOL_IO_TO_END) == 0) {
        return "size is 0: a read into foliot's own buffer needs to know how much";
    }
    return NULL;
}

static const char *check_recv(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_MANY) != 0) {
        return request->buffer != NULL
                   ? "FOL_IO_MANY receives into buffers of foliot's own: buffer must be NULL"
                   : NULL;
    }
    return request->size == 0 ? "size is 0: recv needs to know how much" : NULL;
}

static const char *check_buffer(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_VECTORS) != 0) {
        if (request->buffer == NULL) {
            return "buffer is missing: with FOL_IO_VECTORS it is an array of struct iovec";
        }
        if (request->size == 0 || request->size > VECTORS_MAX) {
            return "size, the number of vectors, must be 1 to 1,024";
        }
        return NULL;
    }
    switch (request->kind) {
    case FOL_IO_READ:
        return check_read(request);
    case FOL_IO_RECV:
        return check_recv(request);
    case FOL_IO_WRITE:
    case FOL_IO_SEND:
        return request->buffer == NULL && request->size != 0
                   ? "buffer is missing: there is nothing to write from"
                   : NULL;
    case FOL_IO_CONNECT:
        return request->buffer == NULL || request->size == 0
                   ? "buffer and size must be the address to connect to"
                   : NULL;
    default:
        return NULL;
    }
}

/* What the opening of a file that is read or written by its path may not be told. */
static const char *check_opening(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_PATH) == 0) {
        return NULL;
    }
    if ((request->options & O_ACCMODE) != 0) {
        return "options has an access mode: that is the kind's own, read or write";
    }
    bool is_read = request->kind == FOL_IO_READ;
    return is_read && (request->options & (O_CREAT | O_TRUNC)) != 0
               ? "options of a read has O_CREAT or O_TRUNC, which only a write may"
               : NULL;
}

static const char *check_rest(const fol_io_request *request)
{
    const char *wrong = NULL;
    switch (request->kind) {
    case FOL_IO_READ:
    case FOL_IO_WRITE:
        wrong = check_opening(request);
        if (wrong != NULL) {
            return wrong;
        }
        return request->offset != FOL_IO_CURRENT && request->offset > INT64_MAX
                   ? "offset is negative or too large: at most 2**63 - 1, or FOL_IO_CURRENT"
                   : NULL;
    case FOL_IO_FSYNC:
        return request->options > 1 ? "options of fsync must be 0, or 1 for the data only" : NULL;
    case FOL_IO_POLL:
        return request->options == 0 || (request->options & ~0xffffu) != 0
                   ? "options of poll must be POLL events, at least one"
                   : NULL;
    case FOL_IO_CANCEL:
        return request->handle == 0 ? "handle is 0: it names what to cancel" : NULL;
    default:
        return NULL;
    }
}

int fol_io_request_check(const fol_io_request *request, const char **what)
{
    if (request->kind >= FOL_IO_KIND_COUNT) {
        *what = "kind is none of fol_io_kind";
        return FOL_E_VALUE;
    }
    const kind_rule *rule = &kind_rules[request->kind];
    const char *wrong = check_flags(request, rule);
    if (wrong == NULL) {
        wrong = check_names(request, rule);
    }
    if (wrong == NULL) {
        wrong = check_buffer(request);
    }
    if (wrong == NULL) {
        wrong = check_rest(request);
    }
    if (wrong != NULL) {
        *what = wrong;
        return FOL_E_VALUE;
    }
    return FOL_OK;
}
