/* Bounded text; see text.h. */

#include "schedule/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void fol_text_init(fol_text *text, char *out, size_t room)
{
    *text = (fol_text){.out = out, .room = room};
    if (room > 0) {
        out[0] = '\0';
    }
}

void fol_text_add(fol_text *text, const char *format, ...)
{
    size_t used = text->length < text->room ? text->length : text->room;
    va_list arguments;
    va_start(arguments, format);
    char *place = text->room > used ? text->out + used : NULL;
    int length = vsnprintf(place, text->room - used, format, arguments);
    va_end(arguments);
    FOL_ASSERT(length >= 0);
    text->length += (size_t)length;
}

/* The greatest length <= `length` that does not end within a character. */
static size_t whole_characters(const char *bytes, size_t length)
{
    while (length > 0 && ((unsigned char)bytes[length] & 0xc0u) == 0x80u) {
        length--;
    }
    return length;
}

void fol_text_add_name(fol_text *text, const char *name, size_t most)
{
    if (strlen(name) <= most) {
        fol_text_add(text, "%s", name);
    } else {
        fol_text_add(text, "%.*s...", (int)whole_characters(name, most), name);
    }
}

size_t fol_text_end(fol_text *text)
{
    if (text->room > 0 && text->length >= text->room) {
        size_t kept = text->room - 1;
        size_t start = kept;
        while (start > 0 && ((unsigned char)text->out[start - 1] & 0xc0u) == 0x80u) {
            start--;
        }
        /* `start` follows the lead byte of the last character, if that has more than one. */
        unsigned char lead = start > 0 ? (unsigned char)text->out[start - 1] : 0;
        size_t size = lead >= 0xf0u ? 4 : lead >= 0xe0u ? 3 : lead >= 0xc0u ? 2 : 1;
        if (size > 1 && kept - start + 1 < size) {
            text->out[start - 1] = '\0';
        }
    }
    return text->length;
}
