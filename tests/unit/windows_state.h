/* SPDX-License-Identifier: MIT */
/*
 * What a process of Windows has: its handles, and what is allocated in its address space. A test
 * that remembers it before a call finds what the call has left behind.
 */
#ifndef MRING_TESTS_WINDOWS_STATE_H
#define MRING_TESTS_WINDOWS_STATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define STATE_HANDLES 256
#define STATE_RANGES  4096

struct windows_state {
    unsigned char handles[STATE_HANDLES];
    size_t range_count;
    struct {
        void *base;
        size_t size;
    } ranges[STATE_RANGES];
};

/* Handles are multiples of 4. */
static inline void state_of_handles(struct windows_state *state)
{
    for (uintptr_t i = 1; i < STATE_HANDLES; i++) {
        DWORD flags;

        state->handles[i] = GetHandleInformation((HANDLE)(i * 4), &flags) != 0;
    }
}

/* Each allocation as a whole: how much of a stack or a heap is in use changes by itself. */
static inline void state_of_memory(struct windows_state *state)
{
    MEMORY_BASIC_INFORMATION info;
    void *last = NULL;

    state->range_count = 0;
    for (unsigned char *pos = NULL; VirtualQuery(pos, &info, sizeof info) != 0;
         pos = (unsigned char *)info.BaseAddress + info.RegionSize) {
        if (info.State == MEM_FREE || state->range_count == STATE_RANGES)
            continue;
        if (info.AllocationBase == last) {
            state->ranges[state->range_count - 1].size += info.RegionSize;
            continue;
        }
        last = info.AllocationBase;
        state->ranges[state->range_count].base = last;
        state->ranges[state->range_count++].size = info.RegionSize;
    }
}

static inline void state_remember(struct windows_state *state)
{
    state_of_memory(state);
    state_of_handles(state);
}

/* What differs from then, or NULL. */
static inline const char *state_difference(const struct windows_state *then)
{
    static struct windows_state now;
    static char text[200];

    state_remember(&now);
    for (uintptr_t i = 1; i < STATE_HANDLES; i++) {
        if (now.handles[i] != then->handles[i]) {
            snprintf(text, sizeof text, "handle %#x is %s", (unsigned)(i * 4),
                     now.handles[i] ? "new" : "gone");
            return text;
        }
    }
    for (size_t i = 0; i < now.range_count || i < then->range_count; i++) {
        if (i >= now.range_count || i >= then->range_count ||
            now.ranges[i].base != then->ranges[i].base ||
            now.ranges[i].size != then->ranges[i].size) {
            snprintf(text, sizeof text, "memory: before %p, %#lx bytes, now %p, %#lx bytes",
                     then->ranges[i].base, (unsigned long)then->ranges[i].size, now.ranges[i].base,
                     (unsigned long)now.ranges[i].size);
            return text;
        }
    }
    return NULL;
}

#endif
