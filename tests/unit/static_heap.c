/* SPDX-License-Identifier: MIT */
/*
 * A heap that never maps anything, instead of the C library's.
 *
 * musl's malloc() takes and gives back mappings of a few pages as it goes. Those that look into
 * what a call has left mapped (support_difference()) would take them for the call's. mring itself
 * has no heap, so nothing of it is tested less. glibc's grows by brk(), which is not looked at.
 *
 * A test's process is short and allocates little: nothing is ever given back. So there is nothing
 * to lock, which a child forked by one of several threads could find locked for ever.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)16)

/* In front of each allocation. */
struct head {
    _Alignas(ALIGNMENT) size_t size;
};

static _Alignas(ALIGNMENT) unsigned char arena[(size_t)1 << 28]; /* of addresses: no memory yet */
static atomic_size_t used;

void *aligned_alloc(size_t alignment, size_t size)
{
    if (alignment < ALIGNMENT)
        alignment = ALIGNMENT;
    if (alignment > sizeof arena / 2 || size > sizeof arena / 2)
        return NULL;

    size_t start = atomic_fetch_add(&used, sizeof(struct head) + alignment + size + ALIGNMENT);
    if (start > sizeof arena / 2)
        abort(); /* not NULL: that would look like the fault of what is tested */
    uintptr_t first = (uintptr_t)arena + start + sizeof(struct head);
    void *memory = (void *)((first + alignment - 1) / alignment * alignment);

    ((struct head *)memory)[-1].size = size;
    return memory;
}

void *malloc(size_t size)
{
    return aligned_alloc(ALIGNMENT, size);
}

void *calloc(size_t count, size_t size)
{
    return size != 0 && count > SIZE_MAX / size ? NULL : malloc(count * size); /* zeros: unused */
}

void *realloc(void *memory, size_t size)
{
    void *other = malloc(size);

    if (memory != NULL && other != NULL) {
        size_t old_size = ((struct head *)memory)[-1].size;

        memcpy(other, memory, old_size < size ? old_size : size);
    }
    return other;
}

void free(void *memory)
{
    (void)memory;
}
