# macOS on Intel.
set(MRING_ZIG_PROCESSOR x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/zig-macos.cmake)
