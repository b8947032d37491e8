# Writes a file with one interpreter and reads it with another.
#   cmake -DWRITER=... -DREADER=... -DSUITE=... -DFILE=... -P run_exchange.cmake
file(REMOVE "${FILE}" "${FILE}-wal" "${FILE}-shm")
unset(ENV{EXEC_IDENT})
unset(ENV{ACERVO_PATH})
foreach(step "${WRITER};exchange_write.lua" "${READER};exchange_read.lua")
  list(GET step 0 program)
  list(GET step 1 script)
  execute_process(COMMAND "${program}" "${SUITE}/${script}" "${FILE}"
    WORKING_DIRECTORY "${SUITE}" RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${program} ${script} ended with ${status}")
  endif()
endforeach()
