/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking on Windows: WaitOnAddress() within a process, named events between processes.
 * What a sleeper and a waker owe each other: sleepers.h.
 */
#include "security_windows.h"
#include "sleepers.h"

#include <windows.h>

#include <string.h>
#include <wchar.h>

#define NS_PER_SECOND      ((int64_t)1000000000)
#define NS_PER_MILLISECOND ((int64_t)1000000)

/* Rounded up, so that who has waited that long has waited long enough. */
static DWORD milliseconds(int64_t ns)
{
    int64_t rounded = ns / NS_PER_MILLISECOND + (ns % NS_PER_MILLISECOND > 0);

    return rounded < 0 ? 0 : rounded < INT32_MAX ? (DWORD)rounded : (DWORD)INT32_MAX;
}

/* ---- in one process -------------------------------------------------------------------------- */

/* Windows 8 and later have them. */
struct by_address {
    BOOL(WINAPI *wait)(volatile void *address, void *expected, size_t size, DWORD timeout_ms);
    void(WINAPI *wake_single)(void *address);
    void(WINAPI *wake_all)(void *address);
};

static void find(HMODULE library, const char *name, void *function)
{
    FARPROC found = GetProcAddress(library, name);

    memcpy(function, &found, sizeof found); /* no cast leads from one kind of function to another */
}

static BOOL CALLBACK find_all(INIT_ONCE *once, void *context, void **unused)
{
    struct by_address *by_address = context;
    HMODULE library = GetModuleHandleW(L"kernelbase.dll");

    (void)once;
    (void)unused;
    if (library == NULL)
        return TRUE;
    find(library, "WaitOnAddress", &by_address->wait);
    find(library, "WakeByAddressSingle", &by_address->wake_single);
    find(library, "WakeByAddressAll", &by_address->wake_all);
    return TRUE;
}

static const struct by_address *by_address(void)
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    static struct by_address functions;

    InitOnceExecuteOnce(&once, find_all, &functions, NULL);
    return functions.wait != NULL && functions.wake_single != NULL && functions.wake_all != NULL
               ? &functions
               : NULL;
}

/*
 * Where nobody can be woken by an address: give the processor away a few times, then sleep for the
 * shortest time that there is, a millisecond or a tick of the clock.
 */
static void nap(const struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    int64_t now = mring_os_now();
    int64_t end = timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;

    /* Relaxed: the caller looks again, and orders that. */
    for (unsigned naps = 0; mring_load_relaxed_u32(&event->epoch) == expected; naps++) {
        if (naps < 16 && SwitchToThread())
            continue;
        if (mring_os_now() >= end)
            return;
        Sleep(1);
    }
}

static void sleep_here(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    const struct by_address *system = by_address();

    sleepers_come(event);
    if (system == NULL)
        nap(event, expected, timeout_ns);
    else
        system->wait(&event->epoch.value, &expected, sizeof expected, milliseconds(timeout_ns));
    sleepers_go(event);
}

/* More than these are not woken one by one. */
enum { ONE_BY_ONE = 64 };

/*
 * Who naps finds the epoch changed, so that all of them are woken. The number of sleepers is in
 * memory that others may write: what is done does not grow with it. Who is woken beyond `most`
 * looks and sleeps again.
 */
static uint32_t wake_here(struct mring_event *event, uint32_t most)
{
    const struct by_address *system = by_address();
    uint64_t count = sleepers_count(event);

    if (count == 0)
        return 0;
    if (system != NULL && (count <= most || most > ONE_BY_ONE))
        system->wake_all(&event->epoch.value);
    else if (system != NULL)
        for (uint32_t i = 0; i < most; i++)
            system->wake_single(&event->epoch.value);
    return count < most ? (uint32_t)count : most;
}

/* ---- in several processes -------------------------------------------------------------------- */

enum { NAME_LENGTH = 64 };

static void write_name(wchar_t *name, uint64_t id, uint64_t ticket)
{
    const unsigned long id_high = (unsigned long)(id >> 32);
    const unsigned long ticket_high = (unsigned long)(ticket >> 32);

    /* In halves, since not every C library of Windows has a length for 64 bits. */
    swprintf(name, NAME_LENGTH, L"Local\\mring.event.%08lx%08lx.%08lx%08lx", id_high,
             (unsigned long)(id & UINT32_MAX), ticket_high, (unsigned long)(ticket & UINT32_MAX));
}

/* NULL for want of memory, or where somebody has taken the name who has no business with it. */
static HANDLE make_object(uint64_t id, uint64_t ticket)
{
    wchar_t name[NAME_LENGTH];
    struct mring_security security;

    if (mring_make_security(&security, EVENT_ALL_ACCESS) != 0)
        return NULL;
    write_name(name, id, ticket);
    HANDLE object = CreateEventW(&security.attributes, FALSE, FALSE, name);
    if (object == NULL || GetLastError() != ERROR_ALREADY_EXISTS)
        return object;
    CloseHandle(object);
    return NULL;
}

/* The object that a ticket's sleeper waits for. */
enum found { FOUND, GONE, DENIED };

static enum found open_object(HANDLE *object, uint64_t id, uint64_t ticket)
{
    wchar_t name[NAME_LENGTH];

    write_name(name, id, ticket);
    *object = OpenEventW(EVENT_MODIFY_STATE, FALSE, name);
    if (*object != NULL)
        return FOUND;
    return GetLastError() == ERROR_FILE_NOT_FOUND ? GONE : DENIED;
}

/* Take tickets out of their slots whose sleepers have died. */
static void free_slots(struct mring_event *event, uint64_t id)
{
    for (unsigned i = 0; i < SLEEPERS_SLOTS; i++) {
        uint64_t ticket = sleepers_look(event, i);
        HANDLE object;

        if (ticket == 0)
            continue;
        enum found found = open_object(&object, id, ticket);
        if (found == FOUND)
            CloseHandle(object);
        else if (found == GONE)
            sleepers_take(event, i, ticket);
    }
}

static void sleep_in_slot(struct mring_event *event, uint64_t id, uint64_t ticket, HANDLE object,
                          uint32_t expected, int64_t timeout_ns)
{
    mring_atomic_u64 *slot = sleepers_enter(event, ticket);

    if (slot == NULL) {
        free_slots(event, id);
        slot = sleepers_enter(event, ticket);
    }
    if (slot == NULL) {
        Sleep(1); /* nobody knows about this one: it looks for itself, soon */
        return;
    }
    if (sleepers_may_sleep(event, expected))
        WaitForSingleObject(object, milliseconds(timeout_ns));
    sleepers_leave(slot, ticket);
}

static void sleep_anywhere(struct mring_event *event, uint64_t id, uint32_t expected,
                           int64_t timeout_ns)
{
    uint64_t ticket = sleepers_ticket(event);
    HANDLE object = make_object(id, ticket);

    if (object == NULL) {
        Sleep(1);
        return;
    }
    sleep_in_slot(event, id, ticket, object, expected, timeout_ns);
    CloseHandle(object);
}

/* Wake who has entered a slot; *count grows if somebody was. False: somebody is left out. */
static bool wake_slot(struct mring_event *event, uint64_t id, unsigned slot, uint32_t *count)
{
    uint64_t ticket = sleepers_look(event, slot);
    HANDLE object;

    if (ticket == 0)
        return true;
    enum found found = open_object(&object, id, ticket);
    if (found == DENIED)
        return false;
    bool taken = sleepers_take(event, slot, ticket);
    if (found == GONE)
        return true;
    if (taken) {
        SetEvent(object);
        ++*count;
    }
    CloseHandle(object);
    return true;
}

/* Less than `most` says that nobody is left out. */
static uint32_t wake_anywhere(struct mring_event *event, uint64_t id, uint32_t most)
{
    uint32_t woken = 0;
    bool all = true;

    sleepers_begin_wake();
    for (unsigned i = 0; i < SLEEPERS_SLOTS && woken < most; i++)
        all = wake_slot(event, id, i, &woken) && all;
    return all ? woken : most;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Looked at once in each call, since it is in memory that others may write. */
static uint64_t id_of(const struct mring_event *event)
{
    return *(const volatile uint64_t *)&event->id;
}

void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    uint64_t id = id_of(event);

    if (id == 0)
        sleep_here(event, expected, timeout_ns);
    else
        sleep_anywhere(event, id, expected, timeout_ns);
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    uint64_t id = id_of(event);

    return id == 0 ? wake_here(event, most) : wake_anywhere(event, id, most);
}

/* The finish of SplitMix64, so that numbers which differ little give names which do. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Of the process, its rings, and the time, since numbers of processes are used again. */
uint64_t mring_os_event_id(void)
{
    static mring_atomic_u64 count;
    uint64_t number = mring_add_relaxed_u64(&count, 1); /* relaxed: it only has to differ */
    uint64_t id =
        mix(mix(((uint64_t)GetCurrentProcessId() << 32) + number) + (uint64_t)mring_os_now());

    return id != 0 ? id : 1;
}

/* ---- descriptors: manual-reset events -------------------------------------------------------- */

static HANDLE handle_of(int fd)
{
    return (HANDLE)(intptr_t)fd;
}

void mring_os_signal(int fd)
{
    SetEvent(handle_of(fd));
}

void mring_os_clear(int fd)
{
    ResetEvent(handle_of(fd));
}

/* ---- barriers, the clock, the process -------------------------------------------------------- */

/* Nothing reaches the processors of other processes, so that nobody relies on it. */
void mring_os_barrier(void)
{
    mring_fence_seq_cst();
}

bool mring_os_join_barriers(void)
{
    return false;
}

/* Neither call fails on any Windows since XP. In two parts, since the product would overflow. */
int64_t mring_os_now(void)
{
    LARGE_INTEGER frequency, ticks;

    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    return ticks.QuadPart / frequency.QuadPart * NS_PER_SECOND +
           ticks.QuadPart % frequency.QuadPart * NS_PER_SECOND / frequency.QuadPart;
}

uint32_t mring_os_process(void)
{
    return GetCurrentProcessId();
}
