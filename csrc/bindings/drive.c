/* Running frames: one, many, or at a fixed rate until something says stop.
 *
 * Frames of native systems alone run in batches in the core. Once Python code takes part, each
 * frame comes back here, so that an edited schedule is planned again before the next one and no
 * error of a frame is lost.
 */
#include "bindings/io.h"
#include "bindings/scheduler.h"

#include <errno.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

/* Between two questions whether to stop while waiting for a deadline; on a clock that is not the
 * machine's also between two looks at signals. */
#define MAX_WAIT_NS UINT64_C(50000000)
/* Late frames that run back to back; older ones are dropped. */
#define MAX_CATCH_UP 4
#define MAX_COUNT    2147483647LL
/* Frames of one call into the core: with nothing to run a frame takes less than a microsecond, and
 * nothing in it would look at signals or let another thread go on. */
#define MAX_BATCH 4096

/* Between two turns of the other threads of Python, and how long one waits for them to take theirs.
 * A thread that waits for the interpreter has to wake up first, and one that is woken in vain
 * starts counting anew until it may ask for it: giving it back for an instant would starve it. */
#define TURN_EVERY_NS UINT64_C(5000000)
#define TURN_NS       50000

/* What the frames of one call leave behind, and what the call found when it began. */
typedef struct batch {
    PyObject *errors;      /* list, or NULL for none */
    PyObject *quarantined; /* list of names, or NULL for none */
    PyThreadState *outer;
} batch;

/* Until end_call the scheduler cannot be closed. */
static batch begin_call(fol_py_scheduler *self)
{
    fol_py_scheduler_hold(self);
    return (batch){.outer = fol_py_host_nest()};
}

static void end_call(fol_py_scheduler *self, batch *made)
{
    fol_py_host_unnest(made->outer);
    fol_py_scheduler_release(self);
    Py_CLEAR(made->errors);
    Py_CLEAR(made->quarantined);
}

/* The result of the last frame. It stays out of reach of what the collector may run meanwhile. */
static PyObject *make_result(fol_py_scheduler *self, const batch *made)
{
    int begun = fol_py_scheduler_begin_drive(self);
    if (begun <= 0) {
        if (begun == 0) {
            fol_py_raise(self->state, FOL_E_BUSY, "another thread runs a frame of this scheduler");
        }
        return NULL;
    }
    PyObject *result = fol_py_frame_result_new(self, made->errors, made->quarantined);
    fol_py_scheduler_end_drive(self);
    return result;
}

int fol_py_scheduler_refresh(fol_py_scheduler *self)
{
    if (!self->is_stale) {
        return 0;
    }
    /* What is edited from here on may be too late for this plan, and makes another one. */
    self->is_stale = false;
    PyObject *answer = PyObject_CallMethod((PyObject *)self, "_replan", NULL);
    self->is_stale = self->is_stale || answer == NULL;
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int fol_py_raise_refusal(fol_py_scheduler *self, int status, double dt)
{
    if (status == FOL_E_VALUE) {
        PyObject *given = PyFloat_FromDouble(dt);
        PyObject *bound = PyFloat_FromDouble(self->max_dt);
        if (given != NULL && bound != NULL) {
            fol_py_raise(self->state, status,
                         "dt is finite, at least 0 and at most Config.max_dt (%R s), got %R", bound,
                         given);
        }
        Py_XDECREF(given);
        Py_XDECREF(bound);
        return -1;
    }
    if (status == FOL_E_BUSY) {
        return fol_py_raise(self->state, status,
                            "the world is in use: a frame runs, or another thread holds it");
    }
    if (status == FOL_E_FORKED) {
        return fol_py_raise(
            self->state, status,
            "the scheduler belongs to the process before the fork: make a new one here");
    }
    if (status == -EBUSY) {
        PyErr_SetString(PyExc_RuntimeError,
                        "operations are in flight on a ring that belongs to another thread, which "
                        "still lives: run frames on that thread until they have ended, or make the "
                        "scheduler with io=\"pool\", whose operations any thread may take over");
        return -1;
    }
    return fol_py_raise(self->state, status, NULL);
}

/* Raises the FrameError of the frame that has just ended. */
static int raise_frame_error(fol_py_scheduler *self, const batch *made)
{
    PyObject *result = fol_py_frame_result_new(self, made->errors, made->quarantined);
    PyObject *error = result == NULL ? NULL : fol_py_frame_error(self, made->errors, result);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    Py_XDECREF(error);
    Py_XDECREF(result);
    return -1;
}

/* Raises what stopped the frame; the failures of its other systems hang on it as context. */
static int raise_interrupt(fol_py_scheduler *self, const batch *made)
{
    PyObject *interrupt = self->interrupt;
    self->interrupt = NULL;
    if (interrupt == NULL) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return -1;
    }
    if (made->errors != NULL && PyList_GET_SIZE(made->errors) > 0) {
        raise_frame_error(self, made);
        PyException_SetContext(interrupt, fol_py_take_error());
    }
    PyErr_SetObject((PyObject *)Py_TYPE(interrupt), interrupt);
    Py_DECREF(interrupt);
    return -1;
}

/* Adds the names of the systems that the frame switched off. */
static int collect_quarantined(fol_py_scheduler *self, PyObject **list)
{
    const fol_frame *frame = fol_scheduler_frame(self->core);
    if (frame->quarantined_count > 0 && *list == NULL && (*list = PyList_New(0)) == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < frame->quarantined_count; i++) {
        PyObject *name = PyTuple_GET_ITEM(self->plan->names, frame->quarantined[i]);
        int is_known = PySequence_Contains(*list, name);
        if (is_known < 0 || (is_known == 0 && PyList_Append(*list, name) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* What follows a frame that did not simply go well. */
static int finish_badly(fol_py_scheduler *self, int status, double dt, batch *made)
{
    PyObject *error = fol_py_clock_face_take_error(&self->face);
    if (error != NULL) {
        Py_XSETREF(self->interrupt, error);
    }
    bool has_run = status == 0 || status == FOL_E_FRAME || status == FOL_E_INTERRUPTED;
    if (!has_run) {
        Py_CLEAR(self->interrupt);
        fol_py_drop_errors(self);
        return fol_py_raise_refusal(self, status, dt);
    }
    if (fol_scheduler_frame(self->core)->error_count > 0) {
        if (made->errors == NULL && (made->errors = PyList_New(0)) == NULL) {
            return -1;
        }
        if (fol_py_collect_errors(self, made->errors) < 0 ||
            collect_quarantined(self, &made->quarantined) < 0) {
            return -1;
        }
    }
    fol_py_drop_errors(self);
    (void)fol_py_take_policy_interrupt(self);
    int noticed = fol_py_collect_notices(self, &made->errors);
    if (noticed < 0) {
        return -1;
    }
    bool has_unseen = fol_py_io_home_has_unseen(self->home);
    if (has_unseen) {
        if ((made->errors == NULL && (made->errors = PyList_New(0)) == NULL) ||
            fol_py_collect_unseen(self, made->errors) < 0) {
            return -1;
        }
    }
    if (status == FOL_E_INTERRUPTED || self->interrupt != NULL) {
        return raise_interrupt(self, made);
    }
    bool fails =
        status == FOL_E_FRAME || ((has_unseen || noticed > 0) && self->policy == FOL_ERRORS_RAISE);
    return fails ? raise_frame_error(self, made) : 0;
}

/* One batch of the core; 0, or -1 with an error raised. Until its errors are collected, which may
 * run any Python code, the contexts have to stay. */
static int run_batch(fol_py_scheduler *self, uint64_t count, double dt, batch *made)
{
    int begun = fol_py_scheduler_begin_drive(self);
    if (begun == 0) {
        /* A child of a fork within the frame has a copy of one that never ends. */
        bool was_forked = self->process != (int)getpid();
        return fol_py_raise_refusal(self, was_forked ? FOL_E_FORKED : FOL_E_BUSY, dt);
    }
    if (begun < 0) {
        return -1;
    }
    fol_py_world_begin_frame(self->world);
    uint64_t done;
    int status = count == 1 ? fol_scheduler_tick(self->core, dt)
                            : fol_scheduler_tick_many(self->core, count, dt, &done);
    fol_py_world_end_frame(self->world, status != FOL_E_BUSY);
    bool went_well = status == 0 && fol_scheduler_frame(self->core)->error_count == 0 &&
                     self->interrupt == NULL && self->face.error == NULL && !self->has_notices &&
                     self->bound_policy == NULL && !fol_py_io_home_has_unseen(self->home);
    int answer = went_well ? 0 : finish_badly(self, status, dt, made);
    fol_py_scheduler_end_drive(self);
    return answer;
}

static uint64_t coarse_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Lets other threads of Python, where there are any, have their turn from time to time. */
static void give_turn(fol_py_scheduler *self)
{
    if (coarse_now_ns() - self->turn_ns < TURN_EVERY_NS) {
        return;
    }
    if (fol_py_has_other_threads(self->state)) {
        const struct timespec pause = {.tv_sec = 0, .tv_nsec = TURN_NS};
        Py_BEGIN_ALLOW_THREADS;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        Py_END_ALLOW_THREADS;
    }
    self->turn_ns = coarse_now_ns();
}

/* Between frames: signals, other threads of Python, an edited schedule. */
static int pause_between(fol_py_scheduler *self)
{
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    give_turn(self);
    return fol_py_scheduler_refresh(self);
}

static int run_frames(fol_py_scheduler *self, uint64_t count, double dt, batch *made)
{
    if (fol_py_scheduler_refresh(self) < 0) {
        return -1;
    }
    uint64_t done = 0;
    while (done < count) {
        if (done > 0 && pause_between(self) < 0) {
            return -1;
        }
        bool is_batch = !self->runs_host && !self->has_notices && self->policy == FOL_ERRORS_RAISE;
        uint64_t left = count - done;
        uint64_t frames = !is_batch ? 1 : left < MAX_BATCH ? left : MAX_BATCH;
        if (run_batch(self, frames, dt, made) < 0) {
            return -1;
        }
        done += frames;
    }
    return 0;
}

/* dt as a double; only its range is left to check. */
static int read_dt(fol_py_scheduler *self, PyObject *given, double *out)
{
    double dt = PyFloat_AsDouble(given);
    if (dt == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "dt is a number of seconds, got %R", given);
        } else if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            fol_py_raise_refusal(self, FOL_E_VALUE, Py_HUGE_VAL);
        }
        return -1;
    }
    *out = dt;
    return 0;
}

static int read_count(PyObject *given, uint64_t *out)
{
    PyObject *index = PyNumber_Index(given);
    if (index == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "count is a whole number of frames, got %R", given);
        }
        return -1;
    }
    int overflow;
    long long count = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0 || count < 0 || count > MAX_COUNT) {
        PyErr_Format(PyExc_ValueError, "count is from 0 to 2**31 - 1, got %R", given);
        return -1;
    }
    *out = (uint64_t)count;
    return 0;
}

/* Arguments of a method that takes its first names, each also by name. */
static int read_named(PyObject *const *args, Py_ssize_t count, PyObject *names,
                      const char *const *expected, PyObject **given)
{
    Py_ssize_t wanted = expected[1] == NULL ? 1 : 2;
    const char *takes = wanted == 1 ? "tick takes dt" : "tick_n takes count and dt";
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < count && i < wanted; i++) {
        given[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        Py_ssize_t place = 0;
        while (place < wanted && PyUnicode_CompareWithASCIIString(name, expected[place]) != 0) {
            place++;
        }
        if (place == wanted || given[place] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s, got %R", takes, name);
            return -1;
        }
        given[place] = args[count + i];
    }
    if (count > wanted || given[0] == NULL || given[wanted - 1] == NULL) {
        PyErr_Format(PyExc_TypeError, "%s, got %zd argument%s", takes, count + named,
                     count + named == 1 ? "" : "s");
        return -1;
    }
    return 0;
}

/* The result of the last of at least one frame. */
static PyObject *run_call(fol_py_scheduler *self, uint64_t frames, double dt)
{
    batch made = begin_call(self);
    PyObject *result = run_frames(self, frames, dt, &made) < 0 ? NULL : make_result(self, &made);
    end_call(self, &made);
    return result;
}

PyObject *fol_py_scheduler_tick(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    static const char *const expected[] = {"dt", NULL};
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    PyObject *given = NULL;
    double dt = 0.0;
    if (read_named(args, count, names, expected, &given) < 0 || read_dt(self, given, &dt) < 0) {
        return NULL;
    }
    return run_call(self, 1, dt);
}

PyObject *fol_py_scheduler_tick_n(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                  PyObject *names)
{
    static const char *const expected[] = {"count", "dt", NULL};
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    PyObject *given[2] = {NULL, NULL};
    uint64_t frames;
    double dt = 0.0;
    if (read_named(args, count, names, expected, given) < 0 || read_count(given[0], &frames) < 0 ||
        read_dt(self, given[1], &dt) < 0) {
        return NULL;
    }
    if (!isfinite(dt) || dt < 0.0 || dt > self->max_dt) {
        fol_py_raise_refusal(self, FOL_E_VALUE, dt);
        return NULL;
    }
    if (frames == 0) {
        return fol_py_scheduler_core(self) == NULL ? NULL : Py_NewRef(Py_None);
    }
    return run_call(self, frames, dt);
}

/* One call of run. */
typedef struct drive {
    fol_py_scheduler *scheduler;
    fol_pacer pacer;
    double dt;          /* of every frame; negative: what the clock says */
    uint64_t max_ticks; /* UINT64_MAX: no bound */
    PyObject *until;    /* callable or None */
    PyObject *on_frame; /* callable or None */
    batch made;
    uint64_t frames;
    uint64_t start_ns;
    uint64_t last_ns;
} drive;

static uint64_t clock_now(const drive *run)
{
    const fol_clock *clock = &run->scheduler->face.clock;
    return clock->now_ns(clock->state);
}

/* 1 to stop, 0 to go on, -1 with an error. */
static int says_stop(const drive *run)
{
    if (run->until == Py_None) {
        return 0;
    }
    PyObject *answer = PyObject_CallNoArgs(run->until);
    int stops = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return stops;
}

/* An error of the clock, a signal, or a fork. */
static int check_outside(const drive *run)
{
    fol_py_scheduler *self = run->scheduler;
    PyObject *error = fol_py_clock_face_take_error(&self->face);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
        return -1;
    }
    return PyErr_CheckSignals() < 0 || fol_py_scheduler_core(self) == NULL ? -1 : 0;
}

/* One wait, until the next deadline at the latest. On the machine's clock I/O in flight goes on
 * meanwhile; any other clock waits as it does, and I/O goes on before each wait. Only who may say
 * stop has to be asked before the deadline. */
static int wait_once(drive *run, uint64_t now)
{
    fol_clock clock = run->scheduler->face.clock;
    bool is_machine_clock = clock.now_ns == fol_clock_monotonic.now_ns;
    uint64_t until = run->pacer.next_ns;
    if (run->until != Py_None && until - now > MAX_WAIT_NS) {
        until = now + MAX_WAIT_NS;
    }
    int rested = fol_py_scheduler_rest(run->scheduler, is_machine_clock ? until : 0);
    if (rested < 0 || (rested > 0 && is_machine_clock)) {
        return rested < 0 ? -1 : 0;
    }
    /* A clock in Python takes the interpreter as it does inside a frame. */
    fol_py_leave_host(false);
    clock.wait_until_ns(clock.state, run->pacer.next_ns, MAX_WAIT_NS);
    fol_py_enter_host();
    return 0;
}

/* Waits for the next deadline: 0 when it has come, 1 to stop, -1 with an error. */
static int wait_for_deadline(drive *run, uint64_t *now)
{
    int stops = check_outside(run) < 0 ? -1 : says_stop(run);
    *now = stops == 0 ? clock_now(run) : 0;
    while (stops == 0 && fol_pacer_wait_ns(&run->pacer, *now) > 0) {
        stops = wait_once(run, *now) < 0 || check_outside(run) < 0 ? -1 : says_stop(run);
        if (stops == 0 && check_outside(run) == 0) {
            *now = clock_now(run);
        } else if (stops == 0) {
            stops = -1;
        }
    }
    return stops;
}

static int run_due_frame(drive *run, uint64_t now)
{
    fol_pacer_begin_frame(&run->pacer, now);
    give_turn(run->scheduler);
    double dt = run->dt;
    if (dt < 0.0) {
        dt = (double)(now - run->last_ns) * 1e-9;
        dt = dt > run->scheduler->max_dt ? run->scheduler->max_dt : dt;
    }
    run->last_ns = now;
    if (run_frames(run->scheduler, 1, dt, &run->made) < 0) {
        return -1;
    }
    run->frames++;
    if (run->on_frame != Py_None) {
        PyObject *answer = PyObject_CallNoArgs(run->on_frame);
        Py_XDECREF(answer);
        return answer == NULL ? -1 : 0;
    }
    return 0;
}

/* (frames, wall_ns, late, dropped, max_late_ns, result, stopped_by) */
static PyObject *report(drive *run, const char *stopped_by)
{
    uint64_t wall_ns = clock_now(run) - run->start_ns;
    PyObject *result = Py_NewRef(Py_None);
    if (run->frames > 0) {
        Py_SETREF(result, make_result(run->scheduler, &run->made));
        if (result == NULL) {
            return NULL;
        }
    }
    return Py_BuildValue("(KKKKKNs)", (unsigned long long)run->frames, (unsigned long long)wall_ns,
                         (unsigned long long)run->pacer.late_frames,
                         (unsigned long long)run->pacer.dropped_frames,
                         (unsigned long long)run->pacer.max_lateness_ns, result, stopped_by);
}

/* _run(period_ns, dt, ticks, until, on_frame); ticks negative: no bound. */
PyObject *fol_py_scheduler_run(PyObject *object, PyObject *args)
{
    unsigned long long period_ns;
    long long ticks;
    drive run = {.scheduler = (fol_py_scheduler *)object};
    if (!PyArg_ParseTuple(args, "KdLOO", &period_ns, &run.dt, &ticks, &run.until, &run.on_frame) ||
        fol_py_scheduler_core(run.scheduler) == NULL) {
        return NULL;
    }
    run.made = begin_call(run.scheduler);
    run.max_ticks = ticks < 0 ? UINT64_MAX : (uint64_t)ticks;
    run.start_ns = clock_now(&run);
    run.last_ns = run.start_ns;
    fol_pacer_init(&run.pacer, period_ns, MAX_CATCH_UP, run.start_ns);
    PyObject *answer = NULL;
    int stops = 0;
    while (stops == 0 && run.frames < run.max_ticks) {
        uint64_t now;
        stops = wait_for_deadline(&run, &now);
        if (stops == 0) {
            stops = run_due_frame(&run, now);
        }
    }
    if (stops >= 0 && fol_py_scheduler_core(run.scheduler) != NULL) {
        answer = report(&run, stops == 1 ? "until" : "ticks");
    }
    end_call(run.scheduler, &run.made);
    return answer;
}
