/* The ring engine: requests go to the kernel through io_uring. See io/engine.h. */
#include <errno.h>

#include "io/engine.h"
#include "io/probe.h"

int fol_io_ring_create(const fol_io_ring_config *config, struct fol_io_report *report,
                       fol_io_engine **out)
{
    fol_io_report found;
    (void)config;
    (void)out;
    int status = fol_io_probe(&found);
    if (status != 0) {
        return status;
    }
    *report = found;
    return found.available != 0 ? -EOPNOTSUPP : found.error;
}
