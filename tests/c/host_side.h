/* A host that knows on which side it is: the first member of the hosts of tests. */
#ifndef FOL_TESTS_HOST_SIDE_H
#define FOL_TESTS_HOST_SIDE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct host_side {
    bool is_attached;
    uint32_t bad; /* calls on the wrong side */
} host_side;

static inline void host_side_attach(void *state)
{
    host_side *side = state;
    side->bad += side->is_attached;
    side->is_attached = true;
}

static inline void host_side_detach(void *state)
{
    host_side *side = state;
    side->bad += !side->is_attached;
    side->is_attached = false;
}

/* At the start of a call that is for the attached side. */
static inline void host_side_check(host_side *side)
{
    side->bad += !side->is_attached;
}

#endif
