/* SPDX-License-Identifier: MIT */
/* Whether ThreadSanitizer watches. It is slow, and takes a mirror's copies for different memory. */
#ifndef MRING_TESTS_UNDER_TSAN_H
#define MRING_TESTS_UNDER_TSAN_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#endif
