/* What foliot/parallel.h promises, on a thread that is no worker: everything where it stands. */

#include "exec/parallel.h"

static void fork_branch(fol_parallel *self, fol_branch *branch, fol_branch_function function,
                        void *argument)
{
    fol_fork *fork = (fol_fork *)branch;
    (void)self;
    fork->function = function;
    fork->argument = argument;
}

/* As on a team where nobody takes it: the branch runs when it is joined. */
static void join_branch(fol_parallel *self, fol_branch *branch)
{
    const fol_fork *fork = (const fol_fork *)branch;
    fork->function(self, fork->argument);
}

static int for_range(fol_parallel *self, size_t count, size_t grain, fol_range_function body,
                     void *argument)
{
    size_t rows = grain == 0 ? count : grain;
    for (size_t first = 0; first < count;) {
        size_t end = count - first < rows ? count : first + rows;
        int status = body(self, first, end, argument);
        if (status != 0) {
            return status;
        }
        first = end;
    }
    return 0;
}

static uint32_t worker_of(const fol_parallel *self)
{
    (void)self;
    return 0;
}

static uint32_t count_workers(const fol_parallel *self)
{
    (void)self;
    return 1;
}

const fol_parallel_api fol_parallel_in_place = {
    .fork = fork_branch,
    .join = join_branch,
    .for_range = for_range,
    .worker = worker_of,
    .worker_count = count_workers,
};
