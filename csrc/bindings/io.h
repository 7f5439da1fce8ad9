/* I/O of Python systems: `ctx.io`, and the Operations that it gives.
 *
 * An Operation holds all that its request points at until its last delivery or drop, because the
 * kernel may use it until then; the core counts as one of its owners as long.
 *
 * Who sees a failure. One that comes while somebody other than the core holds the Operation is the
 * holder's to see. Else, and when an Operation dies with a failure that nobody has looked at, it
 * goes to the I/O home of its scheduler, and from there into the errors of the frame. To be
 * cancelled is an answer and no failure.
 *
 * Who may call what: attached threads only. A delivery comes on the thread that drives.
 */
#ifndef FOL_BINDINGS_IO_H
#define FOL_BINDINGS_IO_H

#include <sys/uio.h>

#include "bindings/scheduler.h"
#include "foliot/io.h"

/* Where failures wait that nobody else sees: one for each scheduler, shared with its operations,
 * which may outlive it. */
typedef struct fol_py_io_home {
    PyObject_HEAD fol_py_state *state;
    PyObject *failed; /* list of (system's name, exception): of the deliveries of this frame */
    PyObject *unseen; /* the same: of Operations that died */
    uint32_t max_io;  /* as configured, for messages */
    bool is_closed;   /* no frame will tell any more */
} fol_py_io_home;

extern PyType_Spec fol_py_io_home_spec;
PyObject *fol_py_io_home_new(fol_py_state *state, uint32_t max_io);
/* Takes over an exception of an operation of a system; is_unseen: whose Operation died. */
void fol_py_io_home_keep(fol_py_io_home *home, PyObject *name, PyObject *error, bool is_unseen);
/* Whether there is a failed delivery of a system; name NULL: of any. */
bool fol_py_io_home_has(const fol_py_io_home *home, PyObject *name);
bool fol_py_io_home_has_unseen(fol_py_io_home *home);
/* Takes those of Operations that died: a list, or NULL for none. */
PyObject *fol_py_io_home_take_unseen(fol_py_io_home *home);

/* How the value of a result becomes an object. */
typedef enum fol_py_io_shape {
    FOL_PY_IO_NONE = 0,
    FOL_PY_IO_COUNT,      /* a number: bytes, a mask of events */
    FOL_PY_IO_DESCRIPTOR, /* a number, closed when nobody ever took it */
    FOL_PY_IO_DATA,       /* bytes out of the core's buffer */
    FOL_PY_IO_FILLED,     /* the bytes object that was the buffer */
    FOL_PY_IO_STATUS,     /* os.stat_result */
    FOL_PY_IO_FOUND,      /* whether there was something to cancel */
} fol_py_io_shape;

/* Buffers of others, exported until the last delivery. */
typedef struct fol_py_io_buffers {
    Py_ssize_t count;
    size_t size; /* bytes of all */
    struct iovec *vectors;
    Py_buffer views[];
} fol_py_io_buffers;

typedef struct fol_py_operation {
    PyObject_HEAD PyObject *weak_references;
    fol_py_io_home *home;
    PyObject *name;    /* the system's */
    PyObject *target;  /* what it is about, as given: a path or a descriptor; or NULL */
    PyObject *target2; /* the second path, or NULL */
    PyObject *held[2]; /* what the request points into, or NULL */
    PyObject *value;   /* the buffer, then the result; of a stream a list of results */
    PyObject *error;   /* once it was asked for */
    fol_py_io_buffers *buffers;
    fol_io_handle handle;
    int64_t raw;      /* the value of the last result */
    uint64_t results; /* of a stream, that came; of what failed, bytes that came or went before */
    uint8_t kind;     /* fol_io_kind */
    uint8_t shape;    /* fol_py_io_shape */
    bool is_path;     /* target is a path */
    bool is_many;
    bool is_done;
    bool was_taken; /* somebody has the result */
    bool is_seen;   /* its failure was looked at, or reported */
    bool is_tracked;
} fol_py_operation;

/* operation.c */
extern PyType_Spec fol_py_operation_spec;
extern const fol_io_receiver fol_py_io_receiver;
/* An Operation with nothing in it, not queued. */
fol_py_operation *fol_py_operation_new(fol_py_io_home *home, PyObject *name, fol_io_kind kind);
/* From here on the collector looks at it. */
void fol_py_operation_track(fol_py_operation *operation);
void fol_py_operation_drop_free_list(fol_py_state *state);

/* io_result.c */
/* The object of a successful result. New reference. */
PyObject *fol_py_io_value(fol_py_operation *operation, const fol_io_result *result);
/* The exception of a status: an OSError, or foliot's own. New reference, NULL with an error. */
PyObject *fol_py_io_error(fol_py_state *state, int64_t status, PyObject *path, PyObject *path2);
/* "read of '/etc/motd'". New reference. */
PyObject *fol_py_operation_text(const fol_py_operation *operation);
/* error.add_note: which operation it was. An error in that is forgotten. */
void fol_py_operation_note(fol_py_operation *operation, PyObject *error);
void fol_py_io_close(int64_t descriptor);

/* io_abandoned.c: what the kernel did not let go of. */
#define FOL_PY_IO_ABANDONED 3
/* Takes over references, which may be NULL, and buffers, or NULL. What it gives is for
 * fol_py_io_release_kept; NULL, without memory: then they are never released. */
void *fol_py_io_keep(PyObject *const objects[FOL_PY_IO_ABANDONED], fol_py_io_buffers *buffers);
/* The kernel let go after all. For receivers. */
void fol_py_io_release_kept(void *kept);
/* The exception of an operation that is described by `what`. New reference, NULL with an error. */
PyObject *fol_py_io_abandoned_error(fol_py_state *state, PyObject *what, uint64_t waited_ns);

/* io_arguments.c. All raise one error that names the method and the argument, and take references
 * into the operation. */

#define FOL_PY_IO_MAX_ARGUMENTS 9

/* What a method takes; names as positions of fol_py_name. */
typedef struct fol_py_io_signature {
    const char *method;
    uint8_t count;
    uint8_t positional; /* the first that may be given by place */
    uint8_t required;   /* of those */
    uint8_t names[FOL_PY_IO_MAX_ARGUMENTS];
} fol_py_io_signature;

/* Missing ones are NULL in out, which has room for all. */
int fol_py_io_read_arguments(fol_py_state *state, const fol_py_io_signature *signature,
                             PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                             PyObject **out);

/* One call: what it will queue, and for whom. */
typedef struct fol_py_io_call {
    fol_py_state *state;
    fol_py_context *context;
    const char *method;
    fol_py_operation *operation;
    fol_io_intent intent;
} fol_py_io_call;

/* Numbers; NULL for what was not given leaves *out alone. */
int fol_py_io_read_number(const char *method, const char *argument, PyObject *given,
                          long long least, long long most, long long *out);
int fol_py_io_read_flag(const char *method, const char *argument, PyObject *given, bool *out);
int fol_py_io_read_seconds(const char *method, const char *argument, PyObject *given, bool may_be_0,
                           uint64_t *out_ns);
/* A number or something with fileno(). */
int fol_py_io_read_descriptor(fol_py_io_call *call, const char *argument, PyObject *given,
                              int *out);
/* Whether it is to be taken as a path. */
bool fol_py_io_is_path(fol_py_state *state, PyObject *given);
/* *held gets what *out points into. */
int fol_py_io_read_path(fol_py_io_call *call, const char *argument, PyObject *given,
                        PyObject **held, const char **out);
/* wait= and timeout= */
int fol_py_io_read_until(fol_py_io_call *call, PyObject *wait, PyObject *timeout);
/* dir_fd= */
int fol_py_io_read_directory(fol_py_io_call *call, PyObject *given);
/* A path with dir_fd=, or a descriptor, into the request and the operation. */
int fol_py_io_read_target(fol_py_io_call *call, PyObject *given, PyObject *directory);
int fol_py_io_read_only_path(fol_py_io_call *call, const char *argument, PyObject *given,
                             PyObject *directory);
int fol_py_io_read_only_descriptor(fol_py_io_call *call, const char *argument, PyObject *given);

/* io_buffers.c */
/* into= of read and recv, or data= of write and send: one buffer or a list of them. */
int fol_py_io_read_buffers(fol_py_io_call *call, const char *argument, PyObject *given,
                           bool is_written);
void fol_py_io_release_buffers(fol_py_io_buffers *buffers);
/* to=: where in the world the bytes go. */
int fol_py_io_read_destination(fol_py_io_call *call, PyObject *given);
/* The Bytes component or resource, which the system writes; NULL with an error. */
fol_component *fol_py_io_read_component(fol_py_io_call *call, PyObject *given, bool is_resource);

/* io_address.c */
/* The address of a socket of the descriptor's family, into the request. */
int fol_py_io_read_address(fol_py_io_call *call, int descriptor, PyObject *given);

/* io.c */
extern PyType_Spec fol_py_io_spec;
PyObject *fol_py_io_new(fol_py_state *state, fol_py_context *context);
void fol_py_io_detach(PyObject *io);
/* The queue of the running system; AccessError unless it runs now. */
fol_io_queue *fol_py_io_queue(fol_py_context *context);
/* Raises why a request was not queued. */
int fol_py_io_refuse(fol_py_context *context, const char *method, int status);
fol_py_context *fol_py_io_context(PyObject *io);

/* io_more.c: its methods on names and sockets. */
#define FOL_PY_IO_METHOD(name)                                                                     \
    PyObject *fol_py_io_##name(PyObject *io, PyObject *const *args, Py_ssize_t count,              \
                               PyObject *keywords)
FOL_PY_IO_METHOD(rename);
FOL_PY_IO_METHOD(unlink);
FOL_PY_IO_METHOD(mkdir);
FOL_PY_IO_METHOD(rmdir);
FOL_PY_IO_METHOD(socket);
FOL_PY_IO_METHOD(connect);
FOL_PY_IO_METHOD(accept);
FOL_PY_IO_METHOD(recv);
FOL_PY_IO_METHOD(send);
FOL_PY_IO_METHOD(shutdown);
FOL_PY_IO_METHOD(poll);
FOL_PY_IO_METHOD(timeout);
FOL_PY_IO_METHOD(cancel);
FOL_PY_IO_METHOD(nop);
/* io_bulk.c */
FOL_PY_IO_METHOD(read_many);
extern PyType_Spec fol_py_bulk_spec;

/* Begins a call: its arguments, an Operation and an intent of a kind; AccessError unless the system
 * runs now. */
int fol_py_io_begin(fol_py_io_call *call, PyObject *io, const fol_py_io_signature *signature,
                    fol_io_kind kind, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                    PyObject **given);
/* Queues it and gives the Operation, or undoes the call. failed: what the reading of its arguments
 * said. */
PyObject *fol_py_io_end(fol_py_io_call *call, int failed);

/* Parts of requests that several methods have. */
int fol_py_io_read_offset(fol_py_io_call *call, PyObject *given);
int fol_py_io_read_mode(fol_py_io_call *call, PyObject *given, uint32_t usual);
int fol_py_io_refuse_both(fol_py_io_call *call, PyObject *into, PyObject *to);
/* The result goes into buffers of the caller, or a new bytes object; usual_size where size is not
 * given. */
int fol_py_io_read_into(fol_py_io_call *call, PyObject *into, PyObject *size);
int fol_py_io_read_own(fol_py_io_call *call, PyObject *size, size_t usual_size);

#endif
