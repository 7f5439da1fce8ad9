/* Loading of the exception classes; raising stands in bindings.h. */
#ifndef FOL_BINDINGS_ERRORS_H
#define FOL_BINDINGS_ERRORS_H

#include "bindings/bindings.h"

/* Fills state->status_errors from foliot._errors and the built-in exceptions. */
int fol_py_load_errors(fol_py_state *state);

#endif
