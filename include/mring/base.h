/* SPDX-License-Identifier: MIT */
/*
 * What every other header needs: linkage, the size of a cache line, assertions, and the alias
 * barrier. The compiler differences of the public API live here and in atomic.h, nowhere else.
 */
#ifndef MRING_BASE_H
#define MRING_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#endif

/* The library hides every symbol by default; MRING_API marks those that it exports. */
#if defined(_WIN32)
#if defined(MRING_SHARED) && defined(MRING_BUILDING)
#define MRING_API __declspec(dllexport)
#elif defined(MRING_SHARED)
#define MRING_API __declspec(dllimport)
#else
#define MRING_API
#endif
#else
#define MRING_API __attribute__((visibility("default")))
#endif

/* An inline call is exported by the file that has its external definition, where MRING_API stands
   once more. On Windows each file would export its own, if that stood at every declaration. */
#if defined(_WIN32)
#define MRING_API_INLINE
#else
#define MRING_API_INLINE MRING_API
#endif

/*
 * Hot calls are C99 `inline` functions with one external definition in the library: a C or C++
 * caller inlines them, a caller through a foreign-function interface finds the same call as an
 * exported symbol.
 *
 * MRING_INTERNAL marks the accessors that those calls are made of; they have no symbol of their
 * own.
 *
 * What is optimized inlines all of them, and what is not calls all of them: so the checks of debug
 * builds (struct mring_guard) see either every call of a program or none.
 */
#if defined(_MSC_VER)
#if defined(_DEBUG)
#define MRING_INLINE MRING_API_INLINE inline
#else
#define MRING_INLINE MRING_API_INLINE __forceinline
#endif
#define MRING_INTERNAL __forceinline
#else
#if defined(__OPTIMIZE__)
#define MRING_INLINE MRING_API_INLINE inline __attribute__((always_inline))
#else
#define MRING_INLINE MRING_API_INLINE inline
#endif
#define MRING_INTERNAL inline __attribute__((always_inline))
#endif

/* A condition that holds nearly always. */
#if defined(_MSC_VER)
#define MRING_LIKELY(condition) (condition)
#else
#define MRING_LIKELY(condition) __builtin_expect_with_probability((condition), 1, 0.999)
#endif

#ifdef __cplusplus
#define MRING_BEGIN_DECLS                       extern "C" {
#define MRING_END_DECLS                         }
#define MRING_ALIGNAS(n)                        alignas(n)
#define MRING_STATIC_ASSERT(condition, message) static_assert(condition, message)
#else
#define MRING_BEGIN_DECLS
#define MRING_END_DECLS
#define MRING_ALIGNAS(n)                        _Alignas(n)
#define MRING_STATIC_ASSERT(condition, message) _Static_assert(condition, message)
#endif

/*
 * Two words that different threads write stand at least this many bytes apart. It is twice the
 * usual line, since x86 prefetches lines in pairs, and it is the line of Apple's and some ARM
 * server cores. A constant of the format of shared rings: it does not follow the machine.
 */
#define MRING_LINE 128

MRING_BEGIN_DECLS

/*
 * Order accesses through two aliases of one mirrored byte within one thread.
 *
 * A compiler takes `p[0]` and `p[size]` for different objects and may reorder or forget accesses
 * through them: `p[0] = 1; p[size] = 2; return p[0];` returns 1 at -O2. Between the two accesses
 * goes this barrier. It costs nothing at run time. Between threads the hand-over of a ring's
 * position orders them already.
 *
 *   thread    any; wait-free
 */
#if defined(_MSC_VER)
MRING_INLINE void mring_alias_barrier(void)
{
    _ReadWriteBarrier();
}
#else
MRING_INLINE void mring_alias_barrier(void)
{
    __asm__ __volatile__("" ::: "memory");
}
#endif

MRING_END_DECLS

#endif
