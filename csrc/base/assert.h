/* Assertions: a broken invariant is our bug, so the process stops and says where.
 *
 * FOL_ASSERT is on in every build. FOL_ASSERT_HOT is for measured hot paths and FOL_VERIFY for
 * costly invariant walks; both are on only when FOL_VERIFY is defined to 1. No assertion is ever
 * the answer to bad input from a caller.
 */
#ifndef FOL_BASE_ASSERT_H
#define FOL_BASE_ASSERT_H

_Noreturn void fol_assert_failed(const char *condition, const char *file, int line);

#define FOL_LIKELY(x)   __builtin_expect(!!(x), 1)
#define FOL_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define FOL_ASSERT(condition)                                                                      \
    do {                                                                                           \
        if (FOL_UNLIKELY(!(condition))) {                                                          \
            fol_assert_failed(#condition, __FILE__, __LINE__);                                     \
        }                                                                                          \
    } while (0)

#if defined(FOL_VERIFY) && FOL_VERIFY
#define FOL_ASSERT_HOT(condition)  FOL_ASSERT(condition)
#define FOL_CHECK_INVARIANTS(call) call
#else
#define FOL_ASSERT_HOT(condition)  ((void)0)
#define FOL_CHECK_INVARIANTS(call) ((void)0)
#endif

#endif
