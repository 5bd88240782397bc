/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHM_FOLDER "/dev/shm"

static char folder[256];

/* Part of every tagname of this test, and of nothing else in /dev/shm. */
static char name_prefix[64];

/* Tests build a few paths at a time; a ring of buffers spares them the bookkeeping. */
static char *next_text(void)
{
    static char texts[32][512];
    static unsigned count;

    return texts[count++ % 32];
}

static void die(const char *what)
{
    perror(what);
    abort();
}

/* ---- begin and end --------------------------------------------------------------------------- */

/* Call `visit` with the path of every entry of a folder whose name starts with `prefix`. */
static void for_each_entry(const char *path, const char *prefix,
                           void (*visit)(const char *path, void *context), void *context)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char entry[600];

        snprintf(entry, sizeof entry, "%s/%s", path, name);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            strncmp(name, prefix, strlen(prefix)) == 0)
            visit(entry, context);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void remove_entry(const char *path, void *context)
{
    (void)context;
    if (remove(path) != 0)
        die(path);
}

void support_begin(void)
{
    const char *root = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/mring-test-XXXXXX", root != NULL ? root : "/tmp");
    if (mkdtemp(folder) == NULL)
        die(folder);
    snprintf(name_prefix, sizeof name_prefix, "mring-test-%ld-", (long)getpid());
}

void support_end(void)
{
    for_each_entry(SHM_FOLDER, name_prefix, remove_entry, NULL);
    for_each_entry(folder, "", remove_entry, NULL);
    if (rmdir(folder) != 0)
        die(folder);
}

/* ---- names and files ------------------------------------------------------------------------- */

const char *support_folder(void)
{
    return folder;
}

const char *support_path(const char *name)
{
    return strcat(strcat(strcpy(next_text(), folder), "/"), name);
}

const char *support_tagname(const char *name)
{
    return strcat(strcpy(next_text(), name_prefix), name);
}

const char *support_shm_path(const char *tagname)
{
    return strcat(strcpy(next_text(), SHM_FOLDER "/"), tagname);
}

unsigned char support_byte(uint64_t position)
{
    return (unsigned char)(position * 31 + position / 256 * 7 + 1);
}

void support_write_file(const char *path, uint64_t size)
{
    FILE *stream = fopen(path, "wb");

    if (stream == NULL)
        die(path);
    for (uint64_t i = 0; i < size; i++)
        putc(support_byte(i), stream);
    if (fclose(stream) != 0)
        die(path);
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
    struct stat status;

    return lstat(path, &status) == 0;
}

uint64_t support_file_size(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_size : UINT64_MAX;
}

uint64_t support_file_blocks(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : UINT64_MAX;
}

unsigned support_file_mode(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? status.st_mode & 07777 : ~0u;
}

/* ---- resources of the process ---------------------------------------------------------------- */

/* The whole text of a file, by plain system calls: nothing is allocated. */
static void read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count;

    if (fd < 0)
        die(path);
    while (length < size - 1 && (count = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    close(fd);
}

size_t support_fd_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    if (directory == NULL)
        die("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* two dots, and the folder itself */
}

uint64_t support_status(const char *field)
{
    static char text[16384];

    read_text("/proc/self/status", text, sizeof text);
    const char *line = strstr(text, field);
    return line == NULL ? UINT64_MAX : strtoull(line + strlen(field), NULL, 10);
}

bool support_has_vm_flag(const void *addr, const char *flag)
{
    char line[1024];
    bool inside = false;
    bool found = false;
    FILE *stream = fopen("/proc/self/smaps", "r");

    if (stream == NULL)
        die("/proc/self/smaps");
    while (fgets(line, sizeof line, stream) != NULL) {
        unsigned long start, end;

        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = start <= (uintptr_t)addr && (uintptr_t)addr < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line + 8, flag) != NULL;
    }
    fclose(stream);
    return found;
}

/* What support_remember() records. */
struct state {
    size_t fd_count;
    char maps[1 << 18];
    char names[1 << 14];
    char files[1 << 14];
};

/*
 * The mappings, one line each: addresses, access, file. Left out is what changes by itself: heap,
 * stack, and what a sanitizer allocates. Neighbours of one kind count as one mapping, since the
 * kernel joins them when it can.
 */
static void list_maps(char *list, size_t size)
{
    static char text[1 << 19];
    unsigned long joined_start = 0, joined_end = 0;
    char joined_kind[400] = "";
    size_t length = 0;

    read_text("/proc/self/maps", text, sizeof text);
    for (char *line = text, *next; *line != '\0'; line = next) {
        unsigned long start, end;
        char access[8], path[300] = "", kind[400];

        next = line + strcspn(line, "\n");
        if (*next == '\n')
            *next++ = '\0';
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %299s", &start, &end, access, path) < 3 ||
            path[0] == '[' || (SUPPORT_SANITIZED && path[0] == '\0' && access[3] == 'p'))
            continue;
        snprintf(kind, sizeof kind, "%s %s", access, path);
        if (start == joined_end && path[0] == '\0' && strcmp(kind, joined_kind) == 0) {
            joined_end = end;
            continue;
        }
        length += (size_t)snprintf(list + length, size - length, "%lx-%lx %s\n", joined_start,
                                   joined_end, joined_kind);
        joined_start = start;
        joined_end = end;
        strcpy(joined_kind, kind);
        if (length >= size)
            abort();
    }
    snprintf(list + length, size - length, "%lx-%lx %s\n", joined_start, joined_end, joined_kind);
}

struct listing {
    char *text;
    size_t size;
    size_t length;
};

static void list_entry(const char *path, void *context)
{
    struct listing *listing = context;
    struct stat status;

    if (lstat(path, &status) != 0)
        die(path);
    listing->length +=
        (size_t)snprintf(listing->text + listing->length, listing->size - listing->length,
                         "%s %lld bytes\n", path, (long long)status.st_size);
    if (listing->length >= listing->size)
        abort();
}

static void list_folder(const char *path, const char *prefix, char *list, size_t size)
{
    struct listing listing = { list, size, 0 };

    list[0] = '\0';
    for_each_entry(path, prefix, list_entry, &listing);
}

static void take_state(struct state *state)
{
    list_folder(SHM_FOLDER, name_prefix, state->names, sizeof state->names);
    list_folder(folder, "", state->files, sizeof state->files);
    state->fd_count = support_fd_count();
    list_maps(state->maps, sizeof state->maps);
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

/* ---- children -------------------------------------------------------------------------------- */

/* Coverage is written by the exit handlers, which a child of a test must not run. */
#if defined(SUPPORT_COVERAGE)
void __gcov_dump(void);

static void save_coverage(void)
{
    /* A body may have taken away the right to write files. */
    signal(SIGXFSZ, SIG_IGN);
    __gcov_dump();
}
#else
static void save_coverage(void)
{
}
#endif

const char *support_child(support_body *body, void *context)
{
    static char result[1024];
    char *shared =
        mmap(NULL, sizeof result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    if (shared == MAP_FAILED)
        die("mmap");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        /* Criterion's own handlers are the parent's business. */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(30);
        const char *failure = body(context);
        if (failure != NULL)
            snprintf(shared, sizeof result, "%s", failure);
        save_coverage();
        _exit(failure != NULL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    if (WIFSIGNALED(status))
        snprintf(result, sizeof result, "signal %d", WTERMSIG(status));
    else
        memcpy(result, shared, sizeof result);
    munmap(shared, sizeof result);
    if (result[0] == '\0' && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        snprintf(result, sizeof result, "exit code %d", WEXITSTATUS(status));
    return result[0] == '\0' ? NULL : result;
}

bool support_become_nobody(void)
{
    return geteuid() == 0 && setgid(65534) == 0 && setuid(65534) == 0;
}

/* Without privileges, a user namespace gives the right to mount. Its user is mapped to ours. */
static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return written;
}

static bool enter_mount_namespace(void)
{
    char users[64], groups[64];

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    snprintf(users, sizeof users, "%u %u 1", geteuid(), geteuid());
    snprintf(groups, sizeof groups, "%u %u 1", getegid(), getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", groups);
}

struct mounted {
    const char *point;
    support_body *body;
    void *context;
};

static const char *mount_and_run(void *context)
{
    struct mounted *mounted = context;

    if (!enter_mount_namespace() || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mounted->point, "tmpfs", 0, "size=1m,mode=1777") != 0)
        return SUPPORT_SKIP "this process may not mount a tmpfs";
    return mounted->body(mounted->context);
}

const char *support_child_in_small_tmpfs(const char *mount_point, support_body *body, void *context)
{
    struct mounted mounted = { mount_point, body, context };

    return support_child(mount_and_run, &mounted);
}
