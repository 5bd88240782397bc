# 32-bit x86. An x86-64 kernel runs its programs as they are; they only have to find the C library
# that came with the compiler.
set(CMAKE_SYSTEM_PROCESSOR i686)
set(triplet i686-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/debian-cross.cmake)
set(folder /usr/${triplet}/lib)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--dynamic-linker=${folder}/ld-linux.so.2,-rpath,${folder}")
