/* Text into a bounded buffer, like snprintf in pieces: what does not fit is counted, not written.
 */
#ifndef FOL_SCHEDULE_TEXT_H
#define FOL_SCHEDULE_TEXT_H

#include <stddef.h>

typedef struct fol_text {
    char *out;
    size_t room; /* the closing zero included */
    size_t length;
} fol_text;

/* `out` may be NULL when `room` is 0. */
void fol_text_init(fol_text *text, char *out, size_t room);
__attribute__((format(printf, 2, 3))) void fol_text_add(fol_text *text, const char *format, ...);

/* A name, cut to about `most` bytes between characters of UTF-8. */
void fol_text_add_name(fol_text *text, const char *name, size_t most);

/* Cuts a character that was written in part. The length of the whole text. */
size_t fol_text_end(fol_text *text);

#endif
