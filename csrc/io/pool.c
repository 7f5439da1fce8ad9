/* The engine of blocking calls. */
#include "io/engine.h"

#include <errno.h>

int fol_io_pool_create(const fol_io_pool_config *config, fol_io_engine **out)
{
    (void)config;
    (void)out;
    return -EOPNOTSUPP;
}

void fol_io_pool_fail_nth_thread(uint64_t n)
{
    (void)n;
}
