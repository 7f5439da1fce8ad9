/* Who drives a scheduler, and when it may be closed.
 *
 * One thread drives at a time; what it does runs outside of the lock, which only guards the change
 * of hands. call_count keeps the core open for all that call it, and is taken under the same lock
 * as the core is by who closes.
 */
#include "bindings/scheduler.h"

void fol_py_scheduler_hold(fol_py_scheduler *self)
{
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    self->call_count++;
    FOL_PY_END_CRITICAL();
}

void fol_py_scheduler_release(fol_py_scheduler *self)
{
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    self->call_count--;
    FOL_PY_END_CRITICAL();
}

int fol_py_scheduler_begin_drive(fol_py_scheduler *self)
{
    int begun;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    if (self->core == NULL) {
        fol_py_scheduler_core(self);
        begun = -1;
    } else {
        begun = !self->is_driving;
        self->call_count += self->is_driving ? 0 : 1;
        self->is_driving = true;
    }
    FOL_PY_END_CRITICAL();
    return begun;
}

void fol_py_scheduler_end_drive(fol_py_scheduler *self)
{
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    self->is_driving = false;
    self->call_count--;
    FOL_PY_END_CRITICAL();
}
