# What Debian's cross compilers have in common. Before it is included, `triplet` names one, `loader`
# the dynamic loader of its C library, and `qemu` the program that runs what it makes; a preset may
# set another emulator, for another page size.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${triplet}-gcc)
set(CMAKE_FIND_ROOT_PATH /usr/${triplet})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Programs find the C library that came with the compiler by themselves, so they run only where it
# is. (DT_RPATH, unlike the newer DT_RUNPATH, also serves what that library loads, such as libgcc_s.)
# qemu could find it, too, but would look up every path under a lock, which a child that is forked
# meanwhile never gets.
set(folder /usr/${triplet}/lib)
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,--dynamic-linker=${folder}/${loader},-rpath,${folder},--disable-new-dtags")
if(DEFINED qemu AND NOT DEFINED CACHE{CMAKE_CROSSCOMPILING_EMULATOR})
    set(CMAKE_CROSSCOMPILING_EMULATOR ${qemu};-L;/)
endif()
