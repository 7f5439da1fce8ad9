/* A pipe on which requests wait for ever, for tests of rings. */
#ifndef RING_PIPE_H
#define RING_PIPE_H

#include "ring_support.h"

static int pipe_ends[2];

static void open_pipe(void)
{
    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
}

static void close_pipe(void)
{
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

#endif
