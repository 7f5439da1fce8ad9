/* The processor demand of small numbers; analysis_dense.h has the invariant.
 *
 * One algorithm written for three widths of registers: one number, four (AVX2), eight (AVX-512).
 */

#include "policy/analysis_dense.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/assert.h"

/* Added to a number of less than 2^51 and taken away again, it leaves the nearest whole number. */
#define ROUNDER 0x1.8p52
#define NEVER   0x1p60
/* A deadline that no small time comes up to. */
#define PADDING 0x1p50

static uint32_t whole_groups(uint32_t count)
{
    return (count + FOL_DENSE_GROUP - 1) / FOL_DENSE_GROUP * FOL_DENSE_GROUP;
}

static bool task_is_valid(const fol_analysis_task *task)
{
    /* One comparison for both ends: what is below the lower one wraps to the far end. */
    const uint64_t most = (uint64_t)FOL_ANALYSIS_TIME_MAX;
    bool is_off = (uint64_t)task->period - 1 >= most;
    is_off |= (uint64_t)task->deadline - 1 >= most;
    is_off |= (uint64_t)task->wcet - 1 >= (uint64_t)task->deadline;
    is_off |= (uint64_t)task->jitter > most;
    is_off |= (uint64_t)task->blocking > most;
    return !is_off;
}

static void load_any(const fol_analysis_task *tasks, uint32_t count, fol_dense *dense, int64_t *due,
                     fol_dense_measure *out)
{
    *out = (fol_dense_measure){.is_valid = true, .first_due = INT64_MAX};
    dense->size = whole_groups(count);
    for (uint32_t i = 0; i < count && out->is_valid; i++) {
        const fol_analysis_task *task = &tasks[i];
        out->is_valid = task_is_valid(task);
        /* Unsigned, for the numbers may be anything. */
        due[i] = (int64_t)((uint64_t)task->deadline - (uint64_t)task->jitter);
        int64_t late = (int64_t)((uint64_t)due[i] - (uint64_t)task->period);
        out->bits |= (uint64_t)(task->period | task->deadline | task->jitter);
        out->blocking |= (uint64_t)task->blocking;
        out->has_slack |= due[i] < task->period;
        out->first_due = due[i] < out->first_due ? due[i] : out->first_due;
        out->last_deadline =
            task->deadline > out->last_deadline ? task->deadline : out->last_deadline;
        out->most_late = late > out->most_late ? late : out->most_late;
        dense->wcet[i] = (double)task->wcet;
        dense->period[i] = (double)task->period;
        dense->deadline[i] = (double)due[i];
    }
    for (uint32_t i = count; i < dense->size; i++) {
        dense->wcet[i] = 0.0;
        dense->period[i] = 1.0;
        dense->deadline[i] = PADDING;
    }
}

static void demand_any(const fol_dense *dense, double t, fol_dense_demand *out)
{
    double demand = 0.0;
    double since = NEVER;
    fol_dense_sums sums = {0};
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
        sums.utilisation += dense->share[i];
        sums.slope += dense->slope[i];
    }
    *out = (fol_dense_demand){demand, since, fol_dense_reach(&sums, dense->size)};
}

static void sums_any(const fol_dense *dense, fol_dense_sums *out)
{
    *out = (fol_dense_sums){0};
    for (uint32_t i = 0; i < dense->size; i++) {
        double space = dense->period[i] - dense->deadline[i];
        dense->inverse[i] = 1.0 / dense->period[i];
        dense->share[i] = dense->wcet[i] * dense->inverse[i];
        dense->slope[i] = space > 0.0 ? space * dense->share[i] : 0.0;
        out->utilisation += dense->share[i];
        out->slope += dense->slope[i];
    }
}

#if defined(__x86_64__)

#define FOR_AVX2   __attribute__((target("avx2,fma")))
#define FOR_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))
#define NEAREST    (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

FOR_AVX2 static inline double sum_avx2(__m256d lanes)
{
    __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(lanes), _mm256_extractf128_pd(lanes, 1));
    return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

FOR_AVX2 static void demand_avx2(const fol_dense *dense, double t, fol_dense_demand *out)
{
    const __m256d now = _mm256_set1_pd(t);
    const __m256d one = _mm256_set1_pd(1.0);
    const __m256d never = _mm256_set1_pd(NEVER);
    const __m256d zero = _mm256_setzero_pd();
    __m256d total = zero;
    __m256d since = never;
    __m256d shares = zero;
    __m256d slopes = zero;
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
        __m256d share = _mm256_load_pd(dense->share + i);
        shares = _mm256_add_pd(shares, _mm256_andnot_pd(is_undue, share));
        __m256d slope = _mm256_load_pd(dense->slope + i);
        slopes = _mm256_add_pd(slopes, _mm256_andnot_pd(is_undue, slope));
    }
    __m128d least = _mm_min_pd(_mm256_castpd256_pd128(since), _mm256_extractf128_pd(since, 1));
    out->since = _mm_cvtsd_f64(_mm_min_sd(least, _mm_unpackhi_pd(least, least)));
    out->demand = sum_avx2(total);
    const fol_dense_sums sums = {sum_avx2(shares), sum_avx2(slopes)};
    out->reach = fol_dense_reach(&sums, dense->size);
}

/* One field of eight tasks, whose numbers follow each other. */
#define FIELD(otherwise, name)                                                                     \
    _mm512_mask_i64gather_epi64(otherwise, is_task, places,                                        \
                                (const char *)tasks + i * sizeof(fol_analysis_task) +              \
                                    offsetof(fol_analysis_task, name),                             \
                                1)

FOR_AVX512 static void load_avx512(const fol_analysis_task *tasks, uint32_t count, fol_dense *dense,
                                   int64_t *due, fol_dense_measure *out)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i most = _mm512_set1_epi64(FOL_ANALYSIS_TIME_MAX);
    const __m512i padding = _mm512_set1_epi64((int64_t)PADDING);
    const __m512i places =
        _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                           _mm512_set1_epi64((int64_t)sizeof(fol_analysis_task)));
    __m512i bits = zero;
    __m512i held = zero;
    __m512i first = _mm512_set1_epi64(INT64_MAX);
    __m512i last = zero;
    __m512i late = zero;
    __mmask8 is_off = 0;
    __mmask8 has_slack = 0;
    dense->size = whole_groups(count);
    for (uint32_t i = 0; i < dense->size; i += 8) {
        __mmask8 is_task = count - i >= 8 ? 0xff : (__mmask8)((1u << (count - i)) - 1);
        __m512i wcet = FIELD(zero, wcet);
        __m512i period = FIELD(one, period);
        __m512i deadline = FIELD(padding, deadline);
        __m512i jitter = FIELD(zero, jitter);
        __m512i blocking = FIELD(zero, blocking);
        __m512i due_here = _mm512_sub_epi64(deadline, jitter);
        is_off |= _mm512_mask_cmpge_epu64_mask(is_task, _mm512_sub_epi64(period, one), most);
        is_off |= _mm512_mask_cmpge_epu64_mask(is_task, _mm512_sub_epi64(deadline, one), most);
        is_off |= _mm512_mask_cmpge_epu64_mask(is_task, _mm512_sub_epi64(wcet, one), deadline);
        is_off |= _mm512_cmpgt_epu64_mask(_mm512_max_epu64(jitter, blocking), most);
        has_slack |= _mm512_mask_cmplt_epi64_mask(is_task, due_here, period);
        bits = _mm512_mask_or_epi64(bits, is_task, bits, _mm512_or_si512(period, deadline));
        bits = _mm512_or_si512(bits, jitter);
        held = _mm512_or_si512(held, blocking);
        first = _mm512_mask_min_epi64(first, is_task, first, due_here);
        last = _mm512_mask_max_epi64(last, is_task, last, deadline);
        late = _mm512_mask_max_epi64(late, is_task, late, _mm512_sub_epi64(due_here, period));
        _mm512_mask_storeu_epi64(due + i, is_task, due_here);
        _mm512_store_pd(dense->wcet + i, _mm512_cvtepi64_pd(wcet));
        _mm512_store_pd(dense->period + i, _mm512_cvtepi64_pd(period));
        _mm512_store_pd(dense->deadline + i, _mm512_cvtepi64_pd(due_here));
    }
    out->is_valid = is_off == 0;
    out->bits = (uint64_t)_mm512_reduce_or_epi64(bits);
    out->blocking = (uint64_t)_mm512_reduce_or_epi64(held);
    out->first_due = _mm512_reduce_min_epi64(first);
    out->last_deadline = _mm512_reduce_max_epi64(last);
    out->most_late = _mm512_reduce_max_epi64(late);
    out->has_slack = has_slack != 0;
}

/* The reach by an estimate of the quotient, which is off by 2^-14 at most and raised by twice that:
 * a division takes as long as a good part of the sums, and every look waits for it. */
FOR_AVX512 static inline double reach_avx512(const fol_dense_sums *sums, uint32_t count)
{
    double error = (count + 2) * FOL_DENSE_ERROR;
    double room = fol_dense_room(sums, error);
    __m128d inverse = _mm_rcp14_sd(_mm_set_sd(room), _mm_set_sd(room));
    double quotient = sums->slope * _mm_cvtsd_f64(inverse) * (1.0 + 0x1p-13);
    return room <= 0.0 ? FOL_DENSE_FAR : quotient * (1.0 + 2.0 * error) + 1.0;
}

FOR_AVX512 static void demand_avx512(const fol_dense *dense, double t, fol_dense_demand *out)
{
    const __m512d now = _mm512_set1_pd(t);
    const __m512d one = _mm512_set1_pd(1.0);
    const __m512d zero = _mm512_setzero_pd();
    __m512d total = zero;
    __m512d since = _mm512_set1_pd(NEVER);
    __m512d shares = zero;
    __m512d slopes = zero;
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
        shares = _mm512_mask_add_pd(shares, is_due, shares, _mm512_load_pd(dense->share + i));
        slopes = _mm512_mask_add_pd(slopes, is_due, slopes, _mm512_load_pd(dense->slope + i));
    }
    out->demand = _mm512_reduce_add_pd(total);
    out->since = _mm512_reduce_min_pd(since);
    const fol_dense_sums sums = {_mm512_reduce_add_pd(shares), _mm512_reduce_add_pd(slopes)};
    out->reach = reach_avx512(&sums, dense->size);
}

FOR_AVX512 static void sums_avx512(const fol_dense *dense, fol_dense_sums *out)
{
    const __m512d one = _mm512_set1_pd(1.0);
    const __m512d zero = _mm512_setzero_pd();
    __m512d shares = zero;
    __m512d slopes = zero;
    for (uint32_t i = 0; i < dense->size; i += 8) {
        __m512d period = _mm512_load_pd(dense->period + i);
        __m512d inverse = _mm512_div_pd(one, period);
        __m512d share = _mm512_mul_pd(_mm512_load_pd(dense->wcet + i), inverse);
        __m512d space = _mm512_sub_pd(period, _mm512_load_pd(dense->deadline + i));
        __m512d slope = _mm512_mul_pd(_mm512_max_pd(space, zero), share);
        _mm512_store_pd(dense->inverse + i, inverse);
        _mm512_store_pd(dense->share + i, share);
        _mm512_store_pd(dense->slope + i, slope);
        shares = _mm512_add_pd(shares, share);
        slopes = _mm512_add_pd(slopes, slope);
    }
    out->utilisation = _mm512_reduce_add_pd(shares);
    out->slope = _mm512_reduce_add_pd(slopes);
}

#endif

size_t fol_dense_codes(const fol_dense_code **out)
{
    static const fol_dense_code codes[] = {
#if defined(__x86_64__)
        {load_avx512, demand_avx512, sums_avx512},
        {load_any, demand_avx2, sums_any},
#endif
        {load_any, demand_any, sums_any},
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
