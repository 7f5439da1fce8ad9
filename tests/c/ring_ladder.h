/* The ladder of kernels: each step lacks more than the one before, as older ones do.
 *
 * They are made of the running kernel by leaving out (ring_call.h), so that what the engine does on
 * each can be tested on one machine.
 */
#ifndef FOL_TESTS_RING_LADDER_H
#define FOL_TESTS_RING_LADDER_H

#include <stdbool.h>

#include "check.h"
#include "io/ring_call.h"

/* Where the oldest supported header lacks them. */
#define LADDER_SUBMIT_ALL    (1U << 7)
#define LADDER_COOP          (3U << 8)
#define LADDER_SINGLE_ISSUER (1U << 12)
#define LADDER_DEFER         (1U << 13)

#define LADDER_REGISTER(name) (UINT64_C(1) << IORING_REGISTER_##name)

typedef struct ladder_step {
    const char *name;
    fol_ring_lack lack;
} ladder_step;

#define LADDER_6_0_FLAGS     LADDER_DEFER
#define LADDER_5_19_FLAGS    (LADDER_6_0_FLAGS | LADDER_SINGLE_ISSUER)
#define LADDER_5_18_FLAGS    (LADDER_5_19_FLAGS | LADDER_COOP)
#define LADDER_5_15_FLAGS    (LADDER_5_18_FLAGS | LADDER_SUBMIT_ALL)
#define LADDER_5_19_CALLS    LADDER_REGISTER(SYNC_CANCEL)
#define LADDER_TABLES        (LADDER_REGISTER(PBUF_RING) | LADDER_REGISTER(FILES2))
#define LADDER_5_18_CALLS    (LADDER_5_19_CALLS | LADDER_TABLES)
#define LADDER_5_15_FEATURES (FOL_RING_FEAT_MIN_WAIT | IORING_FEAT_CQE_SKIP)

static const ladder_step ladder_steps[] = {
    {"this kernel", {0}},
    {"without the least wait", {.features = FOL_RING_FEAT_MIN_WAIT}},
    {"6.0", {.setup_flags = LADDER_6_0_FLAGS, .features = FOL_RING_FEAT_MIN_WAIT}},
    {"5.19",
     {.setup_flags = LADDER_5_19_FLAGS,
      .features = FOL_RING_FEAT_MIN_WAIT,
      .registers = LADDER_5_19_CALLS,
      .operations = IORING_OP_SEND_ZC}},
    {"5.18",
     {.setup_flags = LADDER_5_18_FLAGS,
      .features = FOL_RING_FEAT_MIN_WAIT,
      .registers = LADDER_5_18_CALLS,
      .operations = IORING_OP_SOCKET}},
    {"5.15",
     {.setup_flags = LADDER_5_15_FLAGS,
      .features = LADDER_5_15_FEATURES,
      .registers = LADDER_5_18_CALLS,
      .operations = IORING_OP_MSG_RING}},
    {"5.11",
     {.setup_flags = LADDER_5_15_FLAGS,
      .features = LADDER_5_15_FEATURES,
      .registers = LADDER_5_18_CALLS,
      .operations = IORING_OP_MKDIRAT}},
};

/* One step more: without what the engine cannot do without. */
static const fol_ring_lack ladder_too_old = {.features = IORING_FEAT_EXT_ARG};

#define LADDER_STEPS (sizeof(ladder_steps) / sizeof(ladder_steps[0]))

/* The step that rings are on now. */
static size_t ladder_at;

static inline bool ladder_lacks(uint32_t opcode)
{
    return (ladder_steps[ladder_at].lack.registers >> opcode & 1) != 0;
}

/* Files without descriptors. */
static inline bool ladder_has_direct_files(void)
{
    return !ladder_lacks(IORING_REGISTER_FILES2);
}

/* Receives of many results, in buffers that the kernel chooses. */
static inline bool ladder_has_multishot_recv(void)
{
    uint32_t operations = ladder_steps[ladder_at].lack.operations;
    return operations == 0 || operations > IORING_OP_SEND_ZC;
}

/* From here on rings may not be asked what they have; until the step is set again. */
static inline void ladder_hide_operations(void)
{
    fol_ring_lack lack = ladder_steps[ladder_at].lack;
    lack.registers |= LADDER_REGISTER(PROBE);
    fol_ring_call_lack(&lack);
}

/* Runs all tests on each step. */
static inline void ladder_climb(void (*run_all)(void))
{
    for (ladder_at = 0; ladder_at < LADDER_STEPS; ladder_at++) {
        int failed = check_failed;
        fol_ring_call_lack(&ladder_steps[ladder_at].lack);
        run_all();
        if (check_failed != failed) {
            fprintf(stderr, "on the step: %s\n", ladder_steps[ladder_at].name);
        }
    }
    ladder_at = 0;
    fol_ring_call_lack(NULL);
}

#endif
