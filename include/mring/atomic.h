/* SPDX-License-Identifier: MIT */
/*
 * The atomic words of the rings, and the only accesses to them. The memory order is in the name of
 * each accessor; no other file names one.
 *
 * The words are structs with one member, so that a plain access by mistake does not compile, and
 * their layout is the same in C and in C++ and on 32 and 64 bits: they are part of the format of
 * shared rings. <stdatomic.h> promises neither, and C++17 does not have it; the accessors use the
 * compiler's builtins, which give the C11 memory model. Microsoft's compiler has none: see
 * atomic_msvc.h.
 *
 *   thread    any; wait-free where the processor has an instruction for it, which it has for loads,
 *             fences, and most stores. The rest are loops, and lock-free: 64-bit stores on ARMv7,
 *             64-bit read-modify-writes on 32-bit x86, and all read-modify-writes on processors
 *             with load-linked and store-conditional
 */
#ifndef MRING_ATOMIC_H
#define MRING_ATOMIC_H

#include <mring/base.h>

#if defined(_MSC_VER)
#include <mring/atomic_msvc.h>
#else

MRING_BEGIN_DECLS

/* Where words of 64 bits need a lock, that of a library's would be another one in each process. */
#if !defined(__GCC_HAVE_SYNC_COMPARE_AND_SWAP_8)
#error "mring needs lock-free atomics of 64 bits (32-bit x86: -march=i586 or later; ARM: ARMv7)"
#endif

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

MRING_INTERNAL uint64_t mring_add_relaxed_u64(mring_atomic_u64 *word, uint64_t count)
{
    return __atomic_fetch_add(&word->value, count, __ATOMIC_RELAXED);
}

/*
 * Store `desired` if the word is *expected, and say whether; if not, *expected becomes what it is.
 * It may fail without a reason. Relaxed: what is right about the word is its value alone.
 */
MRING_INTERNAL bool mring_cas_relaxed_u64(mring_atomic_u64 *word, uint64_t *expected,
                                          uint64_t desired)
{
    return __atomic_compare_exchange_n(&word->value, expected, desired, true, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

/* The same as a release store, and as an acquire load in any case. */
MRING_INTERNAL bool mring_cas_acq_rel_u64(mring_atomic_u64 *word, uint64_t *expected,
                                          uint64_t desired)
{
    return __atomic_compare_exchange_n(&word->value, expected, desired, true, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Set bits. */
MRING_INTERNAL void mring_or_relaxed_u64(mring_atomic_u64 *word, uint64_t bits)
{
    __atomic_fetch_or(&word->value, bits, __ATOMIC_RELAXED);
}

/*
 * Load a word that may by now be something else: plain bytes of the user's, which another thread is
 * writing. The caller believes the value only after it has found out, by a compare-and-swap of
 * another word, that it was not (as a reader of a sequence lock does). Otherwise an acquire load;
 * a race detector must not look at it, but has to know what it orders.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MRING_UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define MRING_UNDER_TSAN 1
#endif
#ifdef MRING_UNDER_TSAN
void __tsan_acquire(void *address);

MRING_INTERNAL uint64_t mring_look_acquire_u64(const mring_atomic_u64 *word)
{
    uint64_t value;

#if defined(__x86_64__)
    __asm__ __volatile__("mov %1, %0" : "=r"(value) : "m"(word->value) : "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__("ldar %0, %1" : "=r"(value) : "Q"(word->value) : "memory");
#else
    value = __atomic_load_n(&word->value, __ATOMIC_ACQUIRE); /* it will report what is no race */
#endif
    __tsan_acquire((void *)(uintptr_t)word);
    return value;
}
#else
MRING_INTERNAL uint64_t mring_look_acquire_u64(const mring_atomic_u64 *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}
#endif

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

/* Have the line of an address brought here for writing; a hint. */
MRING_INTERNAL void mring_prefetch_write(const void *address)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const unsigned char *)address));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

/* Say that this is a spin loop: saves power, gives a sibling thread the core. Orders nothing. */
MRING_INTERNAL void mring_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
    __asm__ __volatile__("yield");
#elif defined(__riscv)
    __asm__ __volatile__(".insn i 0x0f, 0, x0, x0, 0x010"); /* pause, or nothing */
#endif
}

MRING_END_DECLS

#endif
#endif
