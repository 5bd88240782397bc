/* SPDX-License-Identifier: MIT */
/*
 * Who may use an object that processes of Windows share by its name: the user that made it, in each
 * of his processes, whether it runs with his full rights or without, and nobody else.
 */
#ifndef MRING_SECURITY_WINDOWS_H
#define MRING_SECURITY_WINDOWS_H

#include <windows.h>

/* The user that this thread acts for. */
union mring_user {
    TOKEN_USER token;
    unsigned char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
};

/* What an object is made with. Members point at one another: it stays where it is. */
struct mring_security {
    union mring_user user;
    union {
        ACL acl;
        unsigned char bytes[sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) + SECURITY_MAX_SID_SIZE];
    } list;
    SECURITY_DESCRIPTOR descriptor;
    SECURITY_ATTRIBUTES attributes;
};

/* Both return 0, or the system's code. */
DWORD mring_find_user(union mring_user *user);
DWORD mring_make_security(struct mring_security *security, DWORD rights);

#endif
