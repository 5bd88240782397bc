/* SPDX-License-Identifier: MIT */
/* Whom an object of Windows lets in, which a test can ask for. */
#ifndef MRING_TESTS_WINDOWS_SECURITY_H
#define MRING_TESTS_WINDOWS_SECURITY_H

#include <stdbool.h>
#include <windows.h>

/* Whether the user of this process owns an object, and the list lets him in and nobody else. */
static inline bool is_of_user_alone(HANDLE object)
{
    union {
        TOKEN_USER token;
        unsigned char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    } user;
    union {
        SECURITY_DESCRIPTOR descriptor;
        unsigned char bytes[1024];
    } found;
    HANDLE token;
    PSID owner;
    PACL list;
    BOOL is_present, is_default;
    ACCESS_ALLOWED_ACE *entry;
    DWORD size;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    BOOL is_known = GetTokenInformation(token, TokenUser, &user, sizeof user, &size);
    CloseHandle(token);
    return is_known &&
           GetKernelObjectSecurity(object, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                   &found, sizeof found, &size) &&
           GetSecurityDescriptorOwner(&found.descriptor, &owner, &is_default) &&
           EqualSid(owner, user.token.User.Sid) &&
           GetSecurityDescriptorDacl(&found.descriptor, &is_present, &list, &is_default) &&
           is_present && list != NULL && list->AceCount == 1 && GetAce(list, 0, (void **)&entry) &&
           entry->Header.AceType == ACCESS_ALLOWED_ACE_TYPE && entry->Mask != 0 &&
           EqualSid(&entry->SidStart, user.token.User.Sid);
}

#endif
