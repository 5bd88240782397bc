/* SPDX-License-Identifier: MIT */
/*
 * Included before anything else where src/mmap_windows.c is compiled for a test: its calls of the
 * system go to inject_windows.c.
 */
#ifndef MRING_TESTS_INJECT_WINDOWS_CALLS_H
#define MRING_TESTS_INJECT_WINDOWS_CALLS_H

#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601

#include <io.h>
#include <stdint.h>
#include <stdio.h>
#include <windows.h>

#ifndef INJECT_WINDOWS_ITSELF
#define AddAccessAllowedAce          inject_AddAccessAllowedAce
#define CreateFileMappingW           inject_CreateFileMappingW
#define CreateFileW                  inject_CreateFileW
#define DuplicateHandle              inject_DuplicateHandle
#define FlushFileBuffers             inject_FlushFileBuffers
#define FlushViewOfFile              inject_FlushViewOfFile
#define FormatMessageW               inject_FormatMessageW
#define GetFileAttributesW           inject_GetFileAttributesW
#define GetFileInformationByHandleEx inject_GetFileInformationByHandleEx
#define GetFileType                  inject_GetFileType
#define GetKernelObjectSecurity      inject_GetKernelObjectSecurity
#define GetLargePageMinimum          inject_GetLargePageMinimum
#define GetModuleHandleW             inject_GetModuleHandleW
#define GetProcAddress               inject_GetProcAddress
#define GetSecurityDescriptorOwner   inject_GetSecurityDescriptorOwner
#define GetSystemInfo                inject_GetSystemInfo
#define GetTokenInformation          inject_GetTokenInformation
#define InitializeAcl                inject_InitializeAcl
#define InitializeSecurityDescriptor inject_InitializeSecurityDescriptor
#define MapViewOfFile                inject_MapViewOfFile
#define MapViewOfFileEx              inject_MapViewOfFileEx
#define MultiByteToWideChar          inject_MultiByteToWideChar
#define OpenFileMappingW             inject_OpenFileMappingW
#define OpenProcessToken             inject_OpenProcessToken
#define OpenThreadToken              inject_OpenThreadToken
#define ReOpenFile                   inject_ReOpenFile
#define SetFileInformationByHandle   inject_SetFileInformationByHandle
#define SetSecurityDescriptorControl inject_SetSecurityDescriptorControl
#define SetSecurityDescriptorDacl    inject_SetSecurityDescriptorDacl
#define SetSecurityDescriptorOwner   inject_SetSecurityDescriptorOwner
#define SystemFunction036            inject_SystemFunction036
#define UnmapViewOfFile              inject_UnmapViewOfFile
#define VirtualAlloc                 inject_VirtualAlloc
#define VirtualFree                  inject_VirtualFree
#define VirtualLock                  inject_VirtualLock
#define VirtualQuery                 inject_VirtualQuery
#define CloseHandle                  inject_CloseHandle
#define fflush                       inject_fflush
#endif

BOOL WINAPI inject_AddAccessAllowedAce(PACL acl, DWORD revision, DWORD mask, PSID sid);
BOOL WINAPI inject_CloseHandle(HANDLE handle);
HANDLE WINAPI inject_CreateFileMappingW(HANDLE file, SECURITY_ATTRIBUTES *attributes,
                                        DWORD protection, DWORD high, DWORD low, LPCWSTR name);
HANDLE WINAPI inject_CreateFileW(LPCWSTR path, DWORD access, DWORD share,
                                 SECURITY_ATTRIBUTES *attributes, DWORD disposition, DWORD flags,
                                 HANDLE model);
BOOL WINAPI inject_DuplicateHandle(HANDLE from, HANDLE handle, HANDLE to, HANDLE *result,
                                   DWORD access, BOOL inherit, DWORD options);
BOOL WINAPI inject_FlushFileBuffers(HANDLE file);
BOOL WINAPI inject_FlushViewOfFile(const void *addr, SIZE_T length);
DWORD WINAPI inject_FormatMessageW(DWORD flags, const void *source, DWORD code, DWORD language,
                                   LPWSTR text, DWORD size, va_list *arguments);
DWORD WINAPI inject_GetFileAttributesW(LPCWSTR path);
BOOL WINAPI inject_GetFileInformationByHandleEx(HANDLE file, FILE_INFO_BY_HANDLE_CLASS kind,
                                                void *info, DWORD size);
DWORD WINAPI inject_GetFileType(HANDLE file);
BOOL WINAPI inject_GetKernelObjectSecurity(HANDLE handle, SECURITY_INFORMATION kind,
                                           PSECURITY_DESCRIPTOR descriptor, DWORD size,
                                           DWORD *needed);
SIZE_T WINAPI inject_GetLargePageMinimum(void);
HMODULE WINAPI inject_GetModuleHandleW(LPCWSTR name);
FARPROC WINAPI inject_GetProcAddress(HMODULE library, LPCSTR name);
BOOL WINAPI inject_GetSecurityDescriptorOwner(PSECURITY_DESCRIPTOR descriptor, PSID *owner,
                                              BOOL *is_default);
void WINAPI inject_GetSystemInfo(SYSTEM_INFO *info);
BOOL WINAPI inject_GetTokenInformation(HANDLE token, TOKEN_INFORMATION_CLASS kind, void *info,
                                       DWORD size, DWORD *needed);
BOOL WINAPI inject_InitializeAcl(PACL acl, DWORD size, DWORD revision);
BOOL WINAPI inject_InitializeSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, DWORD revision);
void *WINAPI inject_MapViewOfFile(HANDLE section, DWORD access, DWORD high, DWORD low, SIZE_T size);
void *WINAPI inject_MapViewOfFileEx(HANDLE section, DWORD access, DWORD high, DWORD low,
                                    SIZE_T size, void *at);
int WINAPI inject_MultiByteToWideChar(UINT page, DWORD flags, LPCCH text, int length, LPWSTR wide,
                                      int size);
HANDLE WINAPI inject_OpenFileMappingW(DWORD access, BOOL inherit, LPCWSTR name);
BOOL WINAPI inject_OpenProcessToken(HANDLE process, DWORD access, HANDLE *token);
BOOL WINAPI inject_OpenThreadToken(HANDLE thread, DWORD access, BOOL as_self, HANDLE *token);
HANDLE WINAPI inject_ReOpenFile(HANDLE file, DWORD access, DWORD share, DWORD flags);
BOOL WINAPI inject_SetFileInformationByHandle(HANDLE file, FILE_INFO_BY_HANDLE_CLASS kind,
                                              void *info, DWORD size);
BOOL WINAPI inject_SetSecurityDescriptorControl(PSECURITY_DESCRIPTOR descriptor,
                                                SECURITY_DESCRIPTOR_CONTROL mask,
                                                SECURITY_DESCRIPTOR_CONTROL bits);
BOOL WINAPI inject_SetSecurityDescriptorDacl(PSECURITY_DESCRIPTOR descriptor, BOOL present,
                                             PACL acl, BOOL is_default);
BOOL WINAPI inject_SetSecurityDescriptorOwner(PSECURITY_DESCRIPTOR descriptor, PSID owner,
                                              BOOL is_default);
BOOLEAN NTAPI inject_SystemFunction036(void *buffer, ULONG size);
BOOL WINAPI inject_UnmapViewOfFile(const void *addr);
void *WINAPI inject_VirtualAlloc(void *at, SIZE_T size, DWORD type, DWORD protection);
BOOL WINAPI inject_VirtualFree(void *at, SIZE_T size, DWORD type);
BOOL WINAPI inject_VirtualLock(void *at, SIZE_T size);
SIZE_T WINAPI inject_VirtualQuery(const void *at, MEMORY_BASIC_INFORMATION *info, SIZE_T size);
int inject_fflush(FILE *stream);

#endif
