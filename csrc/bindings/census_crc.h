/* CRC-32 as zlib, gzip and PNG have it: polynomial 0x04c11db7, bits reflected, inverted before and
 * after.
 */
#ifndef FOL_BINDINGS_CENSUS_CRC_H
#define FOL_BINDINGS_CENSUS_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Fills the tables and looks at the processor. Once, before the first update; any thread. */
void fol_py_crc_init(void);

/* The checksum of what `crc` stands for followed by data; 0 stands for nothing. Any thread. */
uint32_t fol_py_crc_update(uint32_t crc, const uint8_t *data, size_t size);

/* The same without instructions that only some processors have. */
uint32_t fol_py_crc_update_portable(uint32_t crc, const uint8_t *data, size_t size);

#endif
