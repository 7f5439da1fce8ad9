/* What this machine offers: processors, caches, and io_uring.
 *
 * Both probes only look: they keep nothing open and change nothing. They may be called from any
 * thread, cost milliseconds, and return 0 or a negative errno value; `out` is written on success
 * only. A machine without io_uring is a successful answer that says so.
 */
#ifndef FOLIOT_MACHINE_H
#define FOLIOT_MACHINE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_CACHE_KINDS_MAX 16

enum fol_topology_source {
    FOL_TOPOLOGY_HWLOC = 0,   /* the whole picture */
    FOL_TOPOLOGY_SYSCONF = 1, /* hwloc saw nothing: counts and sizes only, one package assumed */
};

enum fol_cache_type {
    FOL_CACHE_UNIFIED = 0,
    FOL_CACHE_DATA = 1,
    FOL_CACHE_INSTRUCTION = 2,
};

/* All caches of one level, type and size. */
typedef struct fol_cache {
    uint32_t level; /* 1 is nearest to the processor */
    uint32_t type;  /* enum fol_cache_type */
    uint64_t size;  /* bytes of one cache */
    uint32_t line_size;
    uint32_t count;     /* how many there are */
    uint32_t shared_by; /* processors that share one; 0 when unknown */
} fol_cache;

typedef struct fol_topology {
    uint32_t source; /* enum fol_topology_source */
    uint32_t packages;
    uint32_t cores;
    uint32_t processors; /* logical ones, as the kernel numbers them */
    uint32_t numa_nodes;
    uint32_t affinity;        /* processors the calling thread may run on */
    uint64_t quota_us;        /* processor time the control group may use in each period; */
    uint64_t quota_period_us; /* both 0 without a limit */
    uint32_t usable;          /* workers worth starting: affinity, cut to the quota, at least 1 */
    uint32_t cache_count;
    fol_cache caches[FOL_CACHE_KINDS_MAX]; /* nearest level first */
} fol_topology;

int fol_topology_read(fol_topology *out);

/* How far the probe came before something refused. */
enum fol_io_step {
    FOL_IO_STEP_DONE = 0,     /* the round trip succeeded */
    FOL_IO_STEP_SETUP = 1,    /* io_uring_setup, or mapping the ring */
    FOL_IO_STEP_ENABLE = 2,   /* enabling a ring made disabled */
    FOL_IO_STEP_SUBMIT = 3,   /* io_uring_enter with one no-operation */
    FOL_IO_STEP_COMPLETE = 4, /* its completion did not come, or came with an error */
};

/* What to do when io_uring is not available. */
enum fol_io_cure {
    FOL_IO_CURE_NONE = 0,
    FOL_IO_CURE_KERNEL = 1,   /* this kernel has no io_uring */
    FOL_IO_CURE_SYSCTL = 2,   /* kernel.io_uring_disabled forbids it */
    FOL_IO_CURE_FILTER = 3,   /* a system call filter forbids it: most containers do */
    FOL_IO_CURE_MEMORY = 4,   /* RLIMIT_MEMLOCK or memory */
    FOL_IO_CURE_FILES = 5,    /* RLIMIT_NOFILE */
    FOL_IO_CURE_REGISTER = 6, /* works, but io_uring_register is filtered */
    FOL_IO_CURE_OTHER = 7,
    FOL_IO_CURE_POLLING = 8, /* too few processors for a kernel thread that polls (SQPOLL) */
};

#define FOL_IO_RUNGS_MAX      8
#define FOL_IO_OPERATIONS_MAX 256

/* One refused attempt on the ladder from the best set of flags to the plain ring. */
typedef struct fol_io_attempt {
    uint32_t setup_flags;
    uint32_t entries;
    uint32_t step; /* enum fol_io_step */
    int32_t error; /* negative errno */
} fol_io_attempt;

typedef struct fol_io_report {
    uint32_t available; /* 1 when a no-operation made its round trip */
    int32_t error;      /* negative errno of what stopped the probe; 0 when available */
    uint32_t step;      /* enum fol_io_step */
    uint32_t cure;      /* enum fol_io_cure */
    uint32_t setup_flags;
    uint32_t features;
    uint32_t submission_entries;
    uint32_t completion_entries;
    int32_t register_error; /* negative errno of asking for the operations; 0 when answered */
    uint32_t operation_count;
    uint8_t operations[FOL_IO_OPERATIONS_MAX / 8]; /* bit n: opcode n is supported */
    uint32_t attempt_count;
    fol_io_attempt attempts[FOL_IO_RUNGS_MAX]; /* refused ones, in order */
} fol_io_report;

int fol_io_probe(fol_io_report *out);

/* 1 when the report has the operation. */
int fol_io_report_has(const fol_io_report *report, uint32_t opcode);

/* Short lower-case names; NULL for what this version does not know. Static storage. */
const char *fol_io_operation_name(uint32_t opcode);
const char *fol_io_setup_flag_name(uint32_t bit);
const char *fol_io_feature_name(uint32_t bit);

/* A word, never NULL; static storage. */
const char *fol_io_step_name(uint32_t step);
const char *fol_io_cure_name(uint32_t cure);

/* One sentence that says what the user can do; empty for FOL_IO_CURE_NONE. Static storage. */
const char *fol_io_cure_text(uint32_t cure);

#ifdef __cplusplus
}
#endif

#endif
