/* Ends the process with the place of a broken invariant. */

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void fol_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "foliot: internal invariant broken: %s (%s:%d)\n", condition, file, line);
    abort();
}
