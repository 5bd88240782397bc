/* SPDX-License-Identifier: MIT */
#include "security_windows.h"

static DWORD failure(void)
{
    DWORD code = GetLastError();

    return code != NO_ERROR ? code : ERROR_GEN_FAILURE;
}

/* A thread that acts for somebody else must not end up with what belongs to the process. */
static DWORD open_token(HANDLE *token)
{
    if (OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, token))
        return 0;
    if (GetLastError() != ERROR_NO_TOKEN)
        return failure();
    return OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, token) ? 0 : failure();
}

DWORD mring_find_user(union mring_user *user)
{
    HANDLE token;
    DWORD size;
    DWORD code = open_token(&token);

    if (code != 0)
        return code;
    code = GetTokenInformation(token, TokenUser, user, sizeof *user, &size) ? 0 : failure();
    CloseHandle(token);
    return code;
}

/* The owner is set, since what an administrator makes may belong to all of them. */
DWORD mring_make_security(struct mring_security *security, DWORD rights)
{
    SECURITY_DESCRIPTOR *descriptor = &security->descriptor;
    ACL *acl = &security->list.acl;
    DWORD code = mring_find_user(&security->user);

    if (code != 0)
        return code;
    PSID user = security->user.token.User.Sid;
    if (!InitializeAcl(acl, sizeof security->list, ACL_REVISION) ||
        !AddAccessAllowedAce(acl, ACL_REVISION, rights, user) ||
        !InitializeSecurityDescriptor(descriptor, SECURITY_DESCRIPTOR_REVISION) ||
        !SetSecurityDescriptorOwner(descriptor, user, FALSE) ||
        !SetSecurityDescriptorDacl(descriptor, TRUE, acl, FALSE) ||
        !SetSecurityDescriptorControl(descriptor, SE_DACL_PROTECTED, SE_DACL_PROTECTED))
        return failure();
    security->attributes = (SECURITY_ATTRIBUTES){
        .nLength = sizeof security->attributes,
        .lpSecurityDescriptor = descriptor,
    };
    return 0;
}
