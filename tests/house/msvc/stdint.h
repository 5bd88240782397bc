/* SPDX-License-Identifier: MIT */
/* As assert.h. */
#pragma once
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#ifdef _WIN64
typedef long long intptr_t;
typedef unsigned long long uintptr_t;
#define SIZE_MAX UINT64_MAX
#else
typedef int intptr_t;
typedef unsigned int uintptr_t;
#define SIZE_MAX UINT32_MAX
#endif
#define INT32_MAX   2147483647
#define UINT32_MAX  4294967295u
#define INT64_MAX   9223372036854775807ll
#define UINT64_MAX  18446744073709551615ull
#define INT64_C(n)  n##ll
#define UINT32_C(n) n##u
#define UINT64_C(n) n##ull
