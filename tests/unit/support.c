/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "support_system.h"

#include "support.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[256];

/* Part of every tagname of this test, and of nothing else in /dev/shm. */
static char name_prefix[64];

/* Tests build a few paths at a time; a ring of buffers spares them the bookkeeping. */
char *support_next_text(void)
{
    static char texts[32][512];
    static unsigned count;

    return texts[count++ % 32];
}

void support_die(const char *what)
{
    perror(what);
    abort();
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void remove_entry(const char *path, void *context)
{
    (void)context;
    support_remove(path);
}

void support_begin(void)
{
    snprintf(folder, sizeof folder, "%s/mring-test-XXXXXX", support_root());
    if (mkdtemp(folder) == NULL)
        support_die(folder);
    snprintf(name_prefix, sizeof name_prefix, "mring-test-%ld-", (long)getpid());
}

#if defined(SUPPORT_PORTABLE_NAMES)
/* Names are not files that could be looked for, so remember them; a test without the library has
   none. */
int mmap_unlink(const char *tagname) __attribute__((weak));

static char tagnames[1024][300];
static size_t tagname_count;

static void remember_tagname(const char *tagname)
{
    for (size_t i = 0; i < tagname_count; i++) {
        if (strcmp(tagnames[i], tagname) == 0)
            return;
    }
    if (tagname_count == sizeof tagnames / sizeof *tagnames)
        support_die("too many tagnames");
    strcpy(tagnames[tagname_count++], tagname);
}

static void remove_tagnames(void)
{
    for (size_t i = 0; i < tagname_count && mmap_unlink != NULL; i++) {
        if (mmap_unlink(tagnames[i]) != 0)
            support_die(tagnames[i]);
    }
}
#else
static void remember_tagname(const char *tagname)
{
    (void)tagname;
}

static void remove_tagnames(void)
{
}
#endif

void support_end(void)
{
    remove_tagnames();
    support_for_each_entry(support_names_folder(), name_prefix, remove_entry, NULL);
    support_for_each_entry(folder, "", remove_entry, NULL);
    support_remove(folder);
}

/* ---- names and files ------------------------------------------------------------------------- */

const char *support_folder(void)
{
    return folder;
}

const char *support_path(const char *name)
{
    return strcat(strcat(strcpy(support_next_text(), folder), "/"), name);
}

const char *support_tagname(const char *name)
{
    const char *tagname = strcat(strcpy(support_next_text(), name_prefix), name);

    remember_tagname(tagname);
    return tagname;
}

unsigned char support_byte(uint64_t position)
{
    return (unsigned char)(position * 31 + position / 256 * 7 + 1);
}

void support_write_file(const char *path, uint64_t size)
{
    FILE *stream = support_open(path, "wb");

    if (stream == NULL)
        support_die(path);
    for (uint64_t i = 0; i < size; i++)
        putc(support_byte(i), stream);
    if (fclose(stream) != 0)
        support_die(path);
}

bool support_has_bytes(const void *bytes, uint64_t position, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        if (((const unsigned char *)bytes)[i] != support_byte(position + i))
            return false;
    return true;
}

bool support_is_zero(const void *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        if (((const unsigned char *)bytes)[i] != 0)
            return false;
    return true;
}

bool support_exists(const char *path)
{
    uint64_t size;

    return support_stat(path, &size);
}

uint64_t support_file_size(const char *path)
{
    uint64_t size;

    return support_stat(path, &size) ? size : UINT64_MAX;
}

/* ---- resources of the process ---------------------------------------------------------------- */

/* What support_remember() records. */
struct state {
    size_t fd_count;
    char maps[1 << 18];
    char names[1 << 14];
    char files[1 << 14];
};

struct listing {
    char *text;
    size_t size;
    size_t length;
};

static void list_entry(const char *path, void *context)
{
    struct listing *listing = context;
    uint64_t size;

    if (!support_stat(path, &size))
        support_die(path);
    listing->length +=
        (size_t)snprintf(listing->text + listing->length, listing->size - listing->length,
                         "%s %llu bytes\n", path, (unsigned long long)size);
    if (listing->length >= listing->size)
        abort();
}

static void list_folder(const char *path, const char *prefix, char *list, size_t size)
{
    struct listing listing = { list, size, 0 };

    list[0] = '\0';
    support_for_each_entry(path, prefix, list_entry, &listing);
}

static void take_state(struct state *state)
{
    list_folder(support_names_folder(), name_prefix, state->names, sizeof state->names);
    list_folder(folder, "", state->files, sizeof state->files);
    state->fd_count = support_fd_count();
    support_list_maps(state->maps, sizeof state->maps);
}

static struct state remembered;

void support_remember(void)
{
    take_state(&remembered);
}

/* The first line that differs between two lists. */
static const char *different_line(const char *what, const char *before, const char *after)
{
    static char text[1200];
    size_t line = 0;
    size_t i = 0;

    if (strcmp(before, after) == 0)
        return NULL;
    for (; before[i] == after[i]; i++)
        if (before[i] == '\n')
            line = i + 1;
    snprintf(text, sizeof text, "%s: before: %.*s, after: %.*s", what,
             (int)strcspn(before + line, "\n"), before + line, (int)strcspn(after + line, "\n"),
             after + line);
    return text;
}

const char *support_difference(void)
{
    static struct state now;
    static char text[100];
    const char *difference;

    take_state(&now);
    if (now.fd_count != remembered.fd_count) {
        snprintf(text, sizeof text, "%zu descriptors, before: %zu", now.fd_count,
                 remembered.fd_count);
        return text;
    }
    difference = different_line("mappings", remembered.maps, now.maps);
    if (difference == NULL)
        difference = different_line("names", remembered.names, now.names);
    if (difference == NULL)
        difference = different_line("files", remembered.files, now.files);
    return difference;
}
