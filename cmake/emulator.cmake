# Programs for another processor or system are started by an emulator. CTest knows when a test's
# command is one of them; a script does not: it gets a starter, a script that looks like the program.

# mring_starter(TARGET RESULT): the path to start TARGET by.
function(mring_starter target result)
    if(NOT CMAKE_CROSSCOMPILING_EMULATOR)
        set(${result} $<TARGET_FILE:${target}> PARENT_SCOPE)
        return()
    endif()
    list(JOIN CMAKE_CROSSCOMPILING_EMULATOR "' '" emulator)
    set(starter ${CMAKE_CURRENT_BINARY_DIR}/start_${target})
    file(GENERATE OUTPUT ${starter}
         CONTENT "#!/bin/sh\nexec '${emulator}' '$<TARGET_FILE:${target}>' \"$@\"\n"
         FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    set(${result} ${starter} PARENT_SCOPE)
endfunction()
