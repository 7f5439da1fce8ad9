/* A file that is named by its path, opened, read or written, and closed in one go on one thread, in
 * which what the kernel keeps of it stays in that processor's cache.
 *
 * It goes as far as it can without waiting for anybody but a device. What it cannot go on with
 * stays open, and is handed back as it stands: whoever asked goes on with single requests, and
 * would have got the same results from those alone.
 */
#ifndef FOL_IO_OPERATION_PATH_H
#define FOL_IO_OPERATION_PATH_H

#include "base/atomics.h"
#include "io/engine.h"

/* READ or WRITE with FOL_IO_PATH, as engine.h says of takes_paths; the value of the completion.
 * is_cut: asked between calls whether somebody has no more use for the rest. An impatient call that
 * would wait for a lease on the file gives -EAGAIN with nothing done. */
int64_t fol_io_call_path(const fol_io_request *request, const FOL_ATOMIC(uint32_t) * is_cut,
                         bool is_patient);

static inline bool fol_io_is_path_request(const fol_io_request *request)
{
    return (request->flags & FOL_IO_PATH) != 0 &&
           (request->kind == FOL_IO_READ || request->kind == FOL_IO_WRITE);
}

static inline fol_io_whole *fol_io_whole_of(const fol_io_request *request)
{
    return (fol_io_whole *)(uintptr_t)request->handle;
}

#endif
