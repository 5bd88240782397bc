/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "support_system.h"

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files ----------------------------------------------------------------------------------- */

const char *support_root(void)
{
    const char *root = getenv("TMPDIR");

    return root != NULL ? root : "/tmp";
}

/* Call `visit` with the path of every entry of a folder whose name starts with `prefix`. */
void support_for_each_entry(const char *path, const char *prefix,
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

const char *support_names_folder(void)
{
    return "/dev/shm";
}

const char *support_shm_path(const char *tagname)
{
    return strcat(strcpy(support_next_text(), "/dev/shm/"), tagname);
}

bool support_name_exists(const char *tagname)
{
    return support_exists(support_shm_path(tagname));
}

FILE *support_open(const char *path, const char *mode)
{
    return fopen(path, mode);
}

bool support_stat(const char *path, uint64_t *size)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return false;
    *size = (uint64_t)(stat(path, &status) == 0 ? status.st_size : 0);
    return true;
}

void support_remove(const char *path)
{
    if (remove(path) != 0)
        support_die(path);
}

unsigned support_file_mode(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? status.st_mode & 07777 : ~0u;
}

uint64_t support_file_blocks(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : UINT64_MAX;
}

/* ---- the system ------------------------------------------------------------------------------ */

const bool support_is_windows = false;

void support_needs_posix(const char *what)
{
    (void)what;
}

const char *support_message(int code)
{
    return strerror(code);
}

/* ---- resources of the process ---------------------------------------------------------------- */

/* The whole text of a file, by plain system calls: nothing is allocated. */
static void read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count;

    if (fd < 0)
        support_die(path);
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
        support_die("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* two dots, and the folder itself */
}

bool support_is_asleep(uint32_t tid)
{
    char path[64], text[256] = "";

    snprintf(path, sizeof path, "/proc/self/task/%u/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    const char *state = size > 0 ? strrchr(text, ')') : NULL;
    return state != NULL && state[1] == ' ' && state[2] == 'S';
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
        support_die("/proc/self/smaps");
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

bool support_has_advice(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        support_die("mmap");
    bool refused = madvise(memory, page, 12345) != 0;
    munmap(memory, page);
    return refused;
}

bool support_has_alias(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        support_die("mmap");
    void *alias = mremap(memory, 0, page, MREMAP_MAYMOVE);
    if (alias != MAP_FAILED)
        munmap(alias, page);
    munmap(memory, page);
    return alias != MAP_FAILED;
}

bool support_has_far_offsets(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    off_t offset = (off_t)4 << 30;
    FILE *stream = tmpfile();

    if (stream == NULL || ftruncate(fileno(stream), offset + 1) != 0 ||
        pwrite(fileno(stream), "x", 1, offset) != 1)
        support_die("tmpfile");
    char *memory = mmap(NULL, page, PROT_READ, MAP_SHARED, fileno(stream), offset);
    bool kept = memory != MAP_FAILED && *memory == 'x';
    if (memory != MAP_FAILED)
        munmap(memory, page);
    fclose(stream);
    return kept;
}

/* mincore() fills in one byte for each page of the kernel's. */
bool support_has_whole_pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident[65536 / 4096] = { 0, 0x55 };
    void *memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mincore(memory, page, resident) != 0)
        support_die("mincore");
    munmap(memory, page);
    return resident[1] == 0x55;
}

bool support_limit_addresses(void)
{
    size_t size = 1 << 20;
    struct rlimit limit = { size, size };

    setrlimit(RLIMIT_AS, &limit);
    void *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        munmap(memory, size);
    return memory == MAP_FAILED;
}

/*
 * Left out is what changes by itself: heap, stack, and what a sanitizer allocates. Neighbours of
 * one kind count as one mapping, since the kernel joins them when it can.
 */
void support_list_maps(char *list, size_t size)
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
        support_die("mmap");
    pid_t pid = fork();
    if (pid < 0)
        support_die("fork");
    if (pid == 0) {
        /* Criterion's own handlers are the parent's business. */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(120);
        const char *failure = body(context);
        if (failure != NULL)
            snprintf(shared, sizeof result, "%s", failure);
        save_coverage();
        _exit(failure != NULL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            support_die("waitpid");
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
