/* SPDX-License-Identifier: MIT */
/*
 * The mapping primitives of mmap_os.h on Windows.
 *
 * Nothing is linked to that Windows 7 has not; what is newer is looked for when it is first needed.
 *
 * How a range is held while its pieces are mapped. Since Windows 10 1803 there are placeholders:
 * reserved addresses that can be split, and of which a part is replaced by a view in one step, so
 * that nobody else ever gets them. Elsewhere a view only goes where nothing is. There, for each
 * piece the reservation is given up, the view is mapped, and what remains is reserved again; who
 * finds that another thread has been faster says OS_RANGE_LOST, and the whole starts anew.
 *
 * How a name is found. The system's names lead to what was just made and may not be filled yet, and
 * they do not tell its exact size. So the name is that of a directory, one page with one word:
 *
 *      mring-name.<tagname>    { id } ---> mring-object.<id>    { size, ... | data }
 *
 * An object is made under a random id of 64 bits, filled, and then published by putting its id into
 * the word. The system removes a name with its last handle, so each map keeps one to either.
 *
 *   - Half-made objects are not seen: before the id is in the word nobody else knows it.
 *   - One of several creators wins: an id is only put in place of an id whose object is gone, by
 *     compare-and-swap. Ids do not come twice, so what is gone stays gone and the word that was
 *     compared cannot have been another one in between.
 *   - A creator that dies leaves nothing: before it has published, an object without a name that
 *     leads to it, which ends with it; after that, an id in the word that leads nowhere, which is
 *     as good as none. Nobody ever waits for another one.
 *   - Who attaches reads the word and opens the object. If that is gone, there was a moment without
 *     the name, which is the answer.
 *   - Two directories of one name cannot be in use at once, since a map keeps its directory open
 *     as long as its object, and the system has one object for one name.
 */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601

#include "handle_windows.h"
#include "mmap_os.h"
#include "security_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

/* Constants that older headers do not have. */
#ifndef ERROR_DISK_QUOTA_EXCEEDED
#define ERROR_DISK_QUOTA_EXCEEDED 1295L
#endif
#define OS_MEM_REPLACE_PLACEHOLDER  0x00004000u
#define OS_MEM_RESERVE_PLACEHOLDER  0x00040000u
#define OS_MEM_PRESERVE_PLACEHOLDER 0x00000002u
#define OS_MEM_LARGE_PAGES          0x20000000u
#define OS_FILE_MAP_LARGE_PAGES     0x20000000u

/* Characters of a path, with the one that ends it. */
#define PATH_CHARS 4096

/* Characters between two separators of a path, on every file system. */
#define MOST_IN_PART 255

/* The names of the system's objects. With a tagname they stay below 260 characters. */
#define DIRECTORY_PREFIX L"Local\\mring-name."
#define OBJECT_PREFIX    L"Local\\mring-object."
#define NAME_CHARS       (sizeof DIRECTORY_PREFIX / sizeof(wchar_t) + MMAP_TAGNAME_MAX)
#define ID_DIGITS        16

/*
 * What precedes the data of a name: its size, and nothing up to where a view may begin. This and
 * the names above are a format that different programs share.
 */
#define NAME_LEAD ((uint64_t)1 << 16)

/* Times that a range at a multiple of more than the system's own granularity is looked for. */
#define ALIGN_ATTEMPTS 100

/* Times that a view is flushed that the system writes at the same time. */
#define FLUSH_ATTEMPTS 20

/* Every way in which others may open a file that we have open. */
#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

/* ---- errors ---------------------------------------------------------------------------------- */

static int error_of(DWORD code)
{
    static const struct {
        DWORD code;
        int err;
    } rows[] = {
        { ERROR_FILE_NOT_FOUND, MMAP_NOT_FOUND },
        { ERROR_PATH_NOT_FOUND, MMAP_NOT_FOUND },
        { ERROR_INVALID_DRIVE, MMAP_NOT_FOUND },
        { ERROR_BAD_NETPATH, MMAP_NOT_FOUND },
        { ERROR_BAD_NET_NAME, MMAP_NOT_FOUND },
        { ERROR_BAD_PATHNAME, MMAP_NOT_FOUND },
        { ERROR_DIRECTORY, MMAP_NOT_FOUND },
        { ERROR_FILE_INVALID, MMAP_FILE_TOO_SHORT },
        { ERROR_FILE_TOO_LARGE, MMAP_FILE_TOO_BIG },
        { ERROR_DISK_FULL, MMAP_DISK_FULL },
        { ERROR_HANDLE_DISK_FULL, MMAP_DISK_FULL },
        { ERROR_DISK_QUOTA_EXCEEDED, MMAP_DISK_FULL },
        { ERROR_NOT_ENOUGH_MEMORY, MMAP_OUT_OF_MEM },
        { ERROR_OUTOFMEMORY, MMAP_OUT_OF_MEM },
        { ERROR_COMMITMENT_LIMIT, MMAP_OUT_OF_MEM },
        { ERROR_NO_SYSTEM_RESOURCES, MMAP_OUT_OF_MEM },
        { ERROR_NONPAGED_SYSTEM_RESOURCES, MMAP_OUT_OF_MEM },
        { ERROR_PAGED_SYSTEM_RESOURCES, MMAP_OUT_OF_MEM },
        { ERROR_WORKING_SET_QUOTA, MMAP_OUT_OF_MEM },
        { ERROR_PAGEFILE_QUOTA, MMAP_OUT_OF_MEM },
        { ERROR_NOT_ENOUGH_QUOTA, MMAP_OUT_OF_MEM },
        { ERROR_INVALID_ADDRESS, MMAP_OUT_OF_MEM },
        { ERROR_TOO_MANY_OPEN_FILES, MMAP_FD_LIMIT },
        { ERROR_INVALID_HANDLE, MMAP_INVALID_ARG },
        { ERROR_INVALID_NAME, MMAP_INVALID_ARG },
        { ERROR_NO_UNICODE_TRANSLATION, MMAP_INVALID_ARG },
        { ERROR_FILENAME_EXCED_RANGE, MMAP_NAME_TOO_LONG },
        { ERROR_FILE_EXISTS, MMAP_EXISTS },
        { ERROR_ALREADY_EXISTS, MMAP_EXISTS },
        { ERROR_ACCESS_DENIED, MMAP_ACCESS_DENIED },
        { ERROR_NETWORK_ACCESS_DENIED, MMAP_ACCESS_DENIED },
        { ERROR_SHARING_VIOLATION, MMAP_ACCESS_DENIED },
        { ERROR_LOCK_VIOLATION, MMAP_ACCESS_DENIED },
        { ERROR_WRITE_PROTECT, MMAP_ACCESS_DENIED },
        { ERROR_DELETE_PENDING, MMAP_ACCESS_DENIED },
        { ERROR_NOT_SUPPORTED, MMAP_UNSUPPORTED },
        { ERROR_INVALID_FUNCTION, MMAP_UNSUPPORTED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == code)
            return rows[i].err;
    }

    /* A failure without a code is a failure all the same. */
    return code == NO_ERROR || code > INT_MAX ? ERROR_GEN_FAILURE : (int)code;
}

static int last_error(void)
{
    return error_of(GetLastError());
}

/* A size or an address that cannot be is not called one of its own. */
static int memory_error(void)
{
    DWORD code = GetLastError();

    return code == ERROR_INVALID_PARAMETER ? MMAP_OUT_OF_MEM : error_of(code);
}

/* Names of fixed size are all that is converted. */
static int conversion_error(void)
{
    DWORD code = GetLastError();

    return code == ERROR_INSUFFICIENT_BUFFER ? MMAP_NAME_TOO_LONG : error_of(code);
}

static int file_size_error(void)
{
    DWORD code = GetLastError();

    return code == ERROR_INVALID_PARAMETER ? MMAP_FILE_TOO_BIG : error_of(code);
}

/* The system ends its messages with a line break, and has none for some codes. */
void mmap_os_message(int code, char *buffer, size_t size)
{
    wchar_t wide[512];
    char text[3 * sizeof wide / sizeof *wide];
    DWORD count = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                                 (DWORD)code, 0, wide, sizeof wide / sizeof *wide, NULL);

    while (count > 0 && wcschr(L"\r\n ", wide[count - 1]) != NULL)
        count--;
    int length = count == 0 ? 0
                            : WideCharToMultiByte(CP_UTF8, 0, wide, (int)count, text,
                                                  (int)sizeof text, NULL, NULL);
    if (length > 0)
        snprintf(buffer, size, "%.*s", length, text);
    else
        snprintf(buffer, size, "Windows error %d", code);
}

/* ---- what this system can -------------------------------------------------------------------- */

typedef void *(WINAPI *alloc_call)(HANDLE process, void *base, SIZE_T size, ULONG type,
                                   ULONG protection, void *parameters, ULONG count);
typedef void *(WINAPI *map_call)(HANDLE section, HANDLE process, void *base, ULONG64 offset,
                                 SIZE_T size, ULONG type, ULONG protection, void *parameters,
                                 ULONG count);

/* Found once, and then the same for all reservations: a placeholder is no plain reservation. */
static struct {
    INIT_ONCE once;
    alloc_call alloc; /* VirtualAlloc2(), or NULL: there are no placeholders */
    map_call map;     /* MapViewOfFile3() */
    uint64_t granularity;
} placeholders = { .once = INIT_ONCE_STATIC_INIT };

static SYSTEM_INFO system_info(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info;
}

/* The page is what memory consists of; views and reservations begin at multiples of this. */
uint64_t mmap_os_page_size(void)
{
    return system_info().dwAllocationGranularity;
}

static uint64_t round_up(uint64_t value, uint64_t granularity)
{
    return (value + granularity - 1) & ~(granularity - 1);
}

static void *reserve_with(alloc_call alloc, void *addr, SIZE_T length)
{
    if (alloc == NULL)
        return VirtualAlloc(addr, length, MEM_RESERVE, PAGE_NOACCESS);
    return alloc(GetCurrentProcess(), addr, length, MEM_RESERVE | OS_MEM_RESERVE_PLACEHOLDER,
                 PAGE_NOACCESS, NULL, 0);
}

static bool split_placeholder(void *addr, SIZE_T length)
{
    return VirtualFree(addr, length, MEM_RELEASE | OS_MEM_PRESERVE_PLACEHOLDER);
}

static int release(unsigned char *pos, unsigned char *end);

/* Not an answer: there may be memory later. */
static bool is_shortage(DWORD code)
{
    return code != ERROR_INVALID_ADDRESS && error_of(code) == MMAP_OUT_OF_MEM;
}

/*
 * Whether a placeholder can be replaced at any page, as the system's documentation says, or only
 * where other views may begin. 0: there is no memory to find out.
 */
static uint64_t probe_granularity(alloc_call alloc)
{
    SYSTEM_INFO info = system_info();
    SIZE_T page = info.dwPageSize, unit = info.dwAllocationGranularity;
    unsigned char *range = reserve_with(alloc, NULL, unit);

    if (range == NULL)
        return is_shortage(GetLastError()) ? 0 : unit;
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, (DWORD)unit, NULL);
    bool works = section != NULL && split_placeholder(range, page) &&
                 placeholders.map(section, GetCurrentProcess(), range + page, page, unit - page,
                                  OS_MEM_REPLACE_PLACEHOLDER, PAGE_READWRITE, NULL, 0) != NULL;
    bool is_known = works || !is_shortage(GetLastError());
    if (section != NULL)
        CloseHandle(section);
    release(range, range + unit);
    if (!is_known)
        return 0;
    return works ? page : unit;
}

/* kernel32.dll does not have them. Some that have them do not know placeholders. */
static BOOL CALLBACK find_placeholders(INIT_ONCE *once, void *parameter, void **context)
{
    HMODULE library = GetModuleHandleW(L"kernelbase.dll");
    SIZE_T unit = system_info().dwAllocationGranularity;

    (void)once, (void)parameter, (void)context;
    if (library == NULL)
        return TRUE;
    alloc_call alloc = (alloc_call)(void (*)(void))GetProcAddress(library, "VirtualAlloc2");
    map_call map = (map_call)(void (*)(void))GetProcAddress(library, "MapViewOfFile3");
    if (alloc == NULL || map == NULL)
        return TRUE;
    void *range = reserve_with(alloc, NULL, unit);
    if (range == NULL)
        return !is_shortage(GetLastError());
    VirtualFree(range, 0, MEM_RELEASE);
    placeholders.map = map;
    uint64_t granularity = probe_granularity(alloc);
    if (granularity == 0)
        return FALSE;
    placeholders.alloc = alloc;
    placeholders.granularity = granularity;
    return TRUE;
}

/* Ready to be looked at, once this is true; false: there is no memory to find out. */
static bool know_placeholders(void)
{
    return InitOnceExecuteOnce(&placeholders.once, find_placeholders, NULL, NULL);
}

/* Of a range that was reserved, so that it is known. */
static bool has_placeholders(void)
{
    return placeholders.alloc != NULL;
}

uint64_t mmap_os_alias_granularity(void)
{
    return know_placeholders() && has_placeholders() ? placeholders.granularity
                                                     : system_info().dwAllocationGranularity;
}

/* ---- security -------------------------------------------------------------------------------- */

/* To execute is not in all access. */
static int make_security(struct mring_security *security)
{
    DWORD code = mring_make_security(security, SECTION_ALL_ACCESS | FILE_MAP_EXECUTE);

    return code == 0 ? 0 : error_of(code);
}

/* A name could have been put there by anybody: take it only if it is ours. */
static int check_owner(HANDLE section, unsigned flags)
{
    union {
        SECURITY_DESCRIPTOR descriptor;
        unsigned char bytes[sizeof(SECURITY_DESCRIPTOR) + SECURITY_MAX_SID_SIZE];
    } found;
    union mring_user user;
    PSID owner;
    BOOL is_default;
    DWORD size;

    if (flags & MMAP_ANY_OWNER)
        return 0;
    DWORD code = mring_find_user(&user);
    if (code != 0)
        return error_of(code);
    if (!GetKernelObjectSecurity(section, OWNER_SECURITY_INFORMATION, &found, sizeof found,
                                 &size) ||
        !GetSecurityDescriptorOwner(&found.descriptor, &owner, &is_default))
        return last_error();
    return owner != NULL && EqualSid(owner, user.token.User.Sid) ? 0 : MMAP_ACCESS_DENIED;
}

/* ---- names ----------------------------------------------------------------------------------- */

static HANDLE handle_of(const struct os_object *object)
{
    return (HANDLE)object->handle;
}

static int directory_name(wchar_t name[NAME_CHARS], const char *tagname)
{
    size_t length = wcslen(wcscpy(name, DIRECTORY_PREFIX));

    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, tagname, -1, name + length,
                               (int)(NAME_CHARS - length)) > 0
               ? 0
               : conversion_error();
}

static void object_name(wchar_t name[NAME_CHARS], uint64_t id)
{
    size_t length = wcslen(wcscpy(name, OBJECT_PREFIX));

    for (int i = ID_DIGITS - 1; i >= 0; i--)
        name[length++] = L"0123456789abcdef"[id >> 4 * i & 15];
    name[length] = L'\0';
}

/* An event or the like that has the name is not ours. */
static int name_error_of(DWORD code)
{
    return code == ERROR_INVALID_HANDLE ? MMAP_ACCESS_DENIED : error_of(code);
}

/* Open a section and look whose it is. */
static int open_section(HANDLE *section, const wchar_t *name, DWORD access, unsigned flags)
{
    HANDLE found = OpenFileMappingW(access | READ_CONTROL, FALSE, name);

    if (found == NULL)
        return name_error_of(GetLastError());
    int err = check_owner(found, flags);
    if (err != 0)
        CloseHandle(found);
    else
        *section = found;
    return err;
}

/* The word of a directory; UnmapViewOfFile() ends it. */
static volatile LONG64 *map_word(HANDLE directory)
{
    return MapViewOfFile(directory, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, sizeof(LONG64));
}

static int read_id(HANDLE directory, uint64_t *id)
{
    volatile LONG64 *word = map_word(directory);

    if (word == NULL)
        return last_error();

    /* A plain load of 64 bits may be two on 32-bit processors. */
    *id = (uint64_t)InterlockedCompareExchange64(word, 0, 0);
    UnmapViewOfFile((void *)word);
    return *id == 0 ? MMAP_NOT_FOUND : 0;
}

/* Each object begins with the size of its data. */
static int read_size(HANDLE section, uint64_t *size)
{
    const uint64_t *found = MapViewOfFile(section, FILE_MAP_READ, 0, 0, sizeof *size);

    if (found == NULL)
        return last_error();
    *size = *found;
    UnmapViewOfFile(found);
    return 0;
}

static int write_size(HANDLE section, uint64_t size)
{
    uint64_t *place = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, sizeof size);

    if (place == NULL)
        return last_error();
    *place = size;
    UnmapViewOfFile(place);
    return 0;
}

/*
 * What a view of a section needs; copy-on-write only reads it. There are two rights to execute, and
 * a view may take either.
 */
static DWORD section_access(unsigned access)
{
    return FILE_MAP_READ | (access & MMAP_WRITE ? FILE_MAP_WRITE : 0) |
           (access & MMAP_EXEC ? SECTION_MAP_EXECUTE | FILE_MAP_EXECUTE : 0);
}

/* Open the object that a directory leads to. */
static int open_object(struct os_object *object, HANDLE directory, unsigned access, unsigned flags)
{
    wchar_t name[NAME_CHARS];
    HANDLE section = NULL;
    uint64_t id = 0, size = 0;
    int err = read_id(directory, &id);

    if (err != 0)
        return err;
    object_name(name, id);
    err = open_section(&section, name, section_access(access), flags);
    if (err != 0)
        return err;
    err = read_size(section, &size);
    if (err != 0) {
        CloseHandle(section);
        return err;
    }
    *object = (struct os_object){
        .handle = (intptr_t)section,
        .owned = true,
        .is_section = true,
        .access = access,
        .directory = (intptr_t)directory,
        .id = id,
        .size = size,
    };
    return 0;
}

static int open_name(struct os_object *object, const char *tagname, unsigned access, unsigned flags)
{
    wchar_t name[NAME_CHARS];
    HANDLE directory = NULL;
    int err = directory_name(name, tagname);

    if (err != 0)
        return err;
    err = open_section(&directory, name, FILE_MAP_READ | FILE_MAP_WRITE, flags);
    if (err != 0)
        return err;
    err = open_object(object, directory, access, flags);
    if (err != 0)
        CloseHandle(directory);
    return err;
}

/* Open or create the directory; the object is made when its size is known. */
static int create_name(struct os_object *object, const char *tagname, unsigned access,
                       unsigned flags)
{
    wchar_t name[NAME_CHARS];
    struct mring_security security;
    int err = directory_name(name, tagname);

    if (err == 0)
        err = make_security(&security);
    if (err != 0)
        return err;
    HANDLE directory = CreateFileMappingW(INVALID_HANDLE_VALUE, &security.attributes,
                                          PAGE_READWRITE, 0, sizeof(LONG64), name);
    if (directory == NULL)
        return name_error_of(GetLastError());
    err = check_owner(directory, flags);
    if (err != 0) {
        CloseHandle(directory);
        return err;
    }
    *object = (struct os_object){
        .owned = true,
        .created = true,
        .is_section = true,
        .access = access,
        .directory = (intptr_t)directory,
    };
    return 0;
}

/* RtlGenRandom(), which the headers do not always declare. */
BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG size);

static int make_id(uint64_t *id)
{
    do {
        if (!SystemFunction036(id, sizeof *id))
            return ERROR_GEN_FAILURE;
    } while (*id == 0);
    return 0;
}

static HANDLE create_section(SECURITY_ATTRIBUTES *attributes, DWORD protection, uint64_t size,
                             const wchar_t *name)
{
    return CreateFileMappingW(INVALID_HANDLE_VALUE, attributes, protection, (DWORD)(size >> 32),
                              (DWORD)size, name);
}

/*
 * Make the object of a name. Who attaches may want to execute it, which its creator has to allow; a
 * process that may not make such memory makes other.
 */
static int make_named_section(struct os_object *object, uint64_t size)
{
    wchar_t name[NAME_CHARS];
    struct mring_security security;
    int err = make_security(&security);

    if (err == 0)
        err = make_id(&object->id);
    if (err != 0)
        return err;
    object_name(name, object->id);
    HANDLE section =
        create_section(&security.attributes, PAGE_EXECUTE_READWRITE, NAME_LEAD + size, name);
    if (section == NULL && !(object->access & MMAP_EXEC))
        section = create_section(&security.attributes, PAGE_READWRITE, NAME_LEAD + size, name);
    if (section == NULL)
        return memory_error();

    /* A number that came twice, or somebody who plays with our names. */
    err = GetLastError() == ERROR_ALREADY_EXISTS ? MMAP_ACCESS_DENIED : write_size(section, size);
    if (err != 0) {
        CloseHandle(section);
        return err;
    }
    object->handle = (intptr_t)section;
    object->size = size;
    return 0;
}

/* Huge pages take a privilege, and memory in one piece. */
static int make_anonymous_section(struct os_object *object, uint64_t size)
{
    DWORD kind = object->huge ? SEC_COMMIT | SEC_LARGE_PAGES : SEC_COMMIT;
    DWORD protection = object->access & MMAP_EXEC ? PAGE_EXECUTE_READWRITE : PAGE_READWRITE;
    HANDLE section = create_section(NULL, protection | kind, size, NULL);

    if (section == NULL)
        return GetLastError() == ERROR_PRIVILEGE_NOT_HELD ? MMAP_OUT_OF_MEM : memory_error();
    object->handle = (intptr_t)section;
    object->size = size;
    return 0;
}

static bool object_exists(uint64_t id)
{
    wchar_t name[NAME_CHARS];

    object_name(name, id);
    HANDLE section = OpenFileMappingW(FILE_MAP_READ, FALSE, name);
    if (section == NULL)
        return GetLastError() != ERROR_FILE_NOT_FOUND;
    CloseHandle(section);
    return true;
}

int mmap_os_publish(struct os_object *object, const struct mmap_file *file)
{
    volatile LONG64 *word = map_word((HANDLE)object->directory);
    LONG64 seen = 0, found;

    (void)file;
    if (word == NULL)
        return last_error();

    /* That it changes means that somebody else has published. */
    while ((found = InterlockedCompareExchange64(word, (LONG64)object->id, seen)) != seen) {
        if (object_exists((uint64_t)found)) {
            UnmapViewOfFile((void *)word);
            return MMAP_EXISTS;
        }
        seen = found;
    }
    UnmapViewOfFile((void *)word);
    return 0;
}

/* They go by themselves. */
int mmap_os_unlink(const char *tagname)
{
    (void)tagname;
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int wide_path(wchar_t wide[PATH_CHARS], const char *path)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_CHARS) > 0
               ? 0
               : conversion_error();
}

static DWORD file_access(unsigned access)
{
    if (access & OS_SIZE_ONLY)
        return access & MMAP_WRITE ? GENERIC_WRITE : FILE_READ_ATTRIBUTES;
    return GENERIC_READ | (access & MMAP_WRITE ? GENERIC_WRITE : 0) |
           (access & MMAP_EXEC ? GENERIC_EXECUTE : 0);
}

/*
 * If it is a pipe, its other end learns nothing about us. The handle is not inherited by children,
 * and others may do with the file what they could without it.
 */
static HANDLE open_path(const wchar_t *path, DWORD access, DWORD disposition, DWORD flags)
{
    return CreateFileW(path, access, SHARE_ALL, NULL, disposition,
                       FILE_ATTRIBUTE_NORMAL | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS | flags,
                       NULL);
}

static int file_info(HANDLE file, FILE_STANDARD_INFO *info)
{
    return GetFileInformationByHandleEx(file, FileStandardInfo, info, sizeof *info) ? 0
                                                                                    : last_error();
}

/* Only plain files are mapped. */
static int check_kind(HANDLE file)
{
    FILE_STANDARD_INFO info;

    SetLastError(NO_ERROR);
    DWORD type = GetFileType(file);
    if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR)
        return last_error();
    if (type != FILE_TYPE_DISK)
        return MMAP_UNSUPPORTED;
    int err = file_info(file, &info);
    return err == 0 && info.Directory ? MMAP_UNSUPPORTED : err;
}

/* A folder is denied to those who do not say that they mean folders. */
static bool is_folder(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);

    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

/* Told that it takes paths as they are: only the backslash parts them, and there is no limit. */
static bool is_verbatim(const wchar_t *path)
{
    return wcsncmp(path, L"\\\\?\\", 4) == 0;
}

/* A part of it is too long for any file system, or all of it for who has not said otherwise. */
static bool is_too_long(DWORD code, const wchar_t *path)
{
    size_t length = 0;

    if (code == ERROR_PATH_NOT_FOUND && !is_verbatim(path) &&
        GetFullPathNameW(path, 0, NULL, NULL) > MAX_PATH)
        return true;
    for (; *path != L'\0'; path++) {
        length = wcschr(L"/\\", *path) != NULL ? 0 : length + 1;
        if (length > MOST_IN_PART)
            return true;
    }
    return false;
}

static int path_error_of(DWORD code, const wchar_t *path)
{
    bool is_missing =
        code == ERROR_PATH_NOT_FOUND || code == ERROR_FILE_NOT_FOUND || code == ERROR_INVALID_NAME;

    return is_missing && is_too_long(code, path) ? MMAP_NAME_TOO_LONG : error_of(code);
}

static int open_error_of(DWORD code, const wchar_t *path)
{
    return code == ERROR_ACCESS_DENIED && is_folder(path) ? MMAP_UNSUPPORTED
                                                          : path_error_of(code, path);
}

static int open_file(struct os_object *object, const char *path, unsigned access)
{
    wchar_t wide[PATH_CHARS];
    int err = wide_path(wide, path);

    if (err != 0)
        return err;
    HANDLE file = open_path(wide, file_access(access), OPEN_EXISTING, 0);
    if (file == INVALID_HANDLE_VALUE)
        return open_error_of(GetLastError(), wide);
    *object = (struct os_object){ .handle = (intptr_t)file, .owned = true, .access = access };
    return 0;
}

/* The caller's own handle: is it open, and for this access? */
static int borrow_handle(struct os_object *object, HANDLE file, unsigned access)
{
    ACCESS_MASK wanted = access & OS_SIZE_ONLY ? 0 : FILE_READ_DATA;

    if (file == INVALID_HANDLE_VALUE)
        return MMAP_INVALID_ARG;
    int err = check_kind(file);
    if (err != 0)
        return err;
    wanted |= access & MMAP_WRITE ? FILE_WRITE_DATA : 0;
    wanted |= access & MMAP_EXEC ? FILE_EXECUTE : 0;
    if ((mring_granted_access(file) & wanted) != wanted)
        return MMAP_ACCESS_DENIED;
    *object = (struct os_object){ .handle = (intptr_t)file, .access = access };
    return 0;
}

static int borrow_fd(struct os_object *object, int fd, unsigned access)
{
    return borrow_handle(object, mring_handle_of_descriptor(fd), access);
}

#if defined(_UCRT) || defined(_MSC_VER)
/* This C library leaves a stream alone that was read last. */
static bool may_flush(FILE *stream)
{
    (void)stream;
    return true;
}
#else
/* This one would forget what it has read ahead. */
static bool may_flush(FILE *stream)
{
    return (stream->_flag & (_IOREAD | _IOWRT)) == _IOWRT;
}
#endif

static int borrow_stream(struct os_object *object, FILE *stream, unsigned access)
{
    int fd = mring_descriptor_of_stream(stream);

    if (fd < 0)
        return MMAP_INVALID_ARG;
    int err = borrow_fd(object, fd, access);
    _doserrno = 0;
    if (err == 0 && may_flush(stream) && fflush(stream) != 0)
        err = error_of(_doserrno != 0 ? _doserrno : ERROR_WRITE_FAULT);
    return err;
}

int mmap_os_open(struct os_object *object, const struct mmap_file *file, unsigned access,
                 unsigned flags, unsigned mode)
{
    (void)mode;
    if (file->tagname != NULL)
        return open_name(object, file->tagname, access, flags);
    if (file->handle != NULL)
        return borrow_handle(object, file->handle, access);
    if (file->fd != NULL)
        return borrow_fd(object, *file->fd, access);
    if (file->stream != NULL)
        return borrow_stream(object, file->stream, access);

    int err = open_file(object, file->path, access);
    if (err != 0)
        return err;
    err = check_kind(handle_of(object));
    if (err != 0)
        mmap_os_close(object);
    return err;
}

bool mmap_os_has_folder(const char *path)
{
    wchar_t wide[PATH_CHARS];

    if (wide_path(wide, path) != 0)
        return false;
    size_t length = wcslen(wide);
    while (length > 0 && wcschr(L"/\\:", wide[length - 1]) == NULL)
        length--;
    if (length + 2 > PATH_CHARS)
        return false;
    wcscpy(wide + length, is_verbatim(wide) ? L"" : L".");
    return is_folder(wide);
}

/* A link that leads nowhere is in the way; to create what it leads to is not what was asked for. */
static int create_file(struct os_object *object, const char *path, unsigned access)
{
    wchar_t wide[PATH_CHARS];
    int err = wide_path(wide, path);

    if (err != 0)
        return err;
    HANDLE file = open_path(wide, file_access(access & ~OS_SIZE_ONLY), CREATE_NEW,
                            FILE_FLAG_OPEN_REPARSE_POINT);
    if (file == INVALID_HANDLE_VALUE)
        return path_error_of(GetLastError(), wide);
    *object = (struct os_object){
        .handle = (intptr_t)file,
        .owned = true,
        .created = true,
        .access = access,
    };
    return 0;
}

int mmap_os_create(struct os_object *object, const struct mmap_file *file, unsigned access,
                   unsigned flags, unsigned mode)
{
    bool huge = flags & MMAP_HUGE_REQUIRE;

    (void)mode;
    if (file->path != NULL)
        return create_file(object, file->path, access);
    if (file->tagname != NULL)
        return create_name(object, file->tagname, access, flags);
    if (huge && GetLargePageMinimum() != OS_HUGE_PAGE)
        return MMAP_UNSUPPORTED;
    *object = (struct os_object){
        .owned = true,
        .created = true,
        .huge = huge,
        .is_section = true,
        .access = access,
    };
    return 0;
}

static void close_if_open(HANDLE handle)
{
    if (handle != NULL)
        CloseHandle(handle);
}

void mmap_os_close(struct os_object *object)
{
    if (object->owned) {
        close_if_open(handle_of(object));
        close_if_open((HANDLE)object->directory);
    }
    object->owned = false;
}

/*
 * A name ends with its last handles. A file is written to the disk through a handle that may write;
 * the caller's own may be closed by then.
 */
int mmap_os_keep(struct os_object *object, unsigned access, unsigned flags, void *kept[2])
{
    HANDLE self = GetCurrentProcess();

    (void)flags; /* the drive is always told to write */
    if (!object->is_section && !(access & MMAP_WRITE))
        return 0;
    if (!object->owned)
        return DuplicateHandle(self, handle_of(object), self, &kept[0], 0, FALSE,
                               DUPLICATE_SAME_ACCESS)
                   ? 0
                   : last_error();
    kept[0] = handle_of(object);
    kept[1] = (HANDLE)object->directory;
    object->owned = false;
    return 0;
}

void mmap_os_drop(void *kept[2])
{
    close_if_open(kept[0]);
    close_if_open(kept[1]);
}

/* By its handle, so that nothing else can be hit, whatever the path leads to by now. */
void mmap_os_discard(const struct os_object *object, const char *path)
{
    FILE_DISPOSITION_INFO info = { .DeleteFile = TRUE };
    HANDLE file = ReOpenFile(handle_of(object), DELETE, SHARE_ALL, 0);

    (void)path;
    if (file == INVALID_HANDLE_VALUE)
        return;
    SetFileInformationByHandle(file, FileDispositionInfo, &info, sizeof info);
    CloseHandle(file);
}

int mmap_os_size(const struct os_object *object, uint64_t *size)
{
    FILE_STANDARD_INFO info;

    if (object->is_section) {
        *size = object->size;
        return 0;
    }
    int err = file_info(handle_of(object), &info);
    if (err == 0)
        *size = (uint64_t)info.EndOfFile.QuadPart;
    return err;
}

static int set_end(HANDLE file, uint64_t size)
{
    FILE_END_OF_FILE_INFO info = { .EndOfFile = { .QuadPart = (LONGLONG)size } };

    return SetFileInformationByHandle(file, FileEndOfFileInfo, &info, sizeof info)
               ? 0
               : file_size_error();
}

/*
 * Making a section of it lets a file grow and never cuts what somebody else has added meanwhile, as
 * setting its end might. It takes the right to read. What has failed may have grown it all the
 * same.
 */
static int grow(HANDLE file, uint64_t old_size, uint64_t new_size)
{
    FILE_STANDARD_INFO info;
    HANDLE section = CreateFileMappingW(file, NULL, PAGE_READWRITE, (DWORD)(new_size >> 32),
                                        (DWORD)new_size, NULL);

    if (section != NULL) {
        CloseHandle(section);
        return 0;
    }
    int err = file_size_error();
    if (file_info(file, &info) == 0 && (uint64_t)info.EndOfFile.QuadPart == new_size)
        set_end(file, old_size);
    return err;
}

int mmap_os_resize(struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    if (!object->is_section)
        return new_size > old_size && !(object->access & OS_SIZE_ONLY)
                   ? grow(handle_of(object), old_size, new_size)
                   : set_end(handle_of(object), new_size);

    /* It ends with its handle, so there is nothing to take back. */
    if (new_size < old_size)
        return 0;
    return object->directory != 0 ? make_named_section(object, new_size)
                                  : make_anonymous_section(object, new_size);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What a piece of an object is mapped from. */
struct view {
    HANDLE section;
    uint64_t offset; /* in the section */
    SIZE_T size;     /* up to where the object ends */
    SIZE_T room;     /* addresses that it takes */
    unsigned access;
    bool huge;
};

static DWORD protection_of(unsigned access)
{
    if (access & MMAP_WRITE)
        return access & MMAP_EXEC ? PAGE_EXECUTE_READWRITE : PAGE_READWRITE;
    if (access & MMAP_COPY)
        return access & MMAP_EXEC ? PAGE_EXECUTE_WRITECOPY : PAGE_WRITECOPY;
    return access & MMAP_EXEC ? PAGE_EXECUTE_READ : PAGE_READONLY;
}

/* Memory without an object is nobody else's, so there is nothing to copy. */
static DWORD private_protection_of(unsigned access)
{
    return protection_of(access & MMAP_COPY ? (access & ~(unsigned)MMAP_COPY) | MMAP_WRITE
                                            : access);
}

/*
 * Only in its last unit an object may end before the piece does. Somebody may have shortened a file
 * since its size was settled; with less of it mapped, more would be released than is ours.
 */
static int begin_view(struct view *view, const struct os_object *object, uint64_t offset,
                      uint64_t length, unsigned access)
{
    uint64_t end;
    int err = mmap_os_size(object, &end);

    if (err != 0)
        return err;
    if (end <= offset || (end - offset < length && length - (end - offset) >= mmap_os_page_size()))
        return MMAP_FILE_TOO_SHORT;
    *view = (struct view){
        .offset = offset + (object->directory != 0 ? NAME_LEAD : 0),
        .size = (SIZE_T)(end - offset < length ? end - offset : length),
        .room = (SIZE_T)length,
        .access = access,
        .huge = object->huge,
    };
    if (object->is_section) {
        view->section = handle_of(object);
        return 0;
    }
    end = offset + view->size;
    view->section = CreateFileMappingW(handle_of(object), NULL, protection_of(access),
                                       (DWORD)(end >> 32), (DWORD)end, NULL);
    return view->section == NULL ? last_error() : 0;
}

static void end_view(struct view *view, const struct os_object *object)
{
    if (!object->is_section)
        CloseHandle(view->section);
}

/* At an address where nothing is, or anywhere. */
static void *map_view(const struct view *view, void *at)
{
    DWORD access = view->access & MMAP_WRITE ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ;

    if (view->access & MMAP_COPY)
        access = FILE_MAP_COPY;
    if (view->access & MMAP_EXEC)
        access |= FILE_MAP_EXECUTE;
    if (view->huge)
        access |= OS_FILE_MAP_LARGE_PAGES;
    return MapViewOfFileEx(view->section, access, (DWORD)(view->offset >> 32), (DWORD)view->offset,
                           view->size, at);
}

/*
 * The end of what was allocated in one step: a reservation, a view, a placeholder. All of it goes
 * at once, and from then on its addresses may be another thread's.
 */
static unsigned char *allocation_end(unsigned char *pos)
{
    MEMORY_BASIC_INFORMATION first, next;

    if (VirtualQuery(pos, &first, sizeof first) == 0)
        return pos;
    do {
        pos = (unsigned char *)first.BaseAddress + first.RegionSize;
        if (VirtualQuery(pos, &next, sizeof next) == 0)
            return pos;
        first.BaseAddress = next.BaseAddress;
        first.RegionSize = next.RegionSize;
    } while (next.State != MEM_FREE && next.AllocationBase == first.AllocationBase);
    return pos;
}

/* Split a placeholder, unless it is as long as that. */
static bool cut_placeholder(unsigned char *at, SIZE_T length)
{
    return (SIZE_T)(allocation_end(at) - at) <= length || split_placeholder(at, length);
}

/* Huge pages that cannot be placed there are none. */
static int view_error(const struct view *view, DWORD code)
{
    return view->huge && code == ERROR_INVALID_PARAMETER ? MMAP_OUT_OF_MEM : error_of(code);
}

/*
 * A view replaces exactly one placeholder. Only at the end of an object it is no whole number of
 * pages. How that is asked for is not documented: the system finds the size if there is none, or
 * takes that of the object, or that of the placeholder.
 */
static int replace_placeholder(unsigned char *at, const struct view *view)
{
    SIZE_T size = (SIZE_T)round_up(view->size, system_info().dwPageSize);
    ULONG type = OS_MEM_REPLACE_PLACEHOLDER | (view->huge ? OS_MEM_LARGE_PAGES : 0);
    const SIZE_T sizes[] = { size == view->size ? size : 0, view->size, size };
    unsigned count = size == view->size ? 1 : 3;
    DWORD code = NO_ERROR;

    if (!cut_placeholder(at, size))
        return last_error();
    for (unsigned i = 0; i < count; i++) {
        if (placeholders.map(view->section, GetCurrentProcess(), at, view->offset, sizes[i], type,
                             protection_of(view->access), NULL, 0) != NULL)
            return 0;
        code = GetLastError();
    }
    return view_error(view, code);
}

/* Somebody else may get the addresses at any moment between these calls. */
static int replace_reservation(unsigned char *at, const struct view *view)
{
    SIZE_T held = (SIZE_T)(allocation_end(at) - at);

    if (!VirtualFree(at, 0, MEM_RELEASE))
        return last_error();
    if (map_view(view, at) == NULL) {
        DWORD code = GetLastError();

        if (code != ERROR_INVALID_ADDRESS && reserve_with(NULL, at, held) != NULL)
            return view_error(view, code);
        return OS_RANGE_LOST;
    }
    if (held > view->room && reserve_with(NULL, at + view->room, held - view->room) == NULL) {
        UnmapViewOfFile(at);
        return OS_RANGE_LOST;
    }
    return 0;
}

static int map_anywhere(void **base, const struct view *view)
{
    void *start = map_view(view, NULL);

    if (start == NULL)
        return memory_error();
    *base = start;
    return 0;
}

/* Anonymous memory. */
static int commit(void **base, void *at, SIZE_T length, unsigned access)
{
    DWORD protection = private_protection_of(access);
    void *start;

    if (at == NULL)
        start = VirtualAlloc(NULL, length, MEM_RESERVE | MEM_COMMIT, protection);
    else if (!has_placeholders())
        start = VirtualAlloc(at, length, MEM_COMMIT, protection);
    else if (!cut_placeholder(at, length))
        start = NULL;
    else
        start = placeholders.alloc(GetCurrentProcess(), at, length,
                                   MEM_RESERVE | MEM_COMMIT | OS_MEM_REPLACE_PLACEHOLDER,
                                   protection, NULL, 0);
    if (start == NULL)
        return memory_error();
    if (base != NULL)
        *base = start;
    return 0;
}

int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    struct view view;

    if (object == NULL)
        return commit(base, at, (SIZE_T)length, access);
    int err = begin_view(&view, object, offset, length, access);
    if (err != 0)
        return err;
    if (at == NULL)
        err = map_anywhere(base, &view);
    else if (has_placeholders())
        err = replace_placeholder(at, &view);
    else
        err = replace_reservation(at, &view);
    end_view(&view, object);
    return err;
}

/* Look for a place that has one, and take that. */
static int reserve_aligned(void **base, SIZE_T length, uint64_t alignment)
{
    DWORD code = ERROR_INVALID_ADDRESS;

    if (length > SIZE_MAX - alignment)
        return MMAP_OUT_OF_MEM;
    for (int i = 0; i < ALIGN_ATTEMPTS && code == ERROR_INVALID_ADDRESS; i++) {
        void *start = reserve_with(placeholders.alloc, NULL, length + (SIZE_T)alignment);
        if (start == NULL)
            return memory_error();
        VirtualFree(start, 0, MEM_RELEASE);
        start = (void *)(uintptr_t)round_up((uintptr_t)start, alignment);
        *base = reserve_with(placeholders.alloc, start, length);
        if (*base != NULL)
            return 0;
        code = GetLastError();
    }
    return error_of(code);
}

int mmap_os_reserve(void **base, void *addr, uint64_t length, uint64_t alignment)
{
    uint64_t unit = mmap_os_page_size();

    if (!know_placeholders())
        return MMAP_OUT_OF_MEM;
    if ((uintptr_t)addr % unit != 0)
        return MMAP_INVALID_ARG;
    if (addr == NULL && alignment > unit)
        return reserve_aligned(base, (SIZE_T)length, alignment);
    void *start = reserve_with(placeholders.alloc, addr, (SIZE_T)length);
    if (start == NULL)
        return addr == NULL ? memory_error() : MMAP_OUT_OF_MEM;
    *base = start;
    return 0;
}

/* The reservation was given up from the piece to its end. */
void mmap_os_abandon(void *base, uint64_t length)
{
    (void)base, (void)length;
}

/* Nothing has been mapped there, nor split off. */
static bool is_one_reservation(void *base, uint64_t length)
{
    MEMORY_BASIC_INFORMATION info;

    return VirtualQuery(base, &info, sizeof info) != 0 && info.State == MEM_RESERVE &&
           info.AllocationBase == base && info.RegionSize == length;
}

int mmap_os_clear(void *base, uint64_t length)
{
    if (is_one_reservation(base, length))
        return 0;
    int err = mmap_os_release(base, length);
    if (err != 0)
        return err;
    return reserve_with(placeholders.alloc, base, (SIZE_T)length) != NULL ? 0 : OS_RANGE_LOST;
}

/* It takes an object to have two views of it. */
bool mmap_os_can_alias(void)
{
    return false;
}

int mmap_os_alias(void *from, void *to, uint64_t length)
{
    (void)from, (void)to, (void)length;
    return MMAP_UNSUPPORTED;
}

/*
 * Pieces go one by one. What can't be released now can't be later either, once a piece before it
 * is another thread's; then it is lost.
 */
static int release(unsigned char *pos, unsigned char *end)
{
    MEMORY_BASIC_INFORMATION info;
    bool begun = false;

    while (pos < end) {
        if (VirtualQuery(pos, &info, sizeof info) == 0)
            return begun ? 0 : last_error();
        unsigned char *next = (unsigned char *)info.BaseAddress + info.RegionSize;
        if (info.State != MEM_FREE) {
            next = allocation_end(pos);
            BOOL gone = info.Type == MEM_MAPPED ? UnmapViewOfFile(info.AllocationBase)
                                                : VirtualFree(info.AllocationBase, 0, MEM_RELEASE);
            if (!gone && !begun)
                return last_error();
            begun = true;
        }
        pos = next;
    }
    return 0;
}

int mmap_os_release(void *base, uint64_t length)
{
    return release(base, (unsigned char *)base + length);
}

/* Apply something to the parts of a range that are memory: behind the end of an object none is. */
static int for_each_part(void *addr, uint64_t length, unsigned access,
                         int (*apply)(unsigned char *addr, SIZE_T length, unsigned access))
{
    unsigned char *pos = addr, *end = pos + length;
    int err = 0;

    while (err == 0 && pos < end) {
        MEMORY_BASIC_INFORMATION info;

        if (VirtualQuery(pos, &info, sizeof info) == 0)
            return last_error();
        unsigned char *next = (unsigned char *)info.BaseAddress + info.RegionSize;
        if (next > end)
            next = end;
        if (info.State == MEM_COMMIT)
            err = apply(pos, (SIZE_T)(next - pos), access);
        pos = next;
    }
    return err;
}

/* Adding nothing takes the page for writing, and is unseen by others who write there. */
static int touch(unsigned char *addr, SIZE_T length, unsigned access)
{
    SIZE_T page = system_info().dwPageSize;

    for (SIZE_T i = 0; i < length; i += page) {
        if (access & (MMAP_WRITE | MMAP_COPY))
            InterlockedExchangeAdd((volatile LONG *)(void *)(addr + i), 0);
        else
            (void)*(volatile unsigned char *)(addr + i);
    }
    return 0;
}

static int lock(unsigned char *addr, SIZE_T length, unsigned access)
{
    (void)access;
    return VirtualLock(addr, length) ? 0 : last_error();
}

/* The system may be writing the same pages by itself at this moment. */
static int flush(unsigned char *addr, SIZE_T length, unsigned access)
{
    (void)access;
    for (int i = 1; !FlushViewOfFile(addr, length); i++) {
        if (GetLastError() != ERROR_LOCK_VIOLATION || i == FLUSH_ATTEMPTS)
            return last_error();
        Sleep(1);
    }
    return 0;
}

/* Nobody forks, a dump is made by others, and huge pages are for those who ask for them first. */
int mmap_os_advise(void *addr, uint64_t length, enum os_advice advice, unsigned access)
{
    if (advice == OS_PREFAULT)
        return for_each_part(addr, length, access, touch);
    if (advice == OS_LOCK)
        return for_each_part(addr, length, access, lock);
    return advice == OS_HUGE_COLLAPSE ? MMAP_UNSUPPORTED : 0;
}

/* Flushing a view begins to write; flushing the file waits until the disk has it. */
int mmap_os_flush(void *const kept[2], void *addr, uint64_t length, bool async)
{
    int err = for_each_part(addr, length, 0, flush);

    if (err != 0 || async || kept[0] == NULL)
        return err;
    return FlushFileBuffers(kept[0]) ? 0 : last_error();
}
