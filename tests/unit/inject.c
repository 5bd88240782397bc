/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* ---- the plan -------------------------------------------------------------------------------- */

/* Per thread, so that the wrapped calls of other threads neither count nor fail. */
static _Thread_local struct {
    bool armed;
    const char *function;
    unsigned passing; /* calls that go through, and then calls that fail */
    unsigned failing;
    int error;
    bool patterned; /* each call has an error of its own */
    int errors[4];
    const char *hit;
    void (*meanwhile)(void);
    struct {
        const char *function;
        int error;
    } always[2];
    bool old_kernel;
    bool inheritable;
    unsigned shmlba_pages;
    bool foreign;
    uint64_t size_at_failure;
} plan;

static struct inject_msync last_msync;

void inject_nth(const char *function, unsigned k, int error)
{
    inject_row(function, k, 1, error);
}

void inject_row(const char *function, unsigned k, unsigned count, int error)
{
    plan.armed = true;
    plan.function = function;
    plan.passing = k - 1;
    plan.failing = count;
    plan.error = error;
    plan.hit = NULL;
    plan.patterned = false;
    plan.inheritable = false;
    plan.foreign = false;
}

void inject_pattern(const char *function, const int *errors, unsigned count)
{
    inject_row(function, 1, count, 0);
    memcpy(plan.errors, errors, count * sizeof *errors);
    plan.patterned = true;
}

void inject_always(const char *function, int error)
{
    size_t slot = plan.always[0].function == NULL ? 0 : 1;

    plan.always[slot].function = function;
    plan.always[slot].error = error;
}

void inject_meanwhile(void (*meanwhile)(void))
{
    plan.meanwhile = meanwhile;
}

const char *inject_stop(void)
{
    plan.armed = false;
    plan.meanwhile = NULL;
    plan.always[0].function = plan.always[1].function = NULL;
    return plan.hit;
}

void inject_old_kernel(bool old)
{
    plan.old_kernel = old;
}

void inject_shmlba(unsigned pages)
{
    plan.shmlba_pages = pages;
}

bool inject_saw_inheritable(void)
{
    return plan.inheritable;
}

bool inject_saw_foreign(void)
{
    return plan.foreign;
}

uint64_t inject_size_at_failure(void)
{
    return plan.size_at_failure;
}

const struct inject_msync *inject_last_msync(void)
{
    return &last_msync;
}

/* The code with which this call has to fail, or 0. */
static int next_error(const char *function)
{
    for (size_t i = 0; i < 2; i++) {
        if (plan.always[i].function != NULL && strcmp(plan.always[i].function, function) == 0)
            return plan.always[i].error;
    }
    if (!plan.armed || (plan.function != NULL && strcmp(plan.function, function) != 0))
        return 0;
    if (plan.passing > 0) {
        plan.passing--;
        return 0;
    }
    if (plan.failing == 0)
        return 0;
    plan.failing--;
    plan.hit = function;
    if (plan.patterned) {
        plan.error = plan.errors[0];
        memmove(plan.errors, plan.errors + 1, sizeof plan.errors - sizeof plan.errors[0]);
    }
    if (plan.meanwhile != NULL)
        plan.meanwhile();
    return plan.error;
}

static bool fails(const char *function)
{
    int error = next_error(function);

    if (error != 0)
        errno = error;
    return error != 0;
}

/* ---- the wrappers ---------------------------------------------------------------------------- */

#if !defined(__GLIBC__)
/* musl has one name for each of them: there, files are always large. */
#define __real_fallocate64       __real_fallocate
#define __wrap_fallocate64       __wrap_fallocate
#define __real_fcntl64           __real_fcntl
#define __wrap_fcntl64           __wrap_fcntl
#define __real_fstat64           __real_fstat
#define __wrap_fstat64           __wrap_fstat
#define __real_fstatfs64         __real_fstatfs
#define __wrap_fstatfs64         __wrap_fstatfs
#define __real_fstatvfs64        __real_fstatvfs
#define __wrap_fstatvfs64        __wrap_fstatvfs
#define __real_ftruncate64       __real_ftruncate
#define __wrap_ftruncate64       __wrap_ftruncate
#define __real_getrlimit64       __real_getrlimit
#define __wrap_getrlimit64       __wrap_getrlimit
#define __real_lstat64           __real_lstat
#define __wrap_lstat64           __wrap_lstat
#define __real_mmap64            __real_mmap
#define __wrap_mmap64            __wrap_mmap
#define __real_open64            __real_open
#define __wrap_open64            __wrap_open
#define __real_posix_fallocate64 __real_posix_fallocate
#define __wrap_posix_fallocate64 __wrap_posix_fallocate
#define __real_stat64            __real_stat
#define __wrap_stat64            __wrap_stat
#endif

/* Declare the wrapper and the call behind it. */
#define WRAP(result, symbol, parameters)                                                           \
    result __real_##symbol parameters;                                                             \
    result __wrap_##symbol parameters;                                                             \
    result __wrap_##symbol parameters

#if defined(__GLIBC__) /* elsewhere SHMLBA is a constant */
WRAP(int, __getpagesize, (void))
{
    return __real___getpagesize() * (plan.shmlba_pages == 0 ? 1 : (int)plan.shmlba_pages);
}
#endif

/* A close() that fails has closed the descriptor all the same. */
WRAP(int, close, (int fd))
{
    bool failing = fails("close");
    int error = errno;
    int result = __real_close(fd);

    if (!failing)
        return result;
    errno = error;
    return -1;
}

WRAP(int, fallocate64, (int fd, int mode, off_t offset, off_t size))
{
    return fails("fallocate") ? -1 : __real_fallocate64(fd, mode, offset, size);
}

WRAP(int, fchmod, (int fd, mode_t mode))
{
    return fails("fchmod") ? -1 : __real_fchmod(fd, mode);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
    va_list list;

    va_start(list, command);
    long argument = command == F_GETFL || command == F_GETFD ? 0 : va_arg(list, long);
    va_end(list);
    return fails("fcntl") ? -1 : __real_fcntl64(fd, command, argument);
}

WRAP(int, fflush, (FILE * stream))
{
    return fails("fflush") ? EOF : __real_fflush(stream);
}

WRAP(int, fstat64, (int fd, struct stat *status))
{
    return fails("fstat") ? -1 : __real_fstat64(fd, status);
}

WRAP(int, fstatfs64, (int fd, struct statfs *system))
{
    return fails("fstatfs") ? -1 : __real_fstatfs64(fd, system);
}

WRAP(int, fstatvfs64, (int fd, struct statvfs *system))
{
    return fails("fstatvfs") ? -1 : __real_fstatvfs64(fd, system);
}

WRAP(int, ftruncate64, (int fd, off_t size))
{
    return fails("ftruncate") ? -1 : __real_ftruncate64(fd, size);
}

WRAP(int, getrlimit64, (int resource, struct rlimit *limit))
{
    return fails("getrlimit") ? -1 : __real_getrlimit64(resource, limit);
}

WRAP(int, linkat, (int from, const char *old_path, int to, const char *new_path, int flags))
{
    return fails("linkat") ? -1 : __real_linkat(from, old_path, to, new_path, flags);
}

WRAP(int, lstat64, (const char *path, struct stat *status))
{
    return fails("lstat") ? -1 : __real_lstat64(path, status);
}

WRAP(int, madvise, (void *addr, size_t length, int advice))
{
    return fails("madvise") ? -1 : __real_madvise(addr, length, advice);
}

WRAP(int, memfd_create, (const char *name, unsigned flags))
{
    plan.inheritable |= !(flags & MFD_CLOEXEC);
    return fails("memfd_create") ? -1 : __real_memfd_create(name, flags);
}

WRAP(int, mlock, (const void *addr, size_t length))
{
    return fails("mlock") ? -1 : __real_mlock(addr, length);
}

int __real_munmap(void *addr, size_t length);
int __real_msync(void *addr, size_t length, int flags);

/* A range with a hole is not ours as a whole: another thread could have mapped something there. */
static void expect_ours(void *addr, size_t length)
{
    int error = errno;

    plan.foreign |= __real_msync(addr, length, MS_ASYNC) != 0 && errno == ENOMEM;
    errno = error;
}

WRAP(void *, mmap64, (void *addr, size_t length, int protection, int flags, int fd, off_t offset))
{
    if (plan.old_kernel)
        flags &= ~MAP_FIXED_NOREPLACE;
    if (flags & MAP_FIXED)
        expect_ours(addr, length);
    return fails("mmap") ? MAP_FAILED : __real_mmap64(addr, length, protection, flags, fd, offset);
}

void *__real_mremap(void *from, size_t old_size, size_t new_size, int flags, ...);
void *__wrap_mremap(void *from, size_t old_size, size_t new_size, int flags, ...);
void *__wrap_mremap(void *from, size_t old_size, size_t new_size, int flags, ...)
{
    va_list list;

    va_start(list, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(list, void *) : NULL;
    va_end(list);
    if (to != NULL)
        expect_ours(to, new_size);
    return fails(old_size == 0 ? "mremap of 0" : "mremap")
               ? MAP_FAILED
               : __real_mremap(from, old_size, new_size, flags, to);
}

WRAP(int, msync, (void *addr, size_t length, int flags))
{
    last_msync = (struct inject_msync){ last_msync.count + 1, addr, length, flags };
    return fails("msync") ? -1 : __real_msync(addr, length, flags);
}

int __wrap_munmap(void *addr, size_t length);
int __wrap_munmap(void *addr, size_t length)
{
    expect_ours(addr, length);
    return fails("munmap") ? -1 : __real_munmap(addr, length);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {
        va_list list;

        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    plan.inheritable |= !(flags & O_CLOEXEC);
    return fails("open") ? -1 : __real_open64(path, flags, mode);
}

/* This one returns its error. */
WRAP(int, posix_fallocate64, (int fd, off_t offset, off_t size))
{
    int error = next_error("posix_fallocate");
    struct stat status;

    if (error == 0)
        return __real_posix_fallocate64(fd, offset, size);
    plan.size_at_failure = __real_fstat64(fd, &status) == 0 ? (uint64_t)status.st_size : UINT64_MAX;
    return error;
}

WRAP(ssize_t, read, (int fd, void *buffer, size_t size))
{
    return fails("read") ? -1 : __real_read(fd, buffer, size);
}

WRAP(int, stat64, (const char *path, struct stat *status))
{
    return fails("stat") ? -1 : __real_stat64(path, status);
}

WRAP(int, unlink, (const char *path))
{
    return fails("unlink") ? -1 : __real_unlink(path);
}
