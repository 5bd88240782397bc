/* SPDX-License-Identifier: MIT */
/*
 * The contract between the portable half of the mapping layer and one operating system. mmap.c is
 * written against these calls; mmap_posix.c and a file of the system implement them.
 *
 * Every mmap_os_ call returns 0, a named error, or the system's own code, and on failure leaves
 * everything as it was. Arguments have been checked: one source at the most, a valid tagname,
 * aligned numbers, no sum that overflows.
 */
#ifndef MRING_MMAP_OS_H
#define MRING_MMAP_OS_H

#include <limits.h>
#include <mring/mmap.h>

/* Where the object of a tagname has another name, and a size that the system does not know. */
#define OS_NAME_KEY_SIZE 27
struct os_name {
    uint64_t size; /* bytes, exactly */
    unsigned mode;
    int draft;                  /* descriptor of what mmap_os_publish() publishes, or -1 */
    char key[OS_NAME_KEY_SIZE]; /* its own name; empty: there is none */
};

/*
 * An open file, name or anonymous object. Opened by mmap_os_open() or mmap_os_create(), ended by
 * mmap_os_close().
 */
struct os_object {
    intptr_t handle;
    bool owned;   /* mmap_os_close() closes the handle */
    bool created; /* made by mmap_os_create() */
    bool huge;    /* of huge pages */

    /* macOS and the BSDs alone. */
    struct os_name name; /* of a name */

    /* Windows alone, where shared memory is no file. */
    bool is_section;
    unsigned access;    /* that it was opened for */
    intptr_t directory; /* of a name: what tells of the object */
    uint64_t id;        /* of a name: which object this is */
    uint64_t size;      /* of a section; elsewhere of a file without a handle, if that is -1 */
};

/*
 * Not an error that a caller of the library sees: others have taken addresses of our range, which
 * can happen where a reservation has to be given up before something is mapped there. Of the range,
 * what lies before the piece to be mapped is still ours, and the piece is not; what is behind it is
 * for mmap_os_abandon().
 */
#define OS_RANGE_LOST INT_MIN

/*
 * Beside the bits of enum mmap_access: the object is opened for its size alone, not to be mapped.
 */
#define OS_SIZE_ONLY (1u << 16)

/* Bytes. The page, and the distance between aliases of one page. */
uint64_t mmap_os_page_size(void);
uint64_t mmap_os_alias_granularity(void);
#define OS_HUGE_PAGE ((uint64_t)2 << 20)

/*
 * Open what exists: a path, a tagname, or the caller's own descriptor, stream or handle.
 *   pre     `file` has one member set
 *   post    plain object, open for `access`; a name has passed the checks of owner and mode
 *   errors  not_found, access_denied, invalid_arg, unsupported, name_too_long, fd_limit
 */
int mmap_os_open(struct os_object *object, const struct mmap_file *file, unsigned access,
                 unsigned flags, unsigned mode);

/* Whether the folder of a path exists, so that a file could be created there. */
bool mmap_os_has_folder(const char *path);

/*
 * Create, with a size of 0: a file (visible at once), the object of a name (not visible before
 * os_publish), or with no member set an anonymous object.
 *   flags   MMAP_HUGE_REQUIRE: of huge pages, anonymous only
 *   errors  exists, access_denied, unsupported, disk_full, name_too_long, fd_limit,
 *           not_found (no such folder)
 */
int mmap_os_create(struct os_object *object, const struct mmap_file *file, unsigned access,
                   unsigned flags, unsigned mode);

/* Make a created name visible, with all that it contains. errors  exists */
int mmap_os_publish(struct os_object *object, const struct mmap_file *file);

/* Release the handle, if it is ours. */
void mmap_os_close(struct os_object *object);

/*
 * Some of an object has to stay open as long as its mapping: hand it over, so that
 * mmap_os_close() leaves it open, and mmap_os_drop() closes it. On most systems it is nothing.
 *   kept    zeros
 *   access  of the mapping; as its flags
 */
int mmap_os_keep(struct os_object *object, unsigned access, unsigned flags, void *kept[2]);
void mmap_os_drop(void *kept[2]);

/* Remove a file that mmap_os_create() made, if the path still leads to it. Before the close. */
void mmap_os_discard(const struct os_object *object, const char *path);

/* Bytes of the object. */
int mmap_os_size(const struct os_object *object, uint64_t *size);

/*
 * Set the size: larger reserves blocks, smaller cuts. Nobody sees a new size before all blocks are
 * there. That takes blocks behind the end of a file, which Linux and macOS can reserve: elsewhere
 * the size grows while they are reserved, and is cut back if they are not to be had. Where a file
 * system, or shared memory, has no way to reserve any, just the size is set.
 *   errors  disk_full, file_too_big
 */
int mmap_os_resize(struct os_object *object, uint64_t old_size, uint64_t new_size);

/*
 * Take a range of addresses that nobody has: at `addr` exactly, or anywhere at a multiple of
 * `alignment`.
 *   errors  out_of_mem (also: in use), map_limit
 */
int mmap_os_reserve(void **base, void *addr, uint64_t length, uint64_t alignment);

/*
 * Map `length` bytes of an object, or anonymous memory when `object` is NULL, at `at`, which lies
 * in our own reservation and is replaced. With `at` NULL: anywhere, and *base says where.
 * On failure the reservation is whole, whatever the system does to a range that it replaces; but
 * OS_RANGE_LOST says that the piece is not ours any more.
 */
int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access);

/*
 * After OS_RANGE_LOST from mmap_os_map(): release what is behind the piece that was lost, if that
 * is still ours on this system.
 */
void mmap_os_abandon(void *base, uint64_t length);

/*
 * Get ready to fill a reservation in another way, after pieces of it may have been mapped.
 *   errors  OS_RANGE_LOST: nothing of it is ours. Any other: all of it is still ours, as it was.
 */
int mmap_os_clear(void *base, uint64_t length);

/* Whether it is worth trying mmap_os_alias() before an anonymous object. */
bool mmap_os_can_alias(void);

/*
 * Map the shared anonymous memory at `from` a second time at `to`, inside our own reservation.
 *   errors  unsupported: take an anonymous object instead
 */
int mmap_os_alias(void *from, void *to, uint64_t length);

/* Unmap a range that is ours: reserved, mapped or both. errors  map_limit */
int mmap_os_release(void *base, uint64_t length);

/* Apply one option to a range. `access` is that of the mapping. */
enum os_advice { OS_PREFAULT, OS_LOCK, OS_DONTFORK, OS_NODUMP, OS_HUGE_TRY, OS_HUGE_COLLAPSE };
int mmap_os_advise(void *addr, uint64_t length, enum os_advice advice, unsigned access);

/* Write to the disk; `addr` is page-aligned, `kept` that of the mapping. */
int mmap_os_flush(void *const kept[2], void *addr, uint64_t length, bool async);

/* Remove a name; a missing one is success. */
int mmap_os_unlink(const char *tagname);

/* The system's message for its code. */
void mmap_os_message(int code, char *buffer, size_t size);

#endif
