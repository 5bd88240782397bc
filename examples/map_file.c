/* SPDX-License-Identifier: MIT */
/*
 * Map a file, change it in memory, flush it, and look at it again through a second mapping.
 *
 *      map_file FILE      what was in it is lost
 */
#include <mring.h>

#include <stdio.h>
#include <string.h>

static const char text[] = "Written through a mapping.\n";

static int fail(const char *step, int err)
{
    char message[128];

    fprintf(stderr, "map_file: %s: %s (%s)\n", step, mmap_errmsg(err, message, sizeof message),
            mmap_errname(err));
    return 1;
}

int main(int argc, char **argv)
{
    struct mmap map = { 0 }, again = { 0 };

    if (argc != 2) {
        fprintf(stderr, "usage: map_file FILE\n");
        return 2;
    }

    /* Create the file, or make an old one exactly this long; its blocks are reserved. */
    struct mmap_file file = { .path = argv[1] };
    int err = mmap_set_filesize(&file, sizeof text - 1);
    if (err != 0)
        return fail("set the size", err);

    /* Without a size, the whole file is mapped. */
    err = mmap_map(&map, &(struct mmap_args){ .file = file, .access = MMAP_WRITE });
    if (err != 0)
        return fail("map for writing", err);
    memcpy(map.addr, text, sizeof text - 1);

    /* The change is in the file already; this puts it on the disk. */
    err = mmap_flush(&map, NULL, 0, false);
    if (err != 0)
        return fail("flush", err);
    mmap_free(&map);

    /* Without an access, it is mapped for reading. */
    err = mmap_map(&again, &(struct mmap_args){ .file = file });
    if (err != 0)
        return fail("map for reading", err);
    bool same = again.size == sizeof text - 1 && memcmp(again.addr, text, sizeof text - 1) == 0;
    fwrite(again.addr, 1, (size_t)again.size, stdout);
    mmap_free(&again);
    return same ? 0 : 1;
}
