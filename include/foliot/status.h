/* Status codes: every fallible function of the core returns one.
 *
 * Zero is success and a negative number is a failure. Numbers above -4096 are negated errno values,
 * passed on unchanged; foliot's own start at -4096. One table makes the code, the text and the name
 * of the Python exception, so that the three cannot drift apart.
 */
#ifndef FOLIOT_STATUS_H
#define FOLIOT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, code, exception, text) */
#define FOL_STATUS_TABLE(X)                                                                        \
    X(CAPACITY, -4096, "CapacityError", "a configured capacity is reached")                        \
    X(STALE, -4097, "StaleHandleError", "the handle names something that no longer exists")        \
    X(BUSY, -4098, "WorldBusyError", "the world is in use by a running frame or another thread")   \
    X(ACCESS, -4099, "AccessError", "the access was not declared")                                 \
    X(CYCLE, -4100, "OrderCycleError", "the ordering constraints form a cycle")                    \
    X(PHASE, -4101, "UnknownPhaseError", "no phase has this name")                                 \
    X(DUPLICATE, -4102, "DuplicateSystemError", "the name is taken")                               \
    X(UNKNOWN, -4103, "UnknownSystemError", "no system has this name")                             \
    X(SIGNATURE, -4104, "KernelSignatureError", "the kernel's signature is not accepted")          \
    X(FORKED, -4105, "ForkedError", "the object belongs to the process before the fork")           \
    X(MISSING, -4106, "KeyError", "the entity or world holds no such value")                       \
    X(VALUE, -4107, "ValueError", "a value is outside its range")                                  \
    X(HOST, -4108, "RuntimeError", "the host language raised; its own error says why")             \
    X(INTERRUPTED, -4109, "KeyboardInterrupt", "the host asked to stop")                           \
    X(KERNEL, -4110, "KernelError", "a native kernel returned a nonzero code")                     \
    X(FRAME, -4111, "FrameError", "at least one system of the frame failed")                       \
    X(ABANDONED, -4112, "AbandonedError",                                                          \
      "the kernel did not let go of the operation after it was cancelled")

enum fol_status {
    FOL_OK = 0,
#define FOL_STATUS_ENUM(name, code, exception, text) FOL_E_##name = (code),
    FOL_STATUS_TABLE(FOL_STATUS_ENUM)
#undef FOL_STATUS_ENUM
};

/* A sentence without a full stop; errno values give strerror's text. Never NULL; static storage. */
const char *fol_status_text(int status);

/* The Python exception that stands for the status; "OSError" for errno values, "MemoryError" for
 * -ENOMEM, "ValueError" for -EINVAL. Never NULL; static storage. */
const char *fol_status_exception(int status);

#ifdef __cplusplus
}
#endif

#endif
