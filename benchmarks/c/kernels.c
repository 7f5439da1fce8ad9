/* The native systems of the benchmarks.
 *
 * Each takes the columns of what its system writes, field by field, then of what it reads, and the
 * number of rows. Columns never overlap. Rows are independent: any worker may get any run of them.
 */
#include <stddef.h>
#include <stdint.h>

enum { INVERSIONS = 100, MATRIX = 16 };

int bench_empty(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    (void)user;
    return 0;
}

/* Computes for as many steps as `user` points to, some 1.4 ns each, whatever the rows. Each step
 * needs the one before, and the return value needs the last: none can be left out. */
int bench_spin(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    const int64_t steps = *(const int64_t *)user;
    uint64_t state = (uint64_t)steps | 1;
    for (int64_t step = 0; step < steps; step++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
    }
    return state == 0;
}

/* Writes Position {x, y, z}; reads Velocity {x, y, z}. */
int bench_advance(void **columns, ptrdiff_t rows, void *user)
{
    (void)user;
    for (int axis = 0; axis < 3; axis++) {
        float *restrict position = columns[axis];
        const float *restrict velocity = columns[3 + axis];
        for (ptrdiff_t row = 0; row < rows; row++) {
            position[row] += velocity[row];
        }
    }
    return 0;
}

/* Writes one float. */
int bench_double(void **columns, ptrdiff_t rows, void *user)
{
    (void)user;
    float *restrict data = columns[0];
    for (ptrdiff_t row = 0; row < rows; row++) {
        data[row] *= 2.0F;
    }
    return 0;
}

/* Writes two components of one float each. */
int bench_swap(void **columns, ptrdiff_t rows, void *user)
{
    (void)user;
    float *restrict left = columns[0];
    float *restrict right = columns[1];
    for (ptrdiff_t row = 0; row < rows; row++) {
        const float kept = left[row];
        left[row] = right[row];
        right[row] = kept;
    }
    return 0;
}

/* The inverse of a general 4x4 matrix through its 2x2 minors, as the Rust contenders do it. */
static void invert(float *restrict out, const float *restrict m)
{
    const float s0 = m[0] * m[5] - m[4] * m[1], c0 = m[8] * m[13] - m[12] * m[9];
    const float s1 = m[0] * m[6] - m[4] * m[2], c1 = m[8] * m[14] - m[12] * m[10];
    const float s2 = m[0] * m[7] - m[4] * m[3], c2 = m[8] * m[15] - m[12] * m[11];
    const float s3 = m[1] * m[6] - m[5] * m[2], c3 = m[9] * m[14] - m[13] * m[10];
    const float s4 = m[1] * m[7] - m[5] * m[3], c4 = m[9] * m[15] - m[13] * m[11];
    const float s5 = m[2] * m[7] - m[6] * m[3], c5 = m[10] * m[15] - m[14] * m[11];
    const float scale = 1.0F / (s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0);
    out[0] = (m[5] * c5 - m[6] * c4 + m[7] * c3) * scale;
    out[1] = (-m[1] * c5 + m[2] * c4 - m[3] * c3) * scale;
    out[2] = (m[13] * s5 - m[14] * s4 + m[15] * s3) * scale;
    out[3] = (-m[9] * s5 + m[10] * s4 - m[11] * s3) * scale;
    out[4] = (-m[4] * c5 + m[6] * c2 - m[7] * c1) * scale;
    out[5] = (m[0] * c5 - m[2] * c2 + m[3] * c1) * scale;
    out[6] = (-m[12] * s5 + m[14] * s2 - m[15] * s1) * scale;
    out[7] = (m[8] * s5 - m[10] * s2 + m[11] * s1) * scale;
    out[8] = (m[4] * c4 - m[5] * c2 + m[7] * c0) * scale;
    out[9] = (-m[0] * c4 + m[1] * c2 - m[3] * c0) * scale;
    out[10] = (m[12] * s4 - m[13] * s2 + m[15] * s0) * scale;
    out[11] = (-m[8] * s4 + m[9] * s2 - m[11] * s0) * scale;
    out[12] = (-m[4] * c3 + m[5] * c1 - m[6] * c0) * scale;
    out[13] = (m[0] * c3 - m[1] * c1 + m[2] * c0) * scale;
    out[14] = (-m[12] * s3 + m[13] * s1 - m[14] * s0) * scale;
    out[15] = (m[8] * s3 - m[9] * s1 + m[10] * s0) * scale;
}

/* Writes Position {x, y, z} and a matrix: inverts the matrix, then turns the position by it. */
int bench_compute(void **columns, ptrdiff_t rows, void *user)
{
    (void)user;
    float *restrict x = columns[0];
    float *restrict y = columns[1];
    float *restrict z = columns[2];
    float *restrict matrices = columns[3];
    for (ptrdiff_t row = 0; row < rows; row++) {
        float *m = matrices + row * MATRIX;
        float other[MATRIX];
        /* Two inversions at a time, so that the result ends up where it started. */
        for (int pass = 0; pass < INVERSIONS / 2; pass++) {
            invert(other, m);
            invert(m, other);
        }
        const float px = x[row], py = y[row], pz = z[row];
        x[row] = m[0] * px + m[4] * py + m[8] * pz;
        y[row] = m[1] * px + m[5] * py + m[9] * pz;
        z[row] = m[2] * px + m[6] * py + m[10] * pz;
    }
    return 0;
}
