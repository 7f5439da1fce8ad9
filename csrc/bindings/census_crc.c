/* CRC-32, eight bytes at a time from tables, or sixty-four at a time with carry-less
 * multiplication.
 *
 * A CRC is the remainder of the message, read as a polynomial over GF(2), divided by the generator.
 * tables[k][b] is the remainder of byte b followed by k zero bytes, so eight look-ups advance the
 * remainder by eight bytes (Kounavis and Berry, "A Systematic Approach to Building High Performance
 * Software-Based CRC Generators", 2005). With a carry-less multiplier the message is folded
 * instead: a 128-bit part times x^n mod P stands for itself n bits further on (Gopal et al., "Fast
 * CRC Computation for Generic Polynomials Using PCLMULQDQ", 2009, whose constants these are).
 */
#include "bindings/census_crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_FOLDING 1
#else
#define HAS_FOLDING 0
#endif

#define POLYNOMIAL_REFLECTED 0xedb88320u
#define FOLDED_SIZE          64 /* bytes of one folding step, and the least worth folding */

static uint32_t tables[8][256];
static bool can_fold;
static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;
        for (int bit = 0; bit < 8; bit++) {
            remainder = (remainder >> 1) ^ (POLYNOMIAL_REFLECTED & (0u - (remainder & 1u)));
        }
        tables[0][byte] = remainder;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int zeros = 1; zeros < 8; zeros++) {
            uint32_t remainder = tables[zeros - 1][byte];
            tables[zeros][byte] = (remainder >> 8) ^ tables[0][remainder & 0xff];
        }
    }
#if HAS_FOLDING
    __builtin_cpu_init();
    can_fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

void fol_py_crc_init(void)
{
    (void)pthread_once(&init_once, fill_tables);
}

static uint32_t load_little_endian(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

/* Works on the inverted remainder, as the folding does. */
static uint32_t advance_by_tables(uint32_t remainder, const uint8_t *data, size_t size)
{
    for (; size >= 8; size -= 8, data += 8) {
        uint32_t low = remainder ^ load_little_endian(data);
        uint32_t high = load_little_endian(data + 4);
        remainder = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^
                    tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^ tables[3][high & 0xff] ^
                    tables[2][high >> 8 & 0xff] ^ tables[1][high >> 16 & 0xff] ^
                    tables[0][high >> 24];
    }
    for (; size > 0; size--, data++) {
        remainder = (remainder >> 8) ^ tables[0][(remainder ^ *data) & 0xff];
    }
    return remainder;
}

#if HAS_FOLDING

#define FOLDING_TARGET __attribute__((target("pclmul,sse4.1")))

/* accumulator moved on by the distance the constants stand for, plus next. */
FOLDING_TARGET static inline __m128i fold(__m128i accumulator, __m128i constants, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(accumulator, constants, 0x00);
    __m128i high = _mm_clmulepi64_si128(accumulator, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* 128 bits to a 32-bit remainder: to 96 and 64 bits by folding, the rest by Barrett reduction. */
FOLDING_TARGET static uint32_t reduce(__m128i value, __m128i by_128)
{
    const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_32 = _mm_setr_epi32(-1, 0, -1, 0);

    __m128i folded = _mm_clmulepi64_si128(value, by_128, 0x10);
    value = _mm_xor_si128(_mm_srli_si128(value, 8), folded);
    folded = _mm_srli_si128(value, 4);
    value = _mm_clmulepi64_si128(_mm_and_si128(value, low_32), by_64, 0x00);
    value = _mm_xor_si128(value, folded);

    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(value, low_32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(value, quotient), 1);
}

/* size is a multiple of 16 and at least FOLDED_SIZE. */
FOLDING_TARGET static uint32_t advance_by_folding(uint32_t remainder, const uint8_t *data,
                                                  size_t size)
{
    const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i *next = (const __m128i *)(const void *)data;
    const __m128i *end = next + size / sizeof(__m128i);

    __m128i lanes[4];
    for (int lane = 0; lane < 4; lane++) {
        lanes[lane] = _mm_loadu_si128(next + lane);
    }
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)remainder));
    for (next += 4; end - next >= 4; next += 4) {
        for (int lane = 0; lane < 4; lane++) {
            lanes[lane] = fold(lanes[lane], by_512, _mm_loadu_si128(next + lane));
        }
    }
    __m128i value = lanes[0];
    for (int lane = 1; lane < 4; lane++) {
        value = fold(value, by_128, lanes[lane]);
    }
    for (; next < end; next++) {
        value = fold(value, by_128, _mm_loadu_si128(next));
    }
    return reduce(value, by_128);
}

#endif

uint32_t fol_py_crc_update_portable(uint32_t crc, const uint8_t *data, size_t size)
{
    return ~advance_by_tables(~crc, data, size);
}

uint32_t fol_py_crc_update(uint32_t crc, const uint8_t *data, size_t size)
{
    uint32_t remainder = ~crc;
#if HAS_FOLDING
    if (can_fold && size >= FOLDED_SIZE) {
        size_t folded = size & ~(size_t)15;
        remainder = advance_by_folding(remainder, data, folded);
        data += folded;
        size -= folded;
    }
#endif
    return ~advance_by_tables(remainder, data, size);
}
