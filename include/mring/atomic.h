/* SPDX-License-Identifier: MIT */
/*
 * The atomic words of the rings, and the only accesses to them. The memory order is in the name of
 * each accessor; no other file names one.
 *
 * The words are structs with one member, so that a plain access by mistake does not compile, and
 * their layout is the same in C and in C++ and on 32 and 64 bits: they are part of the format of
 * shared rings. <stdatomic.h> promises neither, and C++17 does not have it; the accessors use the
 * compiler's builtins, which give the C11 memory model.
 *
 *   thread    any; wait-free on every processor that mring supports, the 32-bit ones included
 */
#ifndef MRING_ATOMIC_H
#define MRING_ATOMIC_H

#include <mring/base.h>

MRING_BEGIN_DECLS

typedef struct {
    MRING_ALIGNAS(8) uint64_t value;
} mring_atomic_u64;

typedef struct {
    MRING_ALIGNAS(4) uint32_t value;
} mring_atomic_u32;

/* A load that orders nothing: the caller's own word, or a value that is only a hint. */
MRING_INTERNAL uint64_t mring_load_relaxed_u64(const mring_atomic_u64 *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_RELAXED);
}

MRING_INTERNAL uint32_t mring_load_relaxed_u32(const mring_atomic_u32 *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_RELAXED);
}

/* A load that sees all that was written before the store it reads from, if that was a release. */
MRING_INTERNAL uint64_t mring_load_acquire_u64(const mring_atomic_u64 *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}

MRING_INTERNAL uint32_t mring_load_acquire_u32(const mring_atomic_u32 *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}

MRING_INTERNAL void mring_store_relaxed_u64(mring_atomic_u64 *word, uint64_t value)
{
    __atomic_store_n(&word->value, value, __ATOMIC_RELAXED);
}

MRING_INTERNAL void mring_store_relaxed_u32(mring_atomic_u32 *word, uint32_t value)
{
    __atomic_store_n(&word->value, value, __ATOMIC_RELAXED);
}

/* A store that publishes everything that this thread read or wrote before it. */
MRING_INTERNAL void mring_store_release_u64(mring_atomic_u64 *word, uint64_t value)
{
    __atomic_store_n(&word->value, value, __ATOMIC_RELEASE);
}

MRING_INTERNAL void mring_store_release_u32(mring_atomic_u32 *word, uint32_t value)
{
    __atomic_store_n(&word->value, value, __ATOMIC_RELEASE);
}

/* Returns the value before the addition. */
MRING_INTERNAL uint32_t mring_add_release_u32(mring_atomic_u32 *word, uint32_t count)
{
    return __atomic_fetch_add(&word->value, count, __ATOMIC_RELEASE);
}

/*
 * Orders a store before it against a load after it, which release and acquire do not. Only the wait
 * protocol needs it.
 */
MRING_INTERNAL void mring_fence_seq_cst(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Orders accesses for the compiler only: for a thread that others order from outside. */
MRING_INTERNAL void mring_fence_compiler(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Say that this is a spin loop: saves power, gives a sibling thread the core. Orders nothing. */
MRING_INTERNAL void mring_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#endif
}

MRING_END_DECLS

#endif
