# What `cmake --install` puts where, and how others find it: find_package(mring) and pkg-config.

set(mring_cmakedir ${CMAKE_INSTALL_LIBDIR}/cmake/mring)
set(mring_pkgconfigdir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(TARGETS mring EXPORT mring-targets FILE_SET HEADERS)
install(EXPORT mring-targets NAMESPACE mring:: DESTINATION ${mring_cmakedir})

write_basic_package_version_file(mring-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/mring-config.cmake ${PROJECT_BINARY_DIR}/mring-config-version.cmake
        DESTINATION ${mring_cmakedir})

# mring.pc finds its prefix from where it lies, so that an installed tree may be moved and
# `cmake --install --prefix` may differ from what was configured. Absolute folders stay as they are.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(mring_pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH mring_pc_up /${mring_pkgconfigdir} /)
    string(REGEX REPLACE "/$" "" mring_pc_up "${mring_pc_up}")
    set(mring_pc_prefix "\${pcfiledir}/${mring_pc_up}")
endif()
cmake_path(APPEND mring_pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND mring_pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/mring.pc.in mring.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mring.pc DESTINATION ${mring_pkgconfigdir})
