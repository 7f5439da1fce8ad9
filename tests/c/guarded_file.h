/* A device that takes no notice of anything: a file that can be opened when a listener of fanotify
 * says so. Who opens it sleeps until then, and neither signals nor cancels of a ring end that.
 *
 * It takes CAP_SYS_ADMIN.
 */
#ifndef FOL_TESTS_GUARDED_FILE_H
#define FOL_TESTS_GUARDED_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "check.h"

typedef struct guarded_file {
    char path[64];
    int listener;
    int visitor; /* what the listener is to answer with */
} guarded_file;

static inline guarded_file guarded_file_make(void)
{
    guarded_file file = {.path = "/tmp/foliot-guarded-XXXXXX", .visitor = -1};
    close(mkostemp(file.path, O_CLOEXEC));
    file.listener = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
    if (file.listener < 0 ||
        fanotify_mark(file.listener, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, file.path) != 0) {
        perror("a listener of fanotify");
        exit(1);
    }
    return file;
}

/* Until somebody opens it. */
static inline void guarded_file_await_visitor(guarded_file *file)
{
    struct fanotify_event_metadata event;
    CHECK_EQ(read(file->listener, &event, sizeof(event)), (ssize_t)sizeof(event));
    file->visitor = event.fd;
}

/* Those who wait for it go on. */
static inline void guarded_file_release(guarded_file *file)
{
    const struct fanotify_response answer = {.fd = file->visitor, .response = FAN_ALLOW};
    CHECK_EQ(write(file->listener, &answer, sizeof(answer)), (ssize_t)sizeof(answer));
    close(file->visitor);
    close(file->listener);
    unlink(file->path);
}

#endif
