# macOS, by zig as a compiler that brings the system's headers and stubs of its libraries. Nothing
# here runs what it makes: it has to compile and to link. `zig` is taken from PATH, or from MRING_ZIG.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${MRING_ZIG_PROCESSOR})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MRING_ZIG)
find_program(MRING_ZIG zig)
if(NOT MRING_ZIG)
    message(FATAL_ERROR "There is no zig in PATH (https://ziglang.org, 0.12 or later); "
                        "-DMRING_ZIG=... says where it is.")
endif()
set(CMAKE_C_COMPILER ${MRING_ZIG} cc -target ${MRING_ZIG_PROCESSOR}-macos)
set(CMAKE_C_ARCHIVE_CREATE "${MRING_ZIG} ar qc <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "${MRING_ZIG} ar q <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "${MRING_ZIG} ranlib <TARGET>")
# It has no option to ask its linker, by which CMake would find this out.
set(CMAKE_SIZEOF_VOID_P 8)
# Not those of this machine: nothing is installed, and there is no SDK.
set(CMAKE_INSTALL_NAME_TOOL ":")
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
