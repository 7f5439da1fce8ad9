/* The scheduler as a Python object, and what it shares with the files that run its systems.
 *
 * One context stands for one system of the running plan: it is the `ctx` that the system's function
 * gets, made once and used again in every frame. Its task is set exactly while the function or the
 * condition runs, so a context kept for later answers every question with an AccessError.
 *
 * Errors that Python code raises inside a frame wait in the context of their system until the frame
 * has ended. What is no Exception (KeyboardInterrupt, SystemExit) ends the frame and waits in the
 * scheduler.
 *
 * Systems run on any worker. A context is used by the worker that runs its system and by nobody
 * else meanwhile but threads of the system itself, which use it under its lock. The scheduler's own
 * members belong to the thread that drives, but for those that say who drives, whether it may be
 * closed, and what interrupts it: those change under the scheduler's lock. The lock is the GIL
 * where there is one, and the critical section of the object where there is none.
 *
 * Who may call what: attached threads only, unless a function says otherwise.
 */
#ifndef FOL_BINDINGS_SCHEDULER_H
#define FOL_BINDINGS_SCHEDULER_H

#include "bindings/bindings.h"
#include "bindings/plan.h"
#include "bindings/policy.h"
#include "foliot/scheduler.h"

/* Exceptions kept of one batch of frames; what is beyond is counted in the scheduler's stats. */
#define FOL_PY_MAX_ERRORS 1000

struct fol_py_scheduler;
struct fol_py_io_home;

/* One query of a system, and the view of it once somebody looked. */
typedef struct fol_py_bound_query {
    PyObject *name; /* NULL for the default query */
    fol_term *terms;
    size_t count;
    PyObject *classes; /* tuple parallel to the terms */
    PyObject *view;    /* NULL until first used */
} fol_py_bound_query;

typedef struct fol_py_context {
    PyObject_HEAD fol_py_state *state;
    struct fol_py_scheduler *scheduler; /* borrowed; NULL once the scheduler has let go */
    fol_task *task;                     /* NULL unless the function or the condition runs */
    PyObject *function;                 /* NULL for a native system */
    PyObject *condition;                /* or NULL */
    PyObject *world;
    PyObject *system; /* foliot.System, which keeps components alive */
    PyObject *name;
    PyObject *kernel;    /* _core.Kernel of a native system, or NULL */
    PyObject *resources; /* dict: class -> True when written */
    PyObject *commands;  /* _core.Commands when the system records, else NULL */
    PyObject *io;        /* _core.Io when the system does I/O, else NULL */
    fol_py_bound_query *queries;
    size_t query_count;
    PyObject *errors;       /* list of what its function raised and nobody has fetched, or NULL */
    PyObject *merge_errors; /* the same for its custom commands */
    uint32_t max_rows;
    bool is_exclusive;
    bool takes_turns; /* it holds the interpreter's lock, so no two such systems run at once */
    bool is_in_condition;
    bool is_looked_at;    /* a view was used since the task began */
    bool is_stopped;      /* its runner was sent a KeyboardInterrupt */
    uint64_t revocations; /* of its scheduler, when its budget was last looked at in a loop */
    unsigned long runner; /* the thread that runs its function or condition, or 0 */
} fol_py_context;

/* A clock object as the core sees it. The core keeps its address. */
typedef struct fol_py_clock_face {
    fol_clock clock;
    PyObject *object; /* what was given as clock=, or NULL */
    PyObject *error;  /* what the object raised and nobody has fetched, or NULL */
    uint64_t last_ns; /* its last good answer */
} fol_py_clock_face;

typedef struct fol_py_scheduler {
    PyObject_HEAD fol_py_state *state;
    fol_scheduler *core; /* NULL before it is opened and after it is closed */
    PyObject *world;
    fol_py_plan *plan;
    fol_py_clock_face face;
    fol_py_context **contexts; /* by system index */
    uint32_t context_count;
    PyObject *interrupt;         /* the exception that stopped the frame, or NULL */
    struct fol_py_io_home *home; /* of failures of operations; NULL before it is opened */
    int process;                 /* where it was opened */
    uint32_t fork_count;         /* of that process */
    double max_dt;
    fol_error_policy policy;
    bool is_stale;   /* the schedule was edited: plan again before the next frame */
    bool runs_host;  /* some system or condition is Python */
    bool is_driving; /* from the begin of a frame until its errors, or its result, are made */
    bool was_closed;
    uint32_t trace_records; /* asked for of each worker; 0: no trace */
    uint32_t call_count;    /* calls that run frames and have not returned: nobody may close it */
    uint64_t turn_ns;       /* when other threads of Python last had their turn */
    PyObject *bound_policy; /* what fol_py_policy_bind made, or NULL */
    bool has_notices;       /* some context wants to be told of depletions */
} fol_py_scheduler;

/* systems.c: contexts and core systems of a plan. */
typedef struct fol_py_binding {
    fol_py_context **contexts;
    fol_system *systems;
    fol_system_query *queries;
    fol_system_budget *budgets;
    fol_phase_rate *rates;
    uint32_t count;
    bool runs_host;
} fol_py_binding;

/* records: list of tuples by system index; rates: list of tuples by phase. */
int fol_py_binding_init(fol_py_binding *binding, fol_py_scheduler *scheduler, fol_py_plan *plan,
                        PyObject *records, PyObject *rates);
/* Gives back what was not taken; contexts too unless they were set to NULL. */
void fol_py_binding_deinit(fol_py_binding *binding);
/* Detaches contexts from their scheduler and drops them. */
void fol_py_contexts_release(fol_py_context **contexts, uint32_t count);

/* context.c */
extern PyType_Spec fol_py_context_spec;
/* Ends what views of the context handed out. */
void fol_py_context_end_use(fol_py_context *context);
/* AccessError unless the context's system runs now. */
int fol_py_context_check(const fol_py_context *context);

/* commands.c */
extern PyType_Spec fol_py_commands_spec;
PyObject *fol_py_commands_new(fol_py_state *state, fol_py_context *context);
void fol_py_commands_detach(PyObject *commands);

/* host.c */
fol_host fol_py_host(fol_py_scheduler *scheduler);
/* Once, when the module is loaded: workers free their thread states when they end. */
void fol_py_watch_threads(void);
/* The interpreter's exit closes schedulers from here on, on this thread. A function of the module.
 */
PyObject *fol_py_begin_exit(PyObject *module, PyObject *unused);
/* Whether this is another thread than the one that closes them. */
bool fol_py_is_left_by_exit(void);
/* Ends the workers; for the interpreter's exit. A function of the module. */
PyObject *fol_py_end_threads(PyObject *module, PyObject *unused);
/* In a forked child: it has none of the parent's workers. A function of the module. */
PyObject *fol_py_forget_threads(PyObject *module, PyObject *unused);
/* Differs between a process and its forked children. */
uint32_t fol_py_fork_count(void);
/* Whether fol_py_end_threads was called. */
bool fol_py_is_exiting(void);
/* Whether there are threads of Python beside this one and the workers that wait for their turn. */
bool fol_py_has_other_threads(fol_py_state *state);
/* Make this thread attached; what it was goes to fol_py_leave_host. Any thread. */
bool fol_py_enter_host(void);
void fol_py_leave_host(bool was_attached);
/* Round each call that runs frames: what the thread's outer call, if any, left to find again. */
PyThreadState *fol_py_host_nest(void);
void fol_py_host_unnest(PyThreadState *outer);

/* signals.c: fol_host.watch and unwatch. */
int fol_py_watch_signals(void *scheduler);
void fol_py_unwatch_signals(void *scheduler);
/* A function of the module. */
PyObject *fol_py_make_signal_pipe(PyObject *module, PyObject *unused);
/* In a forked child: what its parent watches is none of its business. */
void fol_py_forget_signals(void);

/* hosted.c: what the core calls on any worker, attached. */
int fol_py_run_hosted(void *user, fol_task *task);
int fol_py_run_exclusive(void *user, fol_task *task);
int fol_py_run_condition(void *user, fol_task *task);
/* Whether something asks the frame to stop; only the caller. */
int fol_py_pending(void *scheduler);
/* The pending error as an exception; clears it. New reference, never NULL. */
PyObject *fol_py_take_error(void);
/* Keeps the pending error for the end of the frame; the status to give to the core. */
int fol_py_keep_error(fol_py_context *context, bool is_merge);

/* frame_errors.c */
/* error.add_note(…) with the system, or NULL, and the frame that runs or has just ended. */
int fol_py_note_error(fol_py_scheduler *scheduler, PyObject *error, fol_py_context *context,
                      bool is_merge);
/* Exceptions of the frame that has just ended, with notes, appended to a list. */
int fol_py_collect_errors(fol_py_scheduler *scheduler, PyObject *list);
/* Forgets exceptions that belong to no error of a frame. */
void fol_py_drop_errors(fol_py_scheduler *scheduler);
/* The same of operations that died with a failure that nobody had looked at. */
int fol_py_collect_unseen(fol_py_scheduler *scheduler, PyObject *list);
/* FrameError of the frame that has just ended; takes nothing. New reference. */
PyObject *fol_py_frame_error(fol_py_scheduler *scheduler, PyObject *errors, PyObject *result);

/* frame_result.c */
extern PyType_Spec fol_py_frame_result_spec;
/* errors: a list, or NULL for none. quarantined: a list of names, or NULL for those of the frame.
 */
PyObject *fol_py_frame_result_new(fol_py_scheduler *scheduler, PyObject *errors,
                                  PyObject *quarantined);

/* drive.c: methods of the scheduler that run frames. */
/* Plans again when the schedule was edited; not while a frame runs. */
int fol_py_scheduler_refresh(fol_py_scheduler *scheduler);
PyObject *fol_py_scheduler_tick(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *names);
PyObject *fol_py_scheduler_tick_n(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                  PyObject *names);
PyObject *fol_py_scheduler_run(PyObject *self, PyObject *args);
/* Raises what no frame had run for. */
int fol_py_raise_refusal(fol_py_scheduler *self, int status, double dt);

/* wait.c */
PyObject *fol_py_scheduler_wait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *names);
/* Goes on with the I/O in flight until until_ns of the clock: 1; 0: there is none, or somebody else
 * has the world, which is for the next frame to say; -1 with an error. */
int fol_py_scheduler_rest(fol_py_scheduler *self, uint64_t until_ns);

/* scheduler.c, scheduler_lock.c */
extern PyType_Spec fol_py_scheduler_spec;
/* The open core scheduler; RuntimeError when closed, ForkedError in a child process. */
fol_scheduler *fol_py_scheduler_core(fol_py_scheduler *scheduler);
/* Around what drives the core: 1; 0 when somebody drives already; -1 with an error when it is
 * closed. After 1 nobody else drives, and nobody closes it, until the end. */
int fol_py_scheduler_begin_drive(fol_py_scheduler *scheduler);
void fol_py_scheduler_end_drive(fol_py_scheduler *scheduler);
/* Around what calls the core: until the release nobody closes it. */
void fol_py_scheduler_hold(fol_py_scheduler *scheduler);
void fol_py_scheduler_release(fol_py_scheduler *scheduler);
/* WorldBusyError, "… while a frame runs", when one does. */
int fol_py_scheduler_refuse(fol_py_scheduler *scheduler, const char *what);

/* scheduler_views.c: its methods that only tell. */
PyObject *fol_py_scheduler_costs(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_backend(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_read_stats(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_read_worker(PyObject *self, PyObject *worker);
PyObject *fol_py_scheduler_explain_phase(PyObject *self, PyObject *phase);
PyObject *fol_py_scheduler_explain_backend(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_io(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_read_trace(PyObject *self, PyObject *worker);
PyObject *fol_py_scheduler_trace_scale(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_clear_trace(PyObject *self, PyObject *unused);
/* The names of the kinds of trace records, by number; a tuple. */
PyObject *fol_py_trace_kinds(void);
/* The names of the kinds of decisions, by number; a tuple. */
PyObject *fol_py_decision_kinds(void);

/* scheduler_budget.c */
/* A system's budget as the Python side gives it; *budget gets NULL or `out`. */
int fol_py_read_budget(PyObject *given, fol_system_budget *out, const fol_system_budget **budget);
/* Raises for the first context that cannot be had: -ERANGE, or -ENODEV. */
int fol_py_raise_budget(fol_py_scheduler *self, int status, const fol_py_binding *binding);
/* None, a name or a fo.Policy. */
int fol_py_choose_policy(fol_py_scheduler *self, PyObject *policy, fol_scheduler_config *config);
PyObject *fol_py_scheduler_revoke(PyObject *self, PyObject *key);
/* For a loop of a system that runs: false, with StaleHandleError, when its budget was revoked. */
bool fol_py_budget_may_go_on(void *context);
/* What a system failed with whose budget is gone. New reference. */
PyObject *fol_py_budget_gone_error(const fol_py_context *context);
PyObject *fol_py_scheduler_read_account(PyObject *self, PyObject *args);
PyObject *fol_py_scheduler_read_attribution(PyObject *self, PyObject *unused);
PyObject *fol_py_scheduler_take_notice(PyObject *self, PyObject *key);
PyObject *fol_py_scheduler_explain_budget(PyObject *self, PyObject *args);
PyObject *fol_py_scheduler_read_decisions(PyObject *self, PyObject *first);
PyObject *fol_py_scheduler_take_policy_errors(PyObject *self, PyObject *unused);
/* Tells contexts of depletions; what their callables raise goes to the list, made when there is
 * something. 1: something was raised; 0; -1 with an error. After a frame. */
int fol_py_collect_notices(fol_py_scheduler *self, PyObject **list);
/* What a slot raised to end everything becomes the scheduler's interrupt. False: there is none. */
bool fol_py_take_policy_interrupt(fol_py_scheduler *self);
/* fol_py_pending for a scheduler with a policy. */
int fol_py_pending_with_policy(void *scheduler);

/* orphans.c */
/* Ends a core scheduler now, or as soon as its world is free. Keeps a pending error. */
void fol_py_orphans_end(fol_py_state *state, fol_scheduler *core, PyObject *world);
/* Ends what can be ended by now. */
void fol_py_orphans_collect(fol_py_state *state);

/* clock.c */
extern PyType_Spec fol_py_clock_spec;
/* The face of a clock object; None: the machine's clock. */
int fol_py_clock_face_init(fol_py_clock_face *face, fol_py_state *state, PyObject *clock);
void fol_py_clock_face_deinit(fol_py_clock_face *face);
/* Takes what the object raised; NULL for nothing. */
PyObject *fol_py_clock_face_take_error(fol_py_clock_face *face);

/* native.c */
extern PyType_Spec fol_py_kernel_spec;

typedef struct fol_py_kernel {
    PyObject_HEAD uintptr_t address;
    bool takes_chunk;
    void *user;
    PyObject *owner;
    PyObject *user_data;
    Py_buffer buffer; /* of user_data, when has_buffer */
    bool has_buffer;
} fol_py_kernel;

PyObject *fol_py_capsule_contents(PyObject *module, PyObject *capsule);
PyObject *fol_py_component_facts(PyObject *module, PyObject *key);

#endif
