/* SPDX-License-Identifier: MIT */
/*
 * The accessors of atomic.h for Microsoft's compiler, which has no builtins of the C11 memory
 * model, and whose header for C's atomics C++ cannot include. Not to be included directly.
 *
 * A volatile access of a word is one instruction. What is more is made of fences: on x86 every load
 * is an acquire and every store a release already, so only the compiler has to keep the order; on
 * ARM64 `dmb ish` orders all accesses before it against all after it. The _Interlocked calls are
 * full barriers on both.
 */
#ifndef MRING_ATOMIC_MSVC_H
#define MRING_ATOMIC_MSVC_H

#include <mring/base.h>

#if defined(_MSC_VER)
#include <intrin.h>

MRING_BEGIN_DECLS

typedef struct {
    MRING_ALIGNAS(8) uint64_t value;
} mring_atomic_u64;

typedef struct {
    MRING_ALIGNAS(4) uint32_t value;
} mring_atomic_u32;

/* Orders acquires and releases. */
#if defined(_M_ARM64)
#define MRING_MSVC_FENCE() __dmb(0xb) /* ish */
#elif defined(_M_X64) || defined(_M_IX86)
#define MRING_MSVC_FENCE() _ReadWriteBarrier()
#else
#error "mring knows this compiler on x86, x86-64 and ARM64 only"
#endif

MRING_INTERNAL uint64_t mring_load_relaxed_u64(const mring_atomic_u64 *word)
{
    return (uint64_t)__iso_volatile_load64((const volatile __int64 *)&word->value);
}

MRING_INTERNAL uint32_t mring_load_relaxed_u32(const mring_atomic_u32 *word)
{
    return (uint32_t)__iso_volatile_load32((const volatile __int32 *)&word->value);
}

MRING_INTERNAL uint64_t mring_load_acquire_u64(const mring_atomic_u64 *word)
{
    uint64_t value = mring_load_relaxed_u64(word);

    MRING_MSVC_FENCE();
    return value;
}

MRING_INTERNAL uint32_t mring_load_acquire_u32(const mring_atomic_u32 *word)
{
    uint32_t value = mring_load_relaxed_u32(word);

    MRING_MSVC_FENCE();
    return value;
}

MRING_INTERNAL uint64_t mring_look_acquire_u64(const mring_atomic_u64 *word)
{
    return mring_load_acquire_u64(word);
}

MRING_INTERNAL void mring_store_relaxed_u64(mring_atomic_u64 *word, uint64_t value)
{
    __iso_volatile_store64((volatile __int64 *)&word->value, (__int64)value);
}

MRING_INTERNAL void mring_store_relaxed_u32(mring_atomic_u32 *word, uint32_t value)
{
    __iso_volatile_store32((volatile __int32 *)&word->value, (__int32)value);
}

MRING_INTERNAL void mring_store_release_u64(mring_atomic_u64 *word, uint64_t value)
{
    MRING_MSVC_FENCE();
    mring_store_relaxed_u64(word, value);
}

MRING_INTERNAL void mring_store_release_u32(mring_atomic_u32 *word, uint32_t value)
{
    MRING_MSVC_FENCE();
    mring_store_relaxed_u32(word, value);
}

MRING_INTERNAL uint32_t mring_add_release_u32(mring_atomic_u32 *word, uint32_t count)
{
    return (uint32_t)_InterlockedExchangeAdd((volatile long *)&word->value, (long)count);
}

MRING_INTERNAL bool mring_cas_acq_rel_u64(mring_atomic_u64 *word, uint64_t *expected,
                                          uint64_t desired)
{
    uint64_t found = (uint64_t)_InterlockedCompareExchange64((volatile __int64 *)&word->value,
                                                             (__int64)desired, (__int64)*expected);
    bool stored = found == *expected;

    *expected = found;
    return stored;
}

MRING_INTERNAL bool mring_cas_relaxed_u64(mring_atomic_u64 *word, uint64_t *expected,
                                          uint64_t desired)
{
    return mring_cas_acq_rel_u64(word, expected, desired);
}

/* By compare-and-swap: 32-bit x86 has no other way for 64 bits. */
MRING_INTERNAL uint64_t mring_add_relaxed_u64(mring_atomic_u64 *word, uint64_t count)
{
    uint64_t value = mring_load_relaxed_u64(word);

    while (!mring_cas_relaxed_u64(word, &value, value + count))
        continue;
    return value;
}

MRING_INTERNAL void mring_or_relaxed_u64(mring_atomic_u64 *word, uint64_t bits)
{
    uint64_t value = mring_load_relaxed_u64(word);

    while (!mring_cas_relaxed_u64(word, &value, value | bits))
        continue;
}

MRING_INTERNAL void mring_fence_compiler(void)
{
    _ReadWriteBarrier();
}

#if defined(_M_ARM64)
MRING_INTERNAL void mring_fence_seq_cst(void)
{
    MRING_MSVC_FENCE();
}

MRING_INTERNAL void mring_prefetch_write(const void *address)
{
    __prefetch(address);
}

MRING_INTERNAL void mring_pause(void)
{
    __yield();
}
#else
/* The fence of the processor is none of the compiler's. */
MRING_INTERNAL void mring_fence_seq_cst(void)
{
    _ReadWriteBarrier();
    _mm_mfence();
    _ReadWriteBarrier();
}

MRING_INTERNAL void mring_prefetch_write(const void *address)
{
    _m_prefetchw(address);
}

MRING_INTERNAL void mring_pause(void)
{
    _mm_pause();
}
#endif

MRING_END_DECLS

#endif
#endif
