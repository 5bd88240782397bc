/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests have in common: a temporary folder, names of shared memory that no other
 * process uses, a record of the process's resources, and bodies that run in a forked child.
 *
 * Criterion's assertions do not work in a forked child. A body that runs in one uses EXPECT(),
 * which returns the text of the condition, and the parent asserts with ASSERT_CHILD().
 */
#ifndef MRING_TESTS_SUPPORT_H
#define MRING_TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A sanitizer maps and touches memory of its own, and makes nothing of mlock(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SUPPORT_SANITIZED true
#else
#define SUPPORT_SANITIZED false
#endif

/* Begin and end of a test: the .init and .fini of every suite. */
void support_begin(void);
void support_end(void);

/* The temporary folder of this test, and a path in it. Valid until 32 more have been asked for.
 */
const char *support_folder(void);
const char *support_path(const char *name);

/*
 * A tagname that only this test uses, and the file behind it. The name is removed by support_end().
 * Valid as above.
 */
const char *support_tagname(const char *name);
const char *support_shm_path(const char *tagname);

/* Whether the name is there, for who comes from outside. */
bool support_name_exists(const char *tagname);

/* Write a file of `size` bytes, byte i being support_byte(i). */
void support_write_file(const char *path, uint64_t size);
unsigned char support_byte(uint64_t position);

/*
 * Where a byte of a number stands that lies at `offset` and has `size` bytes; `index` counts from
 * its lowest byte, which not every processor has first.
 */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SUPPORT_BYTE_AT(offset, size, index) ((offset) + (size)-1 - (index))
#else
#define SUPPORT_BYTE_AT(offset, size, index) ((offset) + 0 * (size) + (index))
#endif

/* The same of a field of a struct. */
#define SUPPORT_BYTE_OF(type, field, index)                                                        \
    SUPPORT_BYTE_AT(offsetof(type, field), sizeof((type *)0)->field, index)

/* Whether `size` bytes are those of the file above from `position` on. */
bool support_has_bytes(const void *bytes, uint64_t position, uint64_t size);
bool support_is_zero(const void *bytes, uint64_t size);

bool support_exists(const char *path);
uint64_t support_file_size(const char *path);   /* UINT64_MAX: there is none */
uint64_t support_file_blocks(const char *path); /* bytes on the disk */
unsigned support_file_mode(const char *path);

/* What the system says of an error of its own. */
const char *support_message(int code);

/*
 * Windows differs in what the mapping layer's header says of it: names and their data are there for
 * as long as somebody has them mapped, and there are no modes of files. A test of more than that
 * says what it needs; it is skipped there.
 */
extern const bool support_is_windows;
void support_needs_posix(const char *what);

/* Whether the system has put a thread of this process to sleep; tid is its gettid(). */
bool support_is_asleep(uint32_t tid);

/* Open descriptors of this process. */
size_t support_fd_count(void);

/* A number from /proc/self/status, such as "VmLck:" in KiB. */
uint64_t support_status(const char *field);

/* Whether the mapping that holds `addr` has `flag` in the VmFlags of /proc/self/smaps. */
bool support_has_vm_flag(const void *addr, const char *flag);

/*
 * What an emulated processor's system may not do as the kernel does. Whether madvise() does
 * something: an advice that there is not is refused. Whether mremap() maps shared memory a second
 * time. Whether mmap() keeps to offsets over 4 GiB. Whether a page is one of the kernel's, and not
 * several. Whether setrlimit() limits the addresses of this process, of which then few are left.
 */
bool support_has_advice(void);
bool support_has_alias(void);
bool support_has_far_offsets(void);
bool support_has_whole_pages(void);
bool support_limit_addresses(void);

/*
 * Record the open descriptors, the mappings, our names of shared memory, and the files in the
 * temporary folder with their sizes; and what differs since then, or NULL.
 */
void support_remember(void);
const char *support_difference(void);

/*
 * Run `body` in a forked child. NULL when it returned NULL, else the text that it returned, or
 * "signal N" when it was killed by one. A child that hangs is killed after 120 seconds.
 */
typedef const char *support_body(void *context);
const char *support_child(support_body *body, void *context);

/*
 * The same with a tmpfs of 1 MiB mounted at `mount_point`, seen by the child alone. A text that
 * starts with SUPPORT_SKIP when this process may not mount.
 */
const char *support_child_in_small_tmpfs(const char *mount_point, support_body *body,
                                         void *context);

/* Become the user nobody, in a child of root. False when this process is not root. */
bool support_become_nobody(void);

#define SUPPORT_SKIP "skip: "

#define SUPPORT_TEXT_(number) #number
#define SUPPORT_TEXT(number)  SUPPORT_TEXT_(number)

/* In a child: go on only if the condition holds. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __FILE__ ":" SUPPORT_TEXT(__LINE__) ": " #condition;                            \
    } while (0)

/* In the parent: the result of support_child() has to be success, or a reason to skip. */
#define ASSERT_CHILD(result)                                                                       \
    do {                                                                                           \
        const char *failure_ = (result);                                                           \
        if (failure_ != NULL && strncmp(failure_, SUPPORT_SKIP, strlen(SUPPORT_SKIP)) == 0)        \
            cr_skip_test("%s", failure_ + strlen(SUPPORT_SKIP));                                   \
        cr_assert(failure_ == NULL, "%s", failure_);                                               \
    } while (0)

/* Nothing may have changed since support_remember(). The arguments, a format, say where. */
#define ASSERT_NOTHING_LEFT(...)                                                                   \
    do {                                                                                           \
        char where_[300];                                                                          \
        const char *difference_ = support_difference();                                            \
        snprintf(where_, sizeof where_, " " __VA_ARGS__);                                          \
        cr_assert(difference_ == NULL, "left behind: %s%s", difference_, where_);                  \
    } while (0)

#endif
