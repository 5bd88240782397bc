/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking on Windows: WaitOnAddress() within a process, named events between processes.
 * What a sleeper and a waker owe each other: sleepers.h.
 */
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
    int64_t end = mring_os_now() + timeout_ns;

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

/* Who naps finds the epoch changed, so that all of them are woken. */
static uint32_t wake_here(struct mring_event *event, uint32_t most)
{
    const struct by_address *system = by_address();
    uint64_t count = sleepers_count(event);

    if (count == 0)
        return 0;
    if (system != NULL && count <= most)
        system->wake_all(&event->epoch.value);
    else if (system != NULL)
        for (uint32_t i = 0; i < most; i++)
            system->wake_single(&event->epoch.value);
    return count < most ? (uint32_t)count : most;
}

/* ---- in several processes -------------------------------------------------------------------- */

enum { NAME_LENGTH = 64 };

static void write_name(wchar_t *name, const struct mring_event *event, uint64_t ticket)
{
    const unsigned long id_high = (unsigned long)(event->id >> 32);
    const unsigned long ticket_high = (unsigned long)(ticket >> 32);

    /* In halves, since not every C library of Windows has a length for 64 bits. */
    swprintf(name, NAME_LENGTH, L"Local\\mring.event.%08lx%08lx.%08lx%08lx", id_high,
             (unsigned long)(event->id & UINT32_MAX), ticket_high,
             (unsigned long)(ticket & UINT32_MAX));
}

/* NULL for want of memory, or where somebody has taken the name who has no business with it. */
static HANDLE make_object(const struct mring_event *event, uint64_t ticket)
{
    wchar_t name[NAME_LENGTH];

    write_name(name, event, ticket);
    HANDLE object = CreateEventW(NULL, FALSE, FALSE, name);
    if (object == NULL || GetLastError() != ERROR_ALREADY_EXISTS)
        return object;
    CloseHandle(object);
    return NULL;
}

/* NULL: its sleeper is dead. Or it is another user's, and finds out after its slice. */
static HANDLE open_object(const struct mring_event *event, uint64_t ticket)
{
    wchar_t name[NAME_LENGTH];

    write_name(name, event, ticket);
    return OpenEventW(EVENT_MODIFY_STATE, FALSE, name);
}

/* Take tickets out of their slots whose sleepers have died. */
static void free_slots(struct mring_event *event)
{
    for (unsigned i = 0; i < SLEEPERS_SLOTS; i++) {
        uint64_t ticket = mring_load_acquire_u64(&event->sleepers[i]); /* S1, as in K2 */
        HANDLE object = ticket != 0 ? open_object(event, ticket) : NULL;

        if (object != NULL)
            CloseHandle(object);
        else if (ticket != 0 && GetLastError() == ERROR_FILE_NOT_FOUND)
            sleepers_change(&event->sleepers[i], ticket, 0);
    }
}

static void sleep_in_slot(struct mring_event *event, uint32_t expected, int64_t timeout_ns,
                          HANDLE object, uint64_t ticket)
{
    mring_atomic_u64 *slot = sleepers_enter(event, ticket);

    if (slot == NULL) {
        free_slots(event);
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

static void sleep_anywhere(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    uint64_t ticket = sleepers_ticket(event);
    HANDLE object = make_object(event, ticket);

    if (object == NULL) {
        Sleep(1);
        return;
    }
    sleep_in_slot(event, expected, timeout_ns, object, ticket);
    CloseHandle(object);
}

static bool signal_object(const struct mring_event *event, uint64_t ticket)
{
    HANDLE object = open_object(event, ticket);

    if (object == NULL)
        return false;
    SetEvent(object);
    CloseHandle(object);
    return true;
}

static uint32_t wake_anywhere(struct mring_event *event, uint32_t most)
{
    uint32_t woken = 0;

    sleepers_begin_wake();
    for (unsigned i = 0; i < SLEEPERS_SLOTS && woken < most; i++) {
        uint64_t ticket = sleepers_take(event, i);

        woken += ticket != 0 && signal_object(event, ticket);
    }
    return woken;
}

/* ---- both ------------------------------------------------------------------------------------ */

void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    if (event->id == 0)
        sleep_here(event, expected, timeout_ns);
    else
        sleep_anywhere(event, expected, timeout_ns);
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    return event->id == 0 ? wake_here(event, most) : wake_anywhere(event, most);
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
