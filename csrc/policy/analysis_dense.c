/* The processor demand of small numbers; analysis_dense.h has the invariant.
 *
 * One algorithm written for three widths of registers: one number, four (AVX2), eight (AVX-512).
 */

#include "policy/analysis_dense.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/assert.h"

/* Added to a number of less than 2^51 and taken away again, it leaves the nearest whole number. */
#define ROUNDER 0x1.8p52
#define NEVER   0x1p60

static void demand_any(const fol_dense *dense, double t, fol_dense_demand *out)
{
    double demand = 0.0;
    double since = NEVER;
    for (uint32_t i = 0; i < dense->size; i++) {
        double span = t - dense->deadline[i];
        if (span < 0.0) {
            continue;
        }
        /* Volatile, for a compiler that was told to may else take the two sums for nothing. */
        volatile double raised = span * dense->inverse[i] + ROUNDER;
        double periods = raised - ROUNDER;
        double rest = span - periods * dense->period[i];
        if (rest < 0.0) {
            rest += dense->period[i];
            periods -= 1.0;
        }
        /* One job at the first deadline, and one for each whole period after it. */
        demand += (periods + 1.0) * dense->wcet[i];
        since = rest < since ? rest : since;
    }
    *out = (fol_dense_demand){demand, since};
}

static void sums_any(const fol_dense *dense, fol_dense_sums *out)
{
    *out = (fol_dense_sums){0};
    for (uint32_t i = 0; i < dense->size; i++) {
        dense->inverse[i] = 1.0 / dense->period[i];
        double share = dense->wcet[i] * dense->inverse[i];
        double part = (dense->period[i] - dense->deadline[i]) * share;
        out->utilisation += share;
        out->slope += part;
        out->size += fabs(part);
    }
}

#if defined(__x86_64__)

#define FOR_AVX2   __attribute__((target("avx2,fma")))
#define FOR_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))
#define NEAREST    (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

FOR_AVX2 static void demand_avx2(const fol_dense *dense, double t, fol_dense_demand *out)
{
    const __m256d now = _mm256_set1_pd(t);
    const __m256d one = _mm256_set1_pd(1.0);
    const __m256d never = _mm256_set1_pd(NEVER);
    const __m256d zero = _mm256_setzero_pd();
    __m256d total = zero;
    __m256d since = never;
    for (uint32_t i = 0; i < dense->size; i += 4) {
        __m256d period = _mm256_load_pd(dense->period + i);
        __m256d span = _mm256_sub_pd(now, _mm256_load_pd(dense->deadline + i));
        __m256d ratio = _mm256_mul_pd(span, _mm256_load_pd(dense->inverse + i));
        __m256d periods = _mm256_round_pd(ratio, NEAREST);
        __m256d rest = _mm256_fnmadd_pd(periods, period, span);
        __m256d is_less = _mm256_cmp_pd(rest, zero, _CMP_LT_OQ);
        __m256d is_undue = _mm256_cmp_pd(span, zero, _CMP_LT_OQ);
        rest = _mm256_add_pd(rest, _mm256_and_pd(is_less, period));
        __m256d jobs = _mm256_add_pd(periods, _mm256_andnot_pd(is_less, one));
        __m256d work = _mm256_mul_pd(jobs, _mm256_load_pd(dense->wcet + i));
        total = _mm256_add_pd(total, _mm256_andnot_pd(is_undue, work));
        since = _mm256_min_pd(since, _mm256_blendv_pd(rest, never, is_undue));
    }
    __m128d sum = _mm_add_pd(_mm256_castpd256_pd128(total), _mm256_extractf128_pd(total, 1));
    __m128d least = _mm_min_pd(_mm256_castpd256_pd128(since), _mm256_extractf128_pd(since, 1));
    out->demand = _mm_cvtsd_f64(_mm_add_sd(sum, _mm_unpackhi_pd(sum, sum)));
    out->since = _mm_cvtsd_f64(_mm_min_sd(least, _mm_unpackhi_pd(least, least)));
}

FOR_AVX512 static void demand_avx512(const fol_dense *dense, double t, fol_dense_demand *out)
{
    const __m512d now = _mm512_set1_pd(t);
    const __m512d one = _mm512_set1_pd(1.0);
    const __m512d zero = _mm512_setzero_pd();
    __m512d total = zero;
    __m512d since = _mm512_set1_pd(NEVER);
    for (uint32_t i = 0; i < dense->size; i += 8) {
        __m512d period = _mm512_load_pd(dense->period + i);
        __m512d span = _mm512_sub_pd(now, _mm512_load_pd(dense->deadline + i));
        __m512d ratio = _mm512_mul_pd(span, _mm512_load_pd(dense->inverse + i));
        __m512d periods = _mm512_roundscale_pd(ratio, NEAREST);
        __m512d rest = _mm512_fnmadd_pd(periods, period, span);
        __mmask8 is_less = _mm512_cmp_pd_mask(rest, zero, _CMP_LT_OQ);
        __mmask8 is_due = _mm512_cmp_pd_mask(span, zero, _CMP_GE_OQ);
        rest = _mm512_mask_add_pd(rest, is_less, rest, period);
        __m512d jobs = _mm512_mask_sub_pd(_mm512_add_pd(periods, one), is_less, periods, zero);
        __m512d wcet = _mm512_load_pd(dense->wcet + i);
        total = _mm512_mask3_fmadd_pd(jobs, wcet, total, is_due);
        since = _mm512_mask_min_pd(since, is_due, since, rest);
    }
    out->demand = _mm512_reduce_add_pd(total);
    out->since = _mm512_reduce_min_pd(since);
}

FOR_AVX512 static void sums_avx512(const fol_dense *dense, fol_dense_sums *out)
{
    const __m512d one = _mm512_set1_pd(1.0);
    __m512d utilisation = _mm512_setzero_pd();
    __m512d slope = utilisation;
    __m512d size = utilisation;
    for (uint32_t i = 0; i < dense->size; i += 8) {
        __m512d period = _mm512_load_pd(dense->period + i);
        __m512d inverse = _mm512_div_pd(one, period);
        _mm512_store_pd(dense->inverse + i, inverse);
        __m512d share = _mm512_mul_pd(_mm512_load_pd(dense->wcet + i), inverse);
        __m512d space = _mm512_sub_pd(period, _mm512_load_pd(dense->deadline + i));
        utilisation = _mm512_add_pd(utilisation, share);
        slope = _mm512_fmadd_pd(space, share, slope);
        size = _mm512_fmadd_pd(_mm512_abs_pd(space), share, size);
    }
    out->utilisation = _mm512_reduce_add_pd(utilisation);
    out->slope = _mm512_reduce_add_pd(slope);
    out->size = _mm512_reduce_add_pd(size);
}

#endif

size_t fol_dense_codes(const fol_dense_code **out)
{
    static const fol_dense_code codes[] = {
#if defined(__x86_64__)
        {demand_avx512, sums_avx512},
        {demand_avx2, sums_any},
#endif
        {demand_any, sums_any},
    };
    const size_t count = sizeof(codes) / sizeof(codes[0]);
    size_t first = 0;
#if defined(__x86_64__)
    bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    first = has_avx512 ? 0 : has_avx2 ? 1 : 2;
#endif
    FOL_ASSERT(first < count);
    *out = codes + first;
    return count - first;
}
