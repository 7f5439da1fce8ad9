/* Python as the core's host: taking and giving back the interpreter, and the threads' states.
 *
 * A thread keeps its thread state between two turns, so that taking the interpreter again costs
 * tens of nanoseconds. The caller's thread comes with one; a worker makes its own the first time
 * and frees it when it ends. Threads end when the interpreter is about to, in fol_py_end_threads:
 * after that no thread of ours takes the interpreter any more, and one that would (for a frame that
 * a daemon thread still drives) stops where it is.
 */
#include "bindings/scheduler.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "foliot/threads.h"

#if PY_VERSION_HEX >= 0x030d0000
#define IS_FINALIZING() Py_IsFinalizing()
#else
#define IS_FINALIZING() _Py_IsFinalizing()
#endif

/* Between two attempts to get memory for a thread state. */
#define RETRY_NS 1000000

/* The state of this thread while the scheduler it drives has it detached. A call that drives
 * another one from within, from an attached turn or from a kernel that took the interpreter by
 * itself, finds none and leaves behind what it found. */
static _Thread_local PyThreadState *detached_state;

/* The state that this thread made for itself, a worker's; NULL for all others. */
static _Thread_local PyThreadState *own_state;

/* States that workers made and have not freed. */
static _Atomic uint32_t worker_states;

/* How many times this process was made by a fork of one that had foliot loaded. */
static _Atomic uint32_t forks;

/* The interpreter's exit has begun: threads are ended, and schedulers get no new ones. */
static atomic_bool is_exiting;

/* Which thread closes what is still open, for the interpreter's exit; 0: there is no exit yet. */
static _Atomic unsigned long exiting_thread;

PyObject *fol_py_begin_exit(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    atomic_store_explicit(&exiting_thread, PyThread_get_thread_ident(), memory_order_relaxed);
    Py_RETURN_NONE;
}

bool fol_py_is_left_by_exit(void)
{
    unsigned long thread = atomic_load_explicit(&exiting_thread, memory_order_relaxed);
    return thread != 0 && thread != PyThread_get_thread_ident();
}

PyThreadState *fol_py_host_nest(void)
{
    PyThreadState *outer = detached_state;
    detached_state = NULL;
    return outer;
}

void fol_py_host_unnest(PyThreadState *outer)
{
    detached_state = outer;
}

/* A few hundred bytes, without which the frame cannot go on: until there are some, this waits. The
 * frame only takes longer, where to give up would end the process. */
static PyThreadState *make_state(void)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = RETRY_NS};
    PyThreadState *state = PyThreadState_New(PyInterpreterState_Main());
    while (state == NULL) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        state = PyThreadState_New(PyInterpreterState_Main());
    }
    atomic_fetch_add_explicit(&worker_states, 1, memory_order_relaxed);
    own_state = state;
    return state;
}

/* For a worker that would run Python code while the interpreter is torn down: the process ends
 * without it. Bounded by that end. */
static void wait_for_the_end(void)
{
    while (true) {
        pause();
    }
}

static void host_attach(void *unused)
{
    (void)unused;
    PyThreadState *state = detached_state;
    if ((state == NULL || state == own_state) && IS_FINALIZING()) {
        wait_for_the_end();
    }
    if (state == NULL) {
        state = make_state();
    }
    detached_state = NULL;
    PyEval_RestoreThread(state);
}

static void host_detach(void *unused)
{
    (void)unused;
    detached_state = PyEval_SaveThread();
}

fol_host fol_py_host(fol_py_scheduler *scheduler)
{
    return (fol_host){.state = scheduler,
                      .attach = host_attach,
                      .detach = host_detach,
                      .pending = fol_py_pending,
                      .watch = fol_py_watch_signals,
                      .unwatch = fol_py_unwatch_signals};
}

bool fol_py_enter_host(void)
{
    bool was_attached = PyGILState_Check() != 0;
    if (!was_attached) {
        host_attach(NULL);
    }
    return was_attached;
}

void fol_py_leave_host(bool was_attached)
{
    if (!was_attached) {
        host_detach(NULL);
    }
}

/* Workers end detached, in fol_py_end_threads or never. */
static void free_own_state(void)
{
    PyThreadState *state = own_state;
    if (state == NULL || IS_FINALIZING()) {
        return;
    }
    own_state = NULL;
    detached_state = NULL;
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
    atomic_fetch_sub_explicit(&worker_states, 1, memory_order_relaxed);
}

void fol_py_watch_threads(void)
{
    fol_threads_at_end(free_own_state);
}

uint32_t fol_py_fork_count(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

bool fol_py_is_exiting(void)
{
    return atomic_load_explicit(&is_exiting, memory_order_relaxed);
}

/* Without the GIL all run at the same time, and a thread may end while the list of them is read. A
 * free-threaded build can have it all the same. */
static bool takes_turns(fol_py_state *state)
{
#ifdef Py_GIL_DISABLED
    PyObject *answer = PyObject_CallNoArgs(state->scheduler.is_gil_enabled);
    int is_enabled = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (is_enabled < 0) {
        PyErr_Clear();
    }
    return is_enabled > 0;
#else
    (void)state;
    return true;
#endif
}

bool fol_py_has_other_threads(fol_py_state *state)
{
    if (!takes_turns(state)) {
        return false;
    }
    uint32_t others = 0;
    uint32_t workers = atomic_load_explicit(&worker_states, memory_order_relaxed);
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    /* A state that a worker is about to make, or has not counted yet, costs a turn too many. */
    while (thread != NULL && others <= workers + 1) {
        others++;
        thread = PyThreadState_Next(thread);
    }
    return others > workers + 1;
}

PyObject *fol_py_forget_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    uint32_t here = own_state != NULL;
    atomic_store_explicit(&worker_states, here, memory_order_relaxed);
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
    fol_py_forget_signals();
    Py_RETURN_NONE;
}

PyObject *fol_py_end_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (!atomic_exchange_explicit(&is_exiting, true, memory_order_relaxed)) {
        Py_BEGIN_ALLOW_THREADS;
        fol_threads_shutdown();
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}
