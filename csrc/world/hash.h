/* A streaming 128-bit hash: the body and finaliser of MurmurHash3_x64_128.
 *
 * Source: MurmurHash3 by Austin Appleby, public domain. It mixes well and is not cryptographic.
 * Input is a sequence of pairs of 64-bit words; whoever feeds it makes the sequence unambiguous by
 * stating sizes before contents.
 */
#ifndef FOL_WORLD_HASH_H
#define FOL_WORLD_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct fol_hash {
    uint64_t high;
    uint64_t low;
    uint64_t words; /* fed so far */
} fol_hash;

static inline uint64_t fol_hash_rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline void fol_hash_pair(fol_hash *hash, uint64_t first, uint64_t second)
{
    const uint64_t c1 = UINT64_C(0x87c37b91114253d5);
    const uint64_t c2 = UINT64_C(0x4cf5ad432745937f);
    hash->high ^= fol_hash_rotate(first * c1, 31) * c2;
    hash->high = (fol_hash_rotate(hash->high, 27) + hash->low) * 5 + 0x52dce729;
    hash->low ^= fol_hash_rotate(second * c2, 33) * c1;
    hash->low = (fol_hash_rotate(hash->low, 31) + hash->high) * 5 + 0x38495ab5;
    hash->words += 2;
}

/* The bytes in pairs of words, the last pair filled up with zeros. */
static inline void fol_hash_bytes(fol_hash *hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t pair[2];
    while (size >= sizeof(pair)) {
        memcpy(pair, bytes, sizeof(pair));
        fol_hash_pair(hash, pair[0], pair[1]);
        bytes += sizeof(pair);
        size -= sizeof(pair);
    }
    if (size != 0) {
        pair[0] = 0;
        pair[1] = 0;
        memcpy(pair, bytes, size);
        fol_hash_pair(hash, pair[0], pair[1]);
    }
}

static inline void fol_hash_text(fol_hash *hash, const char *text)
{
    size_t size = strlen(text);
    fol_hash_pair(hash, size, 0);
    fol_hash_bytes(hash, text, size);
}

static inline uint64_t fol_hash_avalanche(uint64_t value)
{
    value = (value ^ (value >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    value = (value ^ (value >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return value ^ (value >> 33);
}

static inline void fol_hash_end(const fol_hash *hash, uint64_t out[2])
{
    uint64_t high = hash->high ^ hash->words;
    uint64_t low = hash->low ^ hash->words;
    high += low;
    low += high;
    high = fol_hash_avalanche(high);
    low = fol_hash_avalanche(low);
    high += low;
    low += high;
    out[0] = high;
    out[1] = low;
}

#endif
