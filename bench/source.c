/* SPDX-License-Identifier: MIT */
#include "source.h"

#include "loops.h"

#define SOURCE_BYTES ((size_t)8192)

uint64_t source_count_items(size_t size, size_t batch)
{
    uint64_t count = SOURCE_BYTES / size;

    if (count < batch)
        count = batch;
    return count < 3 ? 3 : count | 1;
}

void source_fill(unsigned char *source, size_t size, size_t batch)
{
    uint64_t count = source_count_items(size, batch);

    for (uint64_t i = 0; i < count + batch; i++) {
        uint64_t stamp = STAMP_STEP * (1 + i % count);
        unsigned char *item = source + i * size;
        for (size_t at = 0; at + sizeof stamp <= size; at += sizeof stamp)
            memcpy(item + at, &stamp, sizeof stamp);
        memcpy(item + size - sizeof stamp, &stamp, sizeof stamp);
    }
}

int source_map(struct mmap *map, size_t size)
{
    return mmap_map(
        map, &(struct mmap_args){ .access = MMAP_WRITE, .flags = MMAP_PREFAULT, .size = size });
}
