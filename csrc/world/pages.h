/* Memory that grows and never moves: pages, each at least twice as large as the one before.
 *
 * What lies in a page stays where it is until the pages are joined, which is for when nothing lies
 * in them: then one page has room for all that several had, and a user who needs no more than once
 * before never allocates again. Pages are raw memory of whole 16-byte units; their users count.
 *
 * One thread at a time grows them. Others may read what it published from a page meanwhile: a page
 * that is there is not touched by growth.
 */
#ifndef FOL_WORLD_PAGES_H
#define FOL_WORLD_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As sizes double, so many hold more than any address space. */
#define FOL_PAGES_MAX 48u

typedef struct fol_pages {
    uint8_t *items[FOL_PAGES_MAX];
    size_t sizes[FOL_PAGES_MAX];
    uint32_t count;
} fol_pages;

/* One more page, of at least `least` bytes. -ENOMEM. */
int fol_pages_push(fol_pages *pages, size_t least);

/* One page of at least `least` bytes instead of all. -ENOMEM: they stay as they are. */
int fol_pages_join(fol_pages *pages, size_t least);

/* Whether an address lies in one of them. */
bool fol_pages_hold(const fol_pages *pages, const void *address);

/* All pages together. */
size_t fol_pages_size(const fol_pages *pages);

void fol_pages_deinit(fol_pages *pages);

#endif
