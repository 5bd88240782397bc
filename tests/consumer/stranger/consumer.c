/* SPDX-License-Identifier: MIT */
/* A stranger's C program: a few bytes over the seam of a mirror, and through a ring. */
#include <mring.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *call, int err)
{
    char message[128];

    fprintf(stderr, "%s: %s (%s)\n", call, mring_errmsg(err, message, sizeof message),
            mring_errname(err));
    return 1;
}

static int mirror_a_page(void)
{
    struct mmap map = { 0 };
    int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .size = mmap_mirror_granularity(0) });
    if (err != 0)
        return fail("mmap_mirror", err);

    char *bytes = map.addr;
    memcpy(bytes + map.size - 3, "mirror", 6);
    mring_alias_barrier();
    int differs = memcmp(bytes, "ror", 3);

    err = mmap_free(&map);
    if (err != 0)
        return fail("mmap_free", err);
    return differs != 0;
}

static int send_through_a_ring(void)
{
    static const char sent[] = "contiguous";
    struct mring_spsc ring;
    int err = mring_spsc_create(&ring, &(struct mring_args){ .capacity = mring_capacity(1, 0) });
    if (err != 0)
        return fail("mring_spsc_create", err);

    /* Often enough to pass the end of the storage many times. */
    int differs = 0;
    for (size_t sum = 0; sum < 10 * mring_spsc_capacity(&ring); sum += sizeof sent) {
        size_t size = 0;
        mring_spsc_write(&ring, sent, sizeof sent);
        const void *bytes = mring_spsc_peek(&ring, sizeof sent, &size);
        if (bytes == NULL || size != sizeof sent || memcmp(bytes, sent, size) != 0)
            differs = 1;
        mring_spsc_consume(&ring, size);
    }

    err = mring_spsc_destroy(&ring);
    if (err != 0)
        return fail("mring_spsc_destroy", err);
    return differs;
}

int main(void)
{
    unsigned header = MRING_VERSION_MAJOR << 16 | MRING_VERSION_MINOR << 8 | MRING_VERSION_PATCH;

    if (mring_version() != header) {
        fprintf(stderr, "the library is not the one of the header\n");
        return 1;
    }
    if (mirror_a_page() != 0 || send_through_a_ring() != 0) {
        fprintf(stderr, "the bytes are not what was written\n");
        return 1;
    }
    puts("consumer in C: ok");
    return 0;
}
