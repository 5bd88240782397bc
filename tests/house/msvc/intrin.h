/* SPDX-License-Identifier: MIT */
/* As assert.h: the intrinsics that mring's headers use. */
#pragma once
#ifdef __cplusplus
extern "C" {
#endif
void _ReadWriteBarrier(void);
long _InterlockedExchangeAdd(volatile long *, long);
__int64 _InterlockedCompareExchange64(volatile __int64 *, __int64, __int64);
__int32 __iso_volatile_load32(const volatile __int32 *);
__int64 __iso_volatile_load64(const volatile __int64 *);
void __iso_volatile_store32(volatile __int32 *, __int32);
void __iso_volatile_store64(volatile __int64 *, __int64);
#ifdef _M_ARM64
void __dmb(unsigned int);
void __yield(void);
void __prefetch(const void *);
#else
void _mm_mfence(void);
void _mm_pause(void);
void _m_prefetchw(const void *);
#endif
#ifdef __cplusplus
}
#endif
