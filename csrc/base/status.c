/* Texts and exception names of the status codes, from the one table in foliot/status.h. */

#include "foliot/status.h"

#include <errno.h>
#include <string.h>

const char *fol_status_text(int status)
{
    switch (status) {
    case FOL_OK:
        return "success";
#define FOL_STATUS_CASE(name, code, exception, text)                                               \
    case (code):                                                                                   \
        return text;
        FOL_STATUS_TABLE(FOL_STATUS_CASE)
#undef FOL_STATUS_CASE
    default:
        break;
    }
    const char *text = status < 0 && status > -4096 ? strerrordesc_np(-status) : NULL;
    return text != NULL ? text : "unknown status";
}

const char *fol_status_exception(int status)
{
    switch (status) {
#define FOL_STATUS_CASE(name, code, exception, text)                                               \
    case (code):                                                                                   \
        return exception;
        FOL_STATUS_TABLE(FOL_STATUS_CASE)
#undef FOL_STATUS_CASE
    case -ENOMEM:
        return "MemoryError";
    case -EINVAL:
        return "ValueError";
    default:
        return "OSError";
    }
}
