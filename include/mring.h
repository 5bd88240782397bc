/* SPDX-License-Identifier: MIT */
/*
 * mring: portable memory mapping, and lock-free ring buffers whose storage is a mirror, so that no
 * span of bytes is ever split at the wrap. This header includes everything:
 *
 *   mring/mmap.h    map files, anonymous memory and named shared memory; mirror a segment
 *   mring/ring.h    what rings have in common: errors, arguments
 *   mring/spsc.h    byte ring: one producer, one consumer, any thread or process
 *   mring/mpmc.h    record ring: many producers, many consumers, any threads or processes
 *   mring/wait.h    the eventcount behind the _wait calls
 *   mring/atomic.h  the ordered accesses of the rings
 *   mring/base.h    linkage, cache line, alias barrier
 *
 * Words that every header uses in the same sense:
 *
 *   wait-free   the call ends after a bounded number of its own steps, whatever other threads do
 *   lock-free   some call always ends; a single one may be overtaken
 *   blocking    the call may sleep, for as long as its description says
 *
 * Errors are ints: 0 is success, a value below 0 is one of the library's named codes (mmap_errname,
 * mring_errname), a value above 0 is the operating system's own code. A call that fails leaves its
 * out parameters as they were and nothing behind.
 */
#ifndef MRING_H
#define MRING_H

/* The version of the library; the build reads it from here. */
#define MRING_VERSION_MAJOR 0
#define MRING_VERSION_MINOR 1
#define MRING_VERSION_PATCH 0

#include <mring/atomic.h>
#include <mring/base.h>
#include <mring/mmap.h>
#include <mring/mpmc.h>
#include <mring/ring.h>
#include <mring/spsc.h>
#include <mring/wait.h>

MRING_BEGIN_DECLS

/*
 * The version of the library that is linked, as (major << 16 | minor << 8 | patch); compare it with
 * the macros above.
 *
 *   thread    any; wait-free
 */
MRING_API unsigned mring_version(void);

MRING_END_DECLS

#endif
