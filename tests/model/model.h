/* SPDX-License-Identifier: MIT */
/*
 * What the model harnesses share. A harness is an ordinary program of two threads with few
 * operations on a tiny ring, over the real headers. It runs in two ways:
 *
 *   - Under a model checker for C11 programs, with -DMRING_MODEL_CHECK, main() runs the scenario
 *     once and the checker explores every execution that the memory model allows. For GenMC:
 *
 *         genmc --rc11 --disable-mm-detector -- -DMRING_MODEL_CHECK -Iinclude tests/model/spsc.c
 *         genmc --imm  --disable-mm-detector -- -DMRING_MODEL_CHECK -Iinclude tests/model/spsc.c
 *
 *     and so on, with -Isrc too for the others.
 *
 *   - As a stress test, main() runs the scenario many times on real threads.
 *
 * Negative controls: -DBREAK_P1 and the like weaken one ordered access of the real code by
 * redefining its accessor. The checker must report an error then; the head of each harness lists
 * its controls. One accessor serves several sites, so the macros tell them apart by the name of the
 * function that they are expanded in.
 */
#ifndef MRING_TEST_MODEL_H
#define MRING_TEST_MODEL_H

#include <mring/atomic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef MRING_MODEL_CHECK
/* A checker has no such instructions. */
#define mring_pause()                 ((void)0)
#define mring_prefetch_write(address) ((void)(address))
#define mring_alias_barrier()         ((void)0)
#endif

static inline bool model_is_same(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

#define MODEL_WITHIN(function) model_is_same(__func__, #function)

#ifndef MRING_TEST_MPMC_MODEL_H
/* P1 and C1: the loads of the other side's position. C3 and P4: the loads of the word `closed`; a
 * scenario closes one end only, so that one of the two is the one under test. */
#ifdef BREAK_P1
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_spsc_refresh_room)
#elif defined(BREAK_C1)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_spsc_refresh_bytes)
#elif defined(BREAK_C3) || defined(BREAK_P4)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_spsc_is_closed)
#endif

/* P2 and C2: the stores of a side's own position. P3 and C4: those of its word `closed`. */
#ifdef BREAK_P2
#define MODEL_BROKEN_STORE MODEL_WITHIN(mring_spsc_publish)
#elif defined(BREAK_C2)
#define MODEL_BROKEN_STORE MODEL_WITHIN(mring_spsc_release)
#elif defined(BREAK_P3) || defined(BREAK_C4)
#define MODEL_BROKEN_STORE MODEL_WITHIN(mring_spsc_close)
#endif
#endif

#ifdef MODEL_BROKEN_LOAD
static inline uint64_t model_load_u64(bool broken, const mring_atomic_u64 *word)
{
    return broken ? mring_load_relaxed_u64(word) : mring_load_acquire_u64(word);
}
#define mring_load_acquire_u64(word) model_load_u64(MODEL_BROKEN_LOAD, word)
#endif

#ifdef MODEL_BROKEN_STORE
static inline void model_store_u64(bool broken, mring_atomic_u64 *word, uint64_t value)
{
    if (broken)
        mring_store_relaxed_u64(word, value);
    else
        mring_store_release_u64(word, value);
}
#define mring_store_release_u64(word, value) model_store_u64(MODEL_BROKEN_STORE, word, value)
#endif

#ifdef MODEL_BROKEN_LOOK
static inline uint64_t model_look_u64(bool broken, mring_atomic_u64 *word)
{
    return broken ? mring_load_relaxed_u64(word) : mring_look_acquire_u64(word);
}
#define mring_look_acquire_u64(word) model_look_u64(MODEL_BROKEN_LOOK, word)
#endif

#ifdef MODEL_BROKEN_CAS
static inline bool model_cas_u64(bool broken, mring_atomic_u64 *word, uint64_t *expected,
                                 uint64_t desired)
{
    return broken ? mring_cas_relaxed_u64(word, expected, desired)
                  : mring_cas_acq_rel_u64(word, expected, desired);
}
#define mring_cas_acq_rel_u64(word, expected, desired)                                             \
    model_cas_u64(MODEL_BROKEN_CAS, word, expected, desired)
#endif

#ifdef MODEL_TORN_CAS
static inline bool model_torn_cas_u64(bool torn, mring_atomic_u64 *word, uint64_t *expected,
                                      uint64_t desired)
{
    if (!torn)
        return mring_cas_relaxed_u64(word, expected, desired);
    uint64_t found = mring_load_relaxed_u64(word);
    bool same = found == *expected;
    *expected = found;
    if (same)
        mring_store_relaxed_u64(word, desired);
    return same;
}
#define mring_cas_relaxed_u64(word, expected, desired)                                             \
    model_torn_cas_u64(MODEL_TORN_CAS, word, expected, desired)
#endif

#ifdef MODEL_LOST_STORE
static inline void model_store_relaxed_u64(bool lost, mring_atomic_u64 *word, uint64_t value)
{
    if (!lost)
        mring_store_relaxed_u64(word, value);
}
#define mring_store_relaxed_u64(word, value) model_store_relaxed_u64(MODEL_LOST_STORE, word, value)
#endif

/* W3 and N1: the fences of the eventcount. */
#if defined(BREAK_W3) || defined(BREAK_N1)
static inline void model_fence_seq_cst(bool broken)
{
    if (!broken)
        mring_fence_seq_cst();
}
#ifdef BREAK_W3
#define mring_fence_seq_cst() model_fence_seq_cst(MODEL_WITHIN(mring_event_prepare))
#else
#define mring_fence_seq_cst() model_fence_seq_cst(MODEL_WITHIN(mring_event_is_armed))
#endif
#endif

/* W2: the waiter does not announce itself. N3: the word to sleep on does not change. */
#if defined(BREAK_W2) || defined(BREAK_N3)
static inline uint32_t model_add_u32(bool broken, mring_atomic_u32 *word, uint32_t count)
{
    return mring_add_release_u32(word, broken ? 0 : count);
}
#ifdef BREAK_W2
#define mring_add_release_u32(word, count)                                                         \
    model_add_u32(MODEL_WITHIN(mring_event_prepare), word, count)
#else
#define mring_add_release_u32(word, count)                                                         \
    model_add_u32(MODEL_WITHIN(mring_event_wake), word, count)
#endif
#endif

/* N5: acknowledge whoever has announced himself by now, not only those that were woken. */
#ifdef BREAK_N5
static inline void model_store_u32(bool broken, mring_atomic_u32 *word, uint32_t value,
                                   const mring_atomic_u32 *arm)
{
    mring_store_relaxed_u32(word, broken ? mring_load_relaxed_u32(arm) : value);
}
#define mring_store_relaxed_u32(word, value)                                                       \
    model_store_u32(MODEL_WITHIN(mring_event_wake), word, value, word - 1)
#endif

/* Run threads on the scenario's state until all are done; NULL: not this one. */
static inline void model_run_all(void *(*const *starts)(void *), unsigned count)
{
    static pthread_t threads[4]; /* of the stack, a checker knows no addresses */

    for (unsigned i = 0; i < count; i++)
        if (starts[i] != NULL && pthread_create(&threads[i], NULL, starts[i], NULL) != 0)
            abort();
    for (unsigned i = 0; i < count; i++)
        if (starts[i] != NULL)
            pthread_join(threads[i], NULL);
}

/* The same for two. */
static inline void model_run(void *(*first)(void *), void *(*second)(void *))
{
    void *(*const starts[])(void *) = { first, second };

    model_run_all(starts, 2);
}

/* Unlike assert(), in force in every build. */
static inline void model_require(bool condition, const char *what)
{
    if (condition)
        return;
#ifdef MRING_MODEL_CHECK
    (void)what;
    assert(false);
#else
    fprintf(stderr, "0 passed, 1 failed: %s\n", what);
    exit(1);
#endif
}

/* As a stress test. */
#ifndef MODEL_ROUNDS
#define MODEL_ROUNDS 5000
#endif

/* A checker runs the scenario once, in every possible way; otherwise it runs many times. */
static inline int model_main(void (*scenario)(void))
{
#ifdef MRING_MODEL_CHECK
    scenario();
#else
    for (int round = 0; round < MODEL_ROUNDS; round++)
        scenario();
    printf("%d passed, 0 failed\n", MODEL_ROUNDS);
#endif
    return 0;
}

#endif
