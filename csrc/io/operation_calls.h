/* The blocking calls of operations that may wait; the table in operation.c names them.
 *
 * Each tries once without waiting, whatever the descriptor's flags say, and when it must be patient
 * waits with poll until it is worth another try: a ring does the same, so a descriptor with
 * O_NONBLOCK gives the same results as one without.
 */
#ifndef FOL_IO_OPERATION_CALLS_H
#define FOL_IO_OPERATION_CALLS_H

#include "io/operation.h"

/* How often what a signal interrupted is tried again before it ends with -EINTR. */
#define FOL_IO_INTERRUPTIONS_MAX 128

/* Whether a call is made (again) that was so often, and gave `value` last; -EINTR at first. */
bool fol_io_calls_again(int64_t value, int calls);
/* From here on the calling thread asks before it makes an interrupted call again, and does not when
 * the answer is true. NULL: it does not ask. */
void fol_io_ask_when_interrupted(const fol_io_interruption *asked);

int64_t fol_io_call_read(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_write(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_connect(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_accept(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_recv(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_send(const fol_io_request *request, bool is_patient);
int64_t fol_io_call_poll(const fol_io_request *request, bool is_patient);

/* RWF_NOSIGNAL where the kernel has it, else 0: for the ring's writes. */
uint32_t fol_io_write_flags(void);

#endif
