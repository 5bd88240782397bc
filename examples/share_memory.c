/* SPDX-License-Identifier: MIT */
/*
 * Two processes share memory by a tagname: one writes a message, the other reads it.
 *
 * What is shared here is plain memory, so the two must agree on who writes when: the reader starts
 * after the writer has said so through a pipe. A ring (see ringcat.c) needs no such agreement.
 */
#include <mring.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char message[] = "the same bytes in two processes";

static int fail(const char *step, int err)
{
    char text[128];

    fprintf(stderr, "share_memory: %s: %s\n", step, mmap_errmsg(err, text, sizeof text));
    return 1;
}

/* The child: attach to the name and read. Without a size, the map is as large as the object. */
static int read_message(const char *tagname, int ready)
{
    struct mmap map = { 0 };
    char byte;

    if (read(ready, &byte, 1) != 1)
        return 1;
    int err = mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname });
    if (err != 0)
        return fail("attach", err);
    printf("reader: %s (%llu bytes, %s)\n", (const char *)map.addr, (unsigned long long)map.size,
           map.created ? "created" : "attached");
    int result = strcmp(map.addr, message) == 0 ? 0 : 1;
    mmap_free(&map);
    return result;
}

/* The parent: create the name and write. */
static int write_message(const char *tagname, int ready)
{
    struct mmap map = { 0 };
    int err = mmap_map(&map, &(struct mmap_args){
                                 .file.tagname = tagname,
                                 .access = MMAP_WRITE,
                                 .flags = MMAP_EXCLUSIVE,
                                 .size = 100,
                             });

    if (err != 0)
        return fail("create", err);
    memcpy(map.addr, message, sizeof message);
    int result = write(ready, "!", 1) == 1 ? 0 : 1;
    mmap_free(&map); /* the memory stays with its name */
    return result;
}

int main(void)
{
    char tagname[64];
    int ready[2], status = 1;

    snprintf(tagname, sizeof tagname, "share_memory.%ld", (long)getpid());
    if (pipe(ready) != 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        close(ready[1]);
        return read_message(tagname, ready[0]);
    }
    close(ready[0]);
    int result = write_message(tagname, ready[1]);
    close(ready[1]);
    waitpid(child, &status, 0);
    mmap_unlink(tagname); /* names stay until somebody removes them */
    return result != 0 || status != 0;
}
